"""Data sets for examples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import check_random_state

from ._model.covariances import Full
from ._model.parameters import Parameters
from ._model.segments import Segments
from ._utils.validation import check_n_samples


def make_three_components(
    n_samples: int = 10000,
    random_state: int | np.random.RandomState | None = None,
) -> tuple[NDArray, NDArray]:
    """Draw from three 2-D Gaussians, each narrower than the one before.

    Weights 0.5, 0.3 and 0.2, means (0, 0), (5, 5) and (10, 10), unit variances,
    correlations 0, 0.5 and 0.75.

    Parameters
    ----------
    n_samples : int, default=10000
        Number of rows, at least 1.
    random_state : int, RandomState instance or None, default=None
        Seed of the draw; an int gives the same rows at every call.

    Returns
    -------
    X : ndarray of shape (n_samples, 2)
        The rows, in random order.
    y : ndarray of shape (n_samples,)
        Component of each row: 0, 1 or 2.

    Raises
    ------
    ValueError
        If `n_samples` is not an integer of 1 or more.

    Examples
    --------
    >>> from emgmm.datasets import make_three_components
    >>> X, y = make_three_components(n_samples=1000, random_state=0)
    >>> X.shape, y.shape
    ((1000, 2), (1000,))
    """
    mixture = _three_components()
    n_samples = check_n_samples(n_samples, mixture.means.shape[1])
    rng = check_random_state(random_state)
    X, y = mixture.sample(n_samples, rng)
    order = rng.permutation(n_samples)
    return X[order], y[order]


def _three_components() -> Parameters:
    """The mixture that the rows are drawn from."""
    covariances = np.tile(np.eye(2), (3, 1, 1))
    covariances[:, 0, 1] = covariances[:, 1, 0] = [0.0, 0.5, 0.75]
    means = np.array([[0.0, 0.0], [5.0, 5.0], [10.0, 10.0]])
    weights = np.array([0.5, 0.3, 0.2])
    return Parameters(weights, means, Full.from_values(covariances, Segments.one(3), 2))
