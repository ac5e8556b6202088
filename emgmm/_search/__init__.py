"""Many models with many numbers of components, fitted together."""
