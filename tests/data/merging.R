# References for test_merging.py: clustCombi of mclust, from mixtures that it fitted.
#
#     Rscript merging.R > merging.json
library(mclust)

numbers <- function(x) paste0("[", paste(sprintf("%.17g", x), collapse = ", "), "]")
rows <- function(x) paste0("[", paste(apply(x, 1, numbers), collapse = ", "), "]")
zero_based <- function(x) paste0("[", paste(as.integer(x) - 1, collapse = ", "), "]")
field <- function(name, text) paste0("\"", name, "\": ", text)

# The place of the two clusters that are merged, among the K before.
merged <- function(M) {
  l1 <- which(rowSums(M) == 2)
  zero_based(which(M[l1, ] == 1))
}

# By number of clusters, so many rows are assigned to the two that are merged into it.
counts_of_merged <- function(combi, G) sapply(1:(G - 1), function(K) {
  pair <- which(combi$combiM[[K]][which(rowSums(combi$combiM[[K]]) == 2), ] == 1)
  sum(map(combi$combiz[[K + 1]]) %in% pair)
})

record <- function(X, with_data, ...) {
  X <- as.matrix(X)
  fit <- Mclust(X, verbose = FALSE, ...)
  # Those of the parameters beside them, which differ by an iteration for some models.
  fit$z <- predict(fit)$z
  combi <- clustCombi(fit)
  G <- fit$G
  d <- ncol(X)
  sigma <- fit$parameters$variance$sigma
  if (d == 1) sigma <- array(rep_len(fit$parameters$variance$sigmasq, G), c(1, 1, G))
  entropy <- sapply(combi$combiz, function(z) -sum(mclust:::xlog(z)))
  counts <- counts_of_merged(combi, G)
  x <- cumsum(c(0, counts))
  optim <- clustCombiOptim(combi)
  fields <- c(
    if (with_data) field("data", rows(X)),
    field("model", paste0("\"", fit$modelName, "\"")),
    field("weights", numbers(fit$parameters$pro)),
    field("means", rows(t(matrix(fit$parameters$mean, d)))),
    field("covariances", paste0("[", paste(apply(sigma, 3, function(S)
      rows(matrix(S, d))), collapse = ", "), "]")),
    field("entropies", numbers(entropy)),
    field("merges", paste0("[", paste(sapply((G - 1):1, function(K)
      merged(combi$combiM[[K]])), collapse = ", "), "]")),
    field("counts_of_merged", numbers(counts)),
    field("labels", paste0("[", paste(sapply(combi$classification, zero_based),
      collapse = ",\n"), "]")),
    field("elbow", optim$numClusters.combi),
    field("elbow_by_merged", mclust:::pcws2_reg(x, entropy)$c)
  )
  paste0("{", paste(fields, collapse = ",\n"), "}")
}

set.seed(1)
gaussian <- function(n, mean, sds, degrees) {
  a <- degrees * pi / 180
  turn <- matrix(c(cos(a), sin(a), -sin(a), cos(a)), 2)
  sweep(t(turn %*% (sds * matrix(rnorm(2 * n), 2))), 2, mean, "+")
}
# Two crosses and two slanted Gaussians: six components that are four clusters.
crosses <- round(rbind(
  gaussian(120, c(0, 0), c(1, 0.3), 60), gaussian(120, c(8, 5), c(1, 0.3), 120),
  gaussian(70, c(8, 0), c(1, 0.3), 0), gaussian(70, c(8, 0), c(1, 0.3), 90),
  gaussian(70, c(0, 5), c(1, 0.3), 0), gaussian(70, c(0, 5), c(1, 0.3), 90)
), 3)
# A disc about which a ring lies: one component, and several.
angle <- runif(300, 0, 2 * pi)
ring <- round(rbind(
  gaussian(100, c(0, 0), c(0.7, 0.7), 0),
  (5 + rnorm(300, sd = 0.25)) * cbind(cos(angle), sin(angle))
), 3)
# A skewed distribution, and a Gaussian.
skewed <- round(c(rgamma(200, 2), 14 + rnorm(100)), 3)

cat("{", paste(
  field("crosses", record(crosses, TRUE, G = 6, modelNames = "EEV")),
  field("ring", record(ring, TRUE, G = 8, modelNames = "VEV")),
  field("skewed", record(skewed, TRUE, G = 5, modelNames = "V")),
  field("iris", record(iris[, 1:4], FALSE, G = 6, modelNames = "VEV")),
  field("faithful", record(faithful, FALSE, G = 7, modelNames = "VVV")),
  sep = ",\n"
), "}\n")
