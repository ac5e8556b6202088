"""What one pass tells of rows visited chunk by chunk."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from emgmm._data.arrays import ArrayBlocks
from emgmm._data.summary import Chunk, summary_of

SIZES = [1, 63, 64, 65, 1000]


@pytest.mark.parametrize("n_samples", SIZES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("order", ["C", "F"])
def test_extremes_are_those_of_what_is_there(n_samples, dtype, order):
    rng = np.random.default_rng(n_samples)
    X = rng.standard_normal((n_samples, 3)).astype(dtype, order=order)
    X[rng.uniform(size=X.shape) < 0.1] = np.nan
    X[:, 2] = np.nan
    summary = summary_of(Chunk(X, np.ones(n_samples)))
    assert_array_equal(summary.least, np.fmin.reduce(X, axis=0))
    assert_array_equal(summary.greatest, np.fmax.reduce(X, axis=0))


@pytest.mark.parametrize("n_samples", SIZES)
def test_weights_that_are_not_stored_are_ones(n_samples):
    X = np.random.default_rng(0).standard_normal((n_samples, 3))
    ones = [np.ones(n_samples), np.broadcast_to(np.float64(1.0), n_samples)]
    stored, implied = (summary_of(Chunk(X, weights)) for weights in ones)
    assert implied.weights == stored.weights == (1.0, 1.0)
    assert implied.equally_weighted and not stored.equally_weighted
    assert implied.n_weighted == stored.n_weighted == n_samples


def test_summaries_of_parts_add_up_to_that_of_the_whole():
    rng = np.random.default_rng(0)
    X, weights = 1e3 + rng.standard_normal((500, 3)), rng.uniform(0, 2, 500)
    parts = [
        summary_of(Chunk(X[rows], weights[rows]))
        for rows in (slice(0, 7), slice(7, 300), slice(300, 500))
    ]
    summary = parts[0] + parts[1] + parts[2]
    whole = ArrayBlocks(X, weights)
    assert summary.n_rows == (7, 293, 200)
    assert_allclose(summary.center, whole.center, rtol=1e-13)
    assert_allclose(summary.squares, whole.squares, rtol=1e-9, atol=1e-9)
