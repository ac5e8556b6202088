"""Blocks of rows: in order, in float64, without a copy of the whole."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from threadpoolctl import threadpool_limits

from emgmm._data.arrays import MAX_GROUPS, ArrayBlocks


@pytest.mark.parametrize("block_size", [1, 5, 7, 10**6])
def test_sums_visit_every_row_once_and_in_order(block_size):
    X = np.arange(30.0).reshape(10, 3)
    weights = np.arange(10.0)
    blocks = ArrayBlocks(X, weights, block_size)
    seen = blocks.sum(lambda rows, weights, labels: [(rows, weights, labels)], X[:, 0])
    assert_array_equal(np.vstack([rows for rows, _, _ in seen]), X)
    assert_array_equal(np.concatenate([weights for _, weights, _ in seen]), weights)
    assert_array_equal(np.concatenate([labels for _, _, labels in seen]), X[:, 0])
    assert all(len(rows) * 3 <= max(block_size, 3) for rows, _, _ in seen)


@pytest.mark.parametrize("n_samples, rows", [(1, 1), (7, 7), (8, 7), (1000, 7)])
def test_blocks_are_of_about_equal_size_and_as_many_as_threads_share(n_samples, rows):
    blocks = ArrayBlocks(np.zeros((n_samples, 2)), np.ones(n_samples))
    sizes = [block.stop - block.start for block in blocks.slices(rows)]
    assert sum(sizes) == n_samples and 0 < min(sizes) and max(sizes) <= rows
    assert max(sizes) - min(sizes) <= 1
    assert len(sizes) == 1 or len(sizes) % 4 == 0


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_functions_receive_the_rows_themselves(order, dtype):
    X = np.asarray(np.random.default_rng(0).normal(size=(50, 4)), dtype, order=order)
    X.flags.writeable = False
    blocks = ArrayBlocks(X, np.ones(50), block_size=40)
    out = np.empty((50, 2), dtype)
    blocks.map(lambda rows: rows[:, :2], out)
    assert_array_equal(out, X[:, :2])
    assert blocks.sum(lambda rows, weights: [rows.base is not None])
    scatter = (X - X.mean(0)).T @ (X - X.mean(0))
    assert_allclose(blocks.summary.scatter, scatter, rtol=1e-5)


def compute_dtype(X, weights):
    return ArrayBlocks(X, weights).summary.compute_dtype


def test_float32_rows_with_weights_beyond_its_range_are_summed_in_float64():
    X = np.zeros((3, 1), np.float32)
    for weights in [[1.0, 1e30, 1.0], [1.0, 0.0, 1e-30]]:
        assert compute_dtype(X, np.array(weights)) == np.float64
    assert compute_dtype(X, np.array([1.0, 0.0, 2.0])) == np.float32
    assert compute_dtype(X, None) == np.float32
    assert compute_dtype(X.astype(float), np.ones(3)) == np.float64


def test_the_center_is_the_weighted_mean_at_any_offset():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(1000, 2))
    weights = rng.uniform(size=1000)
    expected = np.average(X, axis=0, weights=weights)
    assert_allclose(ArrayBlocks(X, weights).summary.center, expected, rtol=1e-12)
    shifted = ArrayBlocks(X + 2.0**40, weights, block_size=64).summary.center
    assert_allclose(
        shifted - 2.0**40,
        np.average((X + 2.0**40) - 2.0**40, axis=0, weights=weights),
        atol=2.0**-12,
    )


def test_sums_are_added_in_order_and_few_are_kept():
    """Whatever the order in which they come; as floats show by their rounding."""
    X = np.random.default_rng(0).standard_normal((4000, 1)) * 1e6
    blocks = ArrayBlocks(X, np.ones(4000), block_size=10)
    expected = blocks.sum(lambda rows, weights: rows.sum())
    with threadpool_limits(4):
        for _ in range(5):
            assert blocks.sum(lambda rows, weights: rows.sum()) == expected
    # A thread may be ahead of another by all groups, but no number of blocks.
    for n_threads, most in (1, 5), (2, MAX_GROUPS + 6):
        with threadpool_limits(n_threads):
            tracemalloc.start()
            blocks.sum(lambda rows, weights: np.ones(10**5))
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        assert peak < most * 8e5


def test_a_memory_map_is_read_block_by_block(tmp_path):
    path = tmp_path / "rows.dat"
    np.memmap(path, np.float32, "w+", shape=(500_000, 4))[:] = 1.0
    X = np.memmap(path, np.float32, "r", shape=(500_000, 4))
    blocks = ArrayBlocks(X)
    tracemalloc.start()
    total = blocks.sum(lambda rows, weights: weights @ rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert_array_equal(total, np.full(4, 500_000.0))
    assert peak < X.nbytes / 2
