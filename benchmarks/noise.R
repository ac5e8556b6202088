# Searches of R's mclust on rows with noise: for each list of the rows that are noise to
# begin with, separated by commas ("none" without a noise component), and path of a file
# of rows, what BIC selects. Labels are from 0, -1 for noise; "nearest" are those of the
# most probable component.
suppressPackageStartupMessages(library(mclust))
ones <- function(values) paste(values, collapse = ", ")
searched <- function(noise, path) {
  X <- as.matrix(read.csv(path, header = FALSE))
  noise <- if (noise == "none") NULL else as.integer(strsplit(noise, ",")[[1]])
  start <- if (is.null(noise)) NULL else list(noise = noise)
  began <- proc.time()
  found <- Mclust(X, G = 1:8, verbose = FALSE, initialization = start)
  seconds <- (proc.time() - began)[["elapsed"]]
  if (is.null(found)) stop("no fit")
  weight <- if (is.null(noise)) 0 else rev(found$parameters$pro)[1]
  nearest <- max.col(found$z[, seq_len(found$G), drop = FALSE], "first") - 1
  sprintf(
    '{"K": %d, "model": "%s", "noise_weight": %.6f, "seconds": %.6f, "labels": [%s], "nearest": [%s]}',
    found$G, found$modelName, weight, seconds,
    ones(found$classification - 1), ones(nearest)
  )
}
lines <- file("stdin", open = "r")
while (length(line <- readLines(lines, n = 1)) > 0) {
  noise <- sub(" .*", "", line)
  cat(suppressWarnings(tryCatch(
    searched(noise, sub("^\\S+ ", "", line)),
    error = function(e) '{"error": "no fit"}'
  )), "\n")
}
