# Searches of R's mclust: for each path of a file of rows, the seconds and the selection.
suppressPackageStartupMessages(library(mclust))
lines <- file("stdin", open = "r")
while (length(path <- readLines(lines, n = 1)) > 0) {
  X <- as.matrix(read.csv(path, header = FALSE))
  began <- proc.time()
  found <- Mclust(X, verbose = FALSE)
  taken <- proc.time() - began
  cat(sprintf(
    '{"cpu": %.6f, "wall": %.6f, "model": "%s", "K": %d, "bic": %.10g}\n',
    taken[["user.self"]] + taken[["sys.self"]], taken[["elapsed"]],
    found$modelName, found$G, -found$bic
  ))
}
