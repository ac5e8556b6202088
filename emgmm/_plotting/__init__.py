"""Displays of mixtures, of convergence and of criteria."""
