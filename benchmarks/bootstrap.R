# Resampling by R's mclust: for each line, what ("bs", "wlbs", "pb" or "lrt"), model,
# number of components (for "lrt" the greatest under the null), resamples, and path of a
# file of rows.
suppressPackageStartupMessages(library(mclust))
listed <- function(values) paste(sprintf("%.10g", values), collapse = ", ")
errors <- function(type, model, G, nboot, X) {
  fit <- Mclust(X, G = G, modelNames = model, verbose = FALSE)
  seconds <- system.time(
    found <- MclustBootstrap(fit, nboot = nboot, type = type, verbose = FALSE)
  )[["elapsed"]]
  # Components by descending weight.
  order <- order(-fit$parameters$pro)
  weights <- apply(found$pro, 2, sd, na.rm = TRUE)[order]
  means <- apply(found$mean, c(2, 3), sd, na.rm = TRUE)[, order]
  sprintf(
    '{"seconds": %.6g, "nonfit": %d, "weights": [%s], "means": [%s]}',
    seconds, as.integer(found$nonfit), listed(weights), listed(means)
  )
}
ratios <- function(model, G, nboot, X) {
  seconds <- system.time(
    found <- mclustBootstrapLRT(X, model, nboot = nboot, maxG = G, verbose = FALSE)
  )[["elapsed"]]
  sprintf(
    '{"seconds": %.6g, "statistics": [%s], "p_values": [%s]}',
    seconds, listed(found$obs), listed(found$p.value)
  )
}
lines <- file("stdin", open = "r")
while (length(line <- readLines(lines, n = 1)) > 0) {
  words <- strsplit(line, " ")[[1]]
  X <- as.matrix(read.csv(paste(words[-(1:4)], collapse = " "), header = FALSE))
  n <- as.integer(words[3:4])
  set.seed(1)
  cat(suppressWarnings(tryCatch(
    if (words[1] == "lrt") ratios(words[2], n[1], n[2], X)
    else errors(words[1], words[2], n[1], n[2], X),
    error = function(e) '{"error": "no result"}'
  )), "\n")
}
