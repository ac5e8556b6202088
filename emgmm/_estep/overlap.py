"""How far clusters overlap that are made of one or several components each.

A cluster's probability is the sum of the responsibilities of its components. Of each
pass over the rows only sums over them are kept, one number for a pair of clusters.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from emgmm._data.base import RowSource
from emgmm._model.parameters import Parameters
from emgmm._utils.ties import TIE

from .kernel import Kernel
from .predict import sums_with_any


def sums_of_clusters(
    rows: RowSource,
    mixture: Parameters,
    members: NDArray,
    function: Callable[[NDArray, NDArray], NDArray],
) -> NDArray:
    """Sum over blocks of function(probabilities (C, n), weights (n,)).

    ``members`` (C, K) says with ones which components belong to which cluster. Where
    the mixture has noise, it is a further cluster, the last.
    """

    def of_block(kernel: Kernel, X: NDArray, weights: NDArray) -> NDArray:
        joint = kernel.joint(kernel.features(X), X)
        log_density, responsibilities = kernel.posterior(joint)
        shares = members @ responsibilities
        if joint.noise is not None:
            of_noise = kernel.noise_shares(joint, log_density)
            shares = np.concatenate([shares, of_noise])
        return function(shares, weights)[None]

    of_part = partial(sums_with_any, [mixture], of_block, False)
    sums: NDArray = rows.accumulate(of_part).values[0][0]
    return sums


def weights_and_gains(
    shares: NDArray, weights: NDArray, pairs: tuple[NDArray, NDArray]
) -> NDArray:
    """The weights (C,) of the rows that are assigned to the clusters, then decreases of
    the entropy (P,) by merging pairs of clusters."""
    sums = _sums_of_pairs(shares, weights, pairs, entropy_gains)
    return np.append(_assigned(shares, weights), sums)


def weights_and_errors(
    shares: NDArray, weights: NDArray, pairs: tuple[NDArray, NDArray]
) -> NDArray:
    """The same weights (C,), the weights (C,) that clusters have by their
    probabilities, and of these for pairs what the first (P,) and the second (P,) have
    of rows of which the other is more probable, and half where both are as probable."""
    sums = _sums_of_pairs(shares, weights, pairs, errors)
    return np.concatenate([_assigned(shares, weights), shares @ weights, sums.ravel()])


def _assigned(shares: NDArray, weights: NDArray) -> NDArray:
    """The weights (C,) of the rows that are assigned to the clusters."""
    return np.bincount(labels_of(shares), weights, len(shares))


def _sums_of_pairs(
    shares: NDArray,
    weights: NDArray,
    pairs: tuple[NDArray, NDArray],
    function: Callable[[NDArray, NDArray], NDArray],
) -> NDArray:
    """Weighted sums (..., P) over rows of a function of two clusters' probabilities, in
    no more memory at a time than the probabilities take."""
    ends = range(len(shares), len(pairs[0]), len(shares))
    parts = zip(*(np.split(own, ends) for own in pairs), strict=True)
    sums = [function(shares[i], shares[j]) @ weights for i, j in parts]
    return np.concatenate(sums, axis=-1)


def errors(first: NDArray, second: NDArray) -> NDArray:
    """The smaller one of two probabilities, (2, ...): where the first is smaller, where
    the second is; half of it in both where they are equal, but for rounding."""
    less, ahead = np.minimum(first, second), second - first
    ahead[np.abs(ahead) <= TIE * (first + second)] = 0.0
    behind = np.heaviside(ahead, 0.5)
    return np.stack([less * behind, less * (1 - behind)])


def entropy_gains(first: NDArray, second: NDArray) -> NDArray:
    """Decreases of the entropy by adding probabilities a and b, none negative:
    (a + b) log(a + b) - a log a - b log b, without its cancellation.

    The same for (b, a), to the last bit.
    """
    more, less = np.maximum(first, second), np.minimum(first, second)
    ratio = np.divide(less, more, out=np.zeros_like(more), where=more > 0)
    return (more + less) * np.log1p(ratio) - xlogy(less, ratio)


def labels_of(shares: NDArray) -> NDArray:
    """The most probable clusters (n,), among equally probable ones the first."""
    labels: NDArray = (shares >= (1 - TIE) * shares.max(axis=0)).argmax(axis=0)
    return labels
