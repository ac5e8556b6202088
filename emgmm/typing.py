"""Types for annotations: rows, names of models, and the result of a search.

CovarianceType : names that `covariance_type` accepts.
RowsLike : what `fit` accepts as `X`: rows, blocks of them, or a function that returns
    blocks.
SelectedParams : `best_params_` of `GaussianMixtureIC`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, TypedDict

from numpy.typing import ArrayLike

__all__ = ["CovarianceType", "RowsLike", "SelectedParams"]

CovarianceType = Literal[
    "full",
    "tied",
    "diag",
    "spherical",
    "EII",
    "VII",
    "EEI",
    "VEI",
    "EVI",
    "VVI",
    "EEE",
    "VEE",
    "EVE",
    "VVE",
    "EEV",
    "VEV",
    "EVV",
    "VVV",
]
Block = ArrayLike | tuple[ArrayLike, ArrayLike]
"""Rows, or a pair of rows and their weights."""
RowsLike = ArrayLike | Iterable[Block] | Callable[[], Iterable[Block]]


class SelectedParams(TypedDict):
    """Parameters of `GaussianMixtureEM` that a search selects.

    Examples
    --------
    >>> from emgmm.typing import SelectedParams
    >>> SelectedParams(n_components=2, covariance_type="VVV")
    {'n_components': 2, 'covariance_type': 'VVV'}
    """

    n_components: int
    covariance_type: CovarianceType
