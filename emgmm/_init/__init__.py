"""Where EM begins: k-means, splits, starts."""
