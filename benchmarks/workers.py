"""Passes over the rows of a Dask array: their time, and the bytes that they move.

A pass is an E-step with the statistics of all rows. The cluster is one of processes of
one thread on this machine, so that all that moves goes through its loopback interface.
"""

from __future__ import annotations

import time
from contextlib import ExitStack

import dask.array as da
import numpy as np
import psutil
from distributed import Client, LocalCluster, wait
from threadpoolctl import threadpool_limits

from emgmm import GaussianMixtureEM
from emgmm._data.arrays import ArrayBlocks
from emgmm._data.dask import rows_of_dask
from emgmm._estep.estep import expectation

from .clock import summary

WARM_UP = 2
SPREAD = 3.0


def workers(one):
    """Seconds and bytes of a pass, beside those of a pass over rows in memory."""
    rows = rows_of(one)
    mixture = mixture_of(one)
    in_memory = ArrayBlocks(rows.compute())
    times = {"in memory": passes(in_memory, mixture, one)}
    with threadpool_limits(1):
        times["in memory, one thread"] = passes(in_memory, mixture, one)
    with ExitStack() as stack:
        cluster = LocalCluster(
            n_workers=one["workers"],
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
        )
        stack.enter_context(Client(stack.enter_context(cluster)))
        persisted = rows.persist()
        wait(persisted)
        blocks = rows_of_dask(GaussianMixtureEM(), persisted, None, True)
        times["emgmm"], moved = counted(lambda: expectation(blocks, mixture), one)
        times["nothing"], of_nothing = counted(lambda: blocks.visit(nothing), one)
        gained = expectation(blocks, mixture).log_likelihood
    expected = expectation(in_memory, mixture).log_likelihood
    return {
        "seconds": {name: summary(values) for name, values in times.items()},
        "bytes": {"emgmm": moved, "nothing": of_nothing},
        "difference": abs(gained / expected - 1),
    }


def nothing(chunk):
    return 0


def rows_of(one):
    """Blobs of unit variance, made in chunks where they are needed."""
    K, d = one["K"], one["d"]
    centers = centers_of(one)

    def make(block_info):
        location = block_info[None]
        rng = np.random.default_rng(location["chunk-location"][0])
        n = location["chunk-shape"][0]
        return rng.standard_normal((n, d)) + centers[rng.integers(K, size=n)]

    bounds = np.linspace(0, one["n"], one["chunks"] + 1).astype(int)
    chunks = (tuple(np.diff(bounds).tolist()), (d,))
    return da.map_blocks(make, chunks=chunks, dtype=float, meta=np.empty((0, 0)))


def centers_of(one):
    normals = np.random.default_rng(0).standard_normal((one["K"], one["d"]))
    return SPREAD * normals


def mixture_of(one):
    K, d = one["K"], one["d"]
    gmm = GaussianMixtureEM.from_parameters(
        np.full(K, 1 / K), centers_of(one), np.tile(2 * np.eye(d), (K, 1, 1))
    )
    return gmm._mixture()


def passes(blocks, mixture, one):
    """Seconds of passes over rows in memory."""
    times = []
    for _ in range(WARM_UP + 2 * one["repeats"]):
        began = time.perf_counter()
        expectation(blocks, mixture)
        times.append(time.perf_counter() - began)
    return times[WARM_UP:]


def counted(function, one):
    """Seconds of calls, and how many bytes each moves."""
    times, moved = [], []
    for _ in range(WARM_UP + 2 * one["repeats"]):
        before, began = sent(), time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
        moved.append(sent() - before)
    return times[WARM_UP:], summary(moved[WARM_UP:])


def sent():
    """Bytes that the loopback interface has sent; NaN where it cannot be asked."""
    loopback = psutil.net_io_counters(pernic=True).get("lo")
    return float("nan") if loopback is None else loopback.bytes_sent
