"""Many models and numbers of components, fitted together."""
