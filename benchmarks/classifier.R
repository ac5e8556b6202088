# Discriminant analysis by R's mclust: for each type ("MclustDA" or "EDDA"), models
# (names, or "all"), and path of a file of rows whose last column is the class.
suppressPackageStartupMessages(library(mclust))
classifier <- function(type, models, path) {
  data <- as.matrix(read.csv(path, header = FALSE))
  X <- data[, -ncol(data), drop = FALSE]
  y <- data[, ncol(data)]
  names <- if (models == "all") NULL else strsplit(models, ",")[[1]]
  found <- MclustDA(X, y, modelType = type, modelNames = names, verbose = FALSE)
  if (is.null(found)) stop("no fit")
  predicted <- predict(found)
  densities <- sapply(found$models, function(model) {
    do.call("dens", c(list(data = X, logarithm = TRUE), model))
  })
  joint <- sweep(densities, 2, log(found$prop), "+")
  own <- joint[cbind(seq_along(y), match(y, names(found$models)))]
  text <- function(values) paste0('"', values, '"', collapse = ", ")
  sprintf(
    paste0(
      '{"error_rate": %.17g, "log_likelihood": %.17g, "joint": %.17g, ',
      '"models": [%s], "sizes": [%s]}'
    ),
    mean(as.character(predicted$classification) != as.character(y)),
    found$loglik, sum(own),
    text(sapply(found$models, function(model) model$modelName)),
    paste(sapply(found$models, function(model) model$G), collapse = ", ")
  )
}
lines <- file("stdin", open = "r")
while (length(line <- readLines(lines, n = 1)) > 0) {
  words <- strsplit(line, " ")[[1]]
  cat(suppressWarnings(tryCatch(
    classifier(words[1], words[2], paste(words[-(1:2)], collapse = " ")),
    error = function(e) '{"error": "no fit"}'
  )), "\n")
}
