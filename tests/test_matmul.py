"""Products in pieces against products at once."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from emgmm._utils.matmul import PIECE, contract, gram_matrices, multiply


@pytest.mark.parametrize("n_columns", [1, PIECE - 1, PIECE, 3 * PIECE, 3 * PIECE + 7])
@pytest.mark.parametrize(
    "sizes",
    [(1, 1), (3, 6), (20, 21), (20, 66), (10, 496), (7, 1326), (150, 66), (500, 15)],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_are_those_of_whole_matrices(sizes, n_columns, dtype):
    rng = np.random.default_rng(0)
    left = rng.standard_normal(sizes).astype(dtype)
    wide = rng.standard_normal((sizes[1], n_columns)).astype(dtype)
    other = rng.standard_normal((sizes[0], n_columns)).astype(dtype)
    tolerance = {"rtol": 1e-4, "atol": 1e-3} if dtype == np.float32 else {"atol": 1e-10}
    product = multiply(left, wide, np.empty((sizes[0], n_columns), dtype))
    assert product.dtype == dtype
    assert_allclose(product, left.astype(float) @ wide.astype(float), **tolerance)
    sums = contract(wide, other)
    assert sums.dtype == np.float64
    assert_allclose(sums, wide.astype(float) @ other.astype(float).T, **tolerance)


@pytest.mark.parametrize("sizes", [(1, 1), (17, 32), (5, 70)])
def test_sums_of_float32_pieces_are_taken_in_float64(sizes):
    """Whole numbers are exact in float32 up to 2^24 and no further."""
    rng, n_columns = np.random.default_rng(0), 2**18
    wide = rng.integers(0, 512, (sizes[0], n_columns)).astype(np.float32)
    other = np.ones((sizes[1], n_columns), np.float32)
    expected = np.repeat(wide.astype(np.int64).sum(axis=1)[:, None], sizes[1], axis=1)
    assert expected.min() > 2**25
    assert np.array_equal(contract(wide, other), expected)


@pytest.mark.parametrize(
    "shape", [(1, 1), (2, 9), (3, 4, 30), (2, 97, 50), (9, 20, 400), (40, 9_000)]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gram_matrices_are_symmetric_products(shape, dtype):
    vectors = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    found, exact = gram_matrices(vectors), vectors.astype(float)
    assert np.array_equal(found, found.mT)
    tolerance = 1e-3 if dtype == np.float32 else 1e-10
    assert_allclose(found, exact @ exact.mT, atol=tolerance * np.sqrt(shape[-1]))
