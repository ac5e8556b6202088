"""Where rows come from: arrays, missing values, chunks, iterables, Dask."""
