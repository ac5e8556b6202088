"""Sums of one pass over rows in chunks."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from emgmm._data.arrays import ArrayBlocks
from emgmm._data.chunks import Chunk, sums_of_chunk

SIZES = [1, 63, 64, 65, 1000]


@pytest.mark.parametrize("n_samples", SIZES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("order", ["C", "F"])
def test_extremes_are_those_of_what_is_there(n_samples, dtype, order):
    rng = np.random.default_rng(n_samples)
    X = rng.standard_normal((n_samples, 3)).astype(dtype, order=order)
    X[rng.uniform(size=X.shape) < 0.1] = np.nan
    X[:, 2] = np.nan
    summary = sums_of_chunk(Chunk(X, np.ones(n_samples)))
    assert_array_equal(summary.least, np.fmin.reduce(X, axis=0))
    assert_array_equal(summary.greatest, np.fmax.reduce(X, axis=0))


@pytest.mark.parametrize("n_samples", SIZES)
def test_rows_without_weights_count_once(n_samples):
    X = np.random.default_rng(0).standard_normal((n_samples, 3))
    stored = sums_of_chunk(Chunk(X, np.ones(n_samples)))
    implied = sums_of_chunk(Chunk(X))
    assert implied.weight_range == stored.weight_range == (1.0, 1.0)
    assert implied.equally_weighted and not stored.equally_weighted
    assert implied.n_weighted == stored.n_weighted == n_samples


def test_summaries_of_parts_add_up_to_that_of_the_whole():
    rng = np.random.default_rng(0)
    X, weights = 1e3 + rng.standard_normal((500, 3)), rng.uniform(0, 2, 500)
    parts = [
        sums_of_chunk(Chunk(X[rows], weights[rows]))
        for rows in (slice(0, 7), slice(7, 300), slice(300, 500))
    ]
    sums = parts[0] + parts[1] + parts[2]
    whole = ArrayBlocks(X, weights).summary
    assert sums.n_rows == (7, 293, 200)
    assert_allclose(sums.center, whole.center, rtol=1e-13)
    assert_allclose(sums.squares, whole.squares, rtol=1e-9, atol=1e-9)
