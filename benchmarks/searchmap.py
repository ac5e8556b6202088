"""A search on a memory map: its memory, and its time beside that of one candidate."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from .checkouts import checkouts

PART = 100_000  # rows that are written at a time


def searchmap(one):
    """Figures of the search, and of its slowest candidate alone."""
    with tempfile.TemporaryDirectory() as folder, checkouts() as programs:
        path = Path(folder, "rows.npy")
        write_blobs(path, one)
        task = {"rows": str(path), "map": True, "memory": True}
        program = programs["emgmm"]
        settings = {"n_components": list(range(1, one["K"] + 1))}
        found = program.do({**task, "task": "search", "settings": settings})
        model, size = found["slowest"]
        alone = {"library": "emgmm", "n_components": size, "covariance_type": model}
        slowest = program.do({**task, "task": "fits", "settings": alone})
    return {"search": found, "alone": slowest}


def write_blobs(path, one):
    """Rows around centres, a part at a time."""
    rng = np.random.default_rng(0)
    centers = 3.0 * rng.standard_normal((one["K"], one["d"]))
    shape = (one["n"], one["d"])
    rows = np.lib.format.open_memmap(path, "w+", dtype=float, shape=shape)
    for first in range(0, one["n"], PART):
        part = rows[first : first + PART]
        part[:] = rng.standard_normal(part.shape)
        part += centers[rng.integers(one["K"], size=len(part))]
    rows.flush()
