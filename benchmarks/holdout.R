# Held-out fits of R's mclust: for each number of components and path of a file of rows,
# the mean log-likelihood of the second half under full covariances from the first.
suppressPackageStartupMessages(library(mclust))
held_out <- function(size, path) {
  X <- as.matrix(read.csv(path, header = FALSE))
  model <- if (ncol(X) == 1) "V" else "VVV"
  first <- seq_len(nrow(X) %/% 2)
  found <- Mclust(X[first, , drop = FALSE], G = size, modelNames = model, verbose = FALSE)
  if (is.null(found)) stop("no fit")
  rows <- X[-first, , drop = FALSE]
  mean <- mean(dens(rows, model, found$parameters, logarithm = TRUE))
  if (!is.finite(mean)) stop("no density")
  sprintf('{"log_likelihood": %.17g}', mean)
}
lines <- file("stdin", open = "r")
while (length(line <- readLines(lines, n = 1)) > 0) {
  size <- as.integer(sub(" .*", "", line))
  cat(suppressWarnings(tryCatch(
    held_out(size, sub("^\\S+ ", "", line)),
    error = function(e) '{"error": "no fit"}'
  )), "\n")
}
