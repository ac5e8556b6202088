"""The demonstration data: what they are said to be."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from emgmm.datasets import make_three_components


def test_three_components_have_their_weights_means_and_covariances():
    X, y = make_three_components(n_samples=200_000, random_state=0)
    assert_allclose(np.bincount(y) / len(y), [0.5, 0.3, 0.2], atol=0.005)
    for k, correlation in enumerate([0.0, 0.5, 0.75]):
        rows = X[y == k]
        assert_allclose(rows.mean(axis=0), [5 * k, 5 * k], atol=0.025)
        expected = [[1, correlation], [correlation, 1]]
        assert_allclose(np.cov(rows.T), expected, atol=0.03)


def test_a_seed_repeats_the_rows_and_their_order_is_random():
    X, y = make_three_components(100, random_state=1)
    again, _ = make_three_components(100, random_state=1)
    other, _ = make_three_components(100, random_state=2)
    assert_array_equal(X, again)
    assert not np.array_equal(X, other)
    assert np.any(np.diff(y) < 0)


def test_no_rows_are_refused():
    for n_samples in [0, 1.5, None, "5"]:
        with pytest.raises(ValueError, match=f"'n_samples': {n_samples!r}"):
            make_three_components(n_samples)
