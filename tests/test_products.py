"""Products in pieces against products at once."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from emgmm._products import PIECE, contract, multiply


@pytest.mark.parametrize("n_columns", [1, PIECE - 1, PIECE, 3 * PIECE, 3 * PIECE + 7])
@pytest.mark.parametrize(
    "sizes", [(1, 1), (3, 6), (20, 21), (20, 66), (10, 496), (7, 1326), (150, 66)]
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


def test_sums_of_float32_pieces_are_taken_in_float64():
    """Ones add up to 2^24 in float32 and no further."""
    ones = np.ones((6, 2**25), np.float32)
    assert np.all(contract(ones, ones) == 2.0**25)
