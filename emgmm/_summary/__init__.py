"""Summaries of fitted mixtures and of searches."""
