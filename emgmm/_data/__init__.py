"""Where rows come from: arrays, memory maps, iterables of blocks, Dask."""
