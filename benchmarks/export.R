# Data sets of R and of mclust as files of rows: Rscript benchmarks/export.R benchmarks/data
# The rows' true classes, where a set has them, are the column `label`, counting from 0.
suppressPackageStartupMessages(library(mclust))
folder <- commandArgs(trailingOnly = TRUE)[1]
data(Baudry_etal_2010_JCGS_examples)
data(GvHD)

export <- function(name, X, labels = NULL) {
  X <- signif(as.data.frame(X), 7) # what R shows
  if (!is.null(labels)) X$label <- as.integer(factor(labels)) - 1L
  write.csv(X, file.path(folder, paste0(name, ".csv")), quote = FALSE, row.names = FALSE)
}

export("swiss", swiss)
export("quakes", quakes[c("lat", "long", "depth", "mag")])
export("rock", rock)
export("attitude", attitude)
export("trees", trees)
export("diabetes", diabetes[-1], diabetes$class)
export("banknote", banknote[-1], banknote$Status)
export("thyroid", thyroid[-1], thyroid$Diagnosis)
export("chevron", chevron[-1], chevron$class)
export("cross", cross[-1], cross$group)
export("gvhd", GvHD.control[1:1500, ])
export("unemployment", EuroUnemployment)
export("ex4.1", ex4.1)
export("ex4.2", ex4.2)
export("ex4.3", ex4.3)
export("ex4.4.1", ex4.4.1)
export("ex4.4.2", ex4.4.2)
export("test1d", Test1D)
