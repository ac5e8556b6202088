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
            relative = log_density - kernel.reference_rows
            shares = np.concatenate([shares, np.exp(joint.noise - relative)])
        return function(shares, weights)[None]

    of_part = partial(sums_with_any, [mixture], of_block, False)
    sums: NDArray = rows.accumulate(of_part).values[0][0]
    return sums


def weights_and_gains(
    shares: NDArray, weights: NDArray, pairs: tuple[NDArray, NDArray]
) -> NDArray:
    """The weights (C,) of the rows that are assigned to the clusters, then decreases of
    the entropy (P,) by merging pairs of clusters."""
    assigned = np.bincount(labels_of(shares), weights, len(shares))
    first, second = shares[pairs[0]], shares[pairs[1]]
    return np.append(assigned, entropy_gains(first, second) @ weights)


def weights_and_confusions(shares: NDArray, weights: NDArray) -> NDArray:
    """The same weights (C,), then sums (C, C) of the probabilities of cluster j of the
    rows for which cluster i is more probable, and on the diagonal of all rows; half of
    those for which both are equally probable."""
    assigned = np.bincount(labels_of(shares), weights, len(shares))
    confused = np.empty((len(shares), len(shares)))
    for i, own in enumerate(shares):
        ahead = own - shares
        ahead[np.abs(ahead) <= TIE * own] = 0.0
        confused[i] = (shares * np.heaviside(ahead, 0.5)) @ weights
    np.fill_diagonal(confused, shares @ weights)
    return np.append(assigned, confused)


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
