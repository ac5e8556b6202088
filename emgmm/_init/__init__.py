"""Starts of EM: k-means, split components, labels and responsibilities."""
