"""Benchmarks: emgmm beside scikit-learn, one process per case."""
