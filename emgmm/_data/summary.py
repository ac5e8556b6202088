"""The summary of rows: how many there are, how they are weighted, where they lie."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emgmm._utils.cached import cached_property
from emgmm._utils.matmul import squares

from .scaling import resolution_of, scales_of, type_of_sums, variances_of


class Summary(ABC):
    """Values that describe weighted rows as a whole.

    They do not change. What takes a pass over the rows is computed on first use.
    """

    @property
    @abstractmethod
    def n_samples(self) -> int:
        """Number of rows."""

    @property
    @abstractmethod
    def n_features(self) -> int:
        """Number of features."""

    @property
    @abstractmethod
    def n_weighted(self) -> int:
        """Number of rows of positive weight."""

    @property
    @abstractmethod
    def n_complete(self) -> int:
        """Number of rows of positive weight in which no value is missing."""

    @property
    @abstractmethod
    def n_patterns(self) -> int:
        """Number of patterns of missing values; 1 if none is missing."""

    @property
    @abstractmethod
    def incomplete(self) -> bool:
        """Whether values may be missing (NaN)."""

    @property
    @abstractmethod
    def equally_weighted(self) -> bool:
        """Whether the rows were passed without weights."""

    @property
    @abstractmethod
    def weight(self) -> float:
        """Sum of the weights."""

    @property
    @abstractmethod
    def weight_range(self) -> tuple[float, float]:
        """The least positive weight and the greatest."""

    @property
    @abstractmethod
    def dtype(self) -> np.dtype:
        """Type of the rows, and of what is published: float32 or float64."""

    @property
    @abstractmethod
    def counts(self) -> NDArray:
        """Weights (d,) of the rows in which each feature is observed."""

    @property
    @abstractmethod
    def center(self) -> NDArray:
        """Weighted means (d,) of the observed values."""

    @property
    @abstractmethod
    def squares(self) -> NDArray:
        """Weighted sums (d,) of the squared deviations of observed values from them."""

    @property
    @abstractmethod
    def scatter(self) -> NDArray:
        """Weighted scatter matrix (d, d) about the center, of complete rows only."""

    @property
    @abstractmethod
    def extremes(self) -> tuple[NDArray, NDArray]:
        """Least and greatest value (d,) of each feature, in rows of positive weight."""

    @property
    @abstractmethod
    def steps(self) -> NDArray:
        """Rounding steps (d,) of the features, as far as rows show: 0 where there is
        none, NaN of a constant feature."""

    @property
    def greatest_weight(self) -> float:
        """The greatest weight of a row."""
        return self.weight_range[1]

    @cached_property
    def variances(self) -> NDArray:
        """Weighted variances (d,) of the features."""
        return variances_of(self.squares, self.counts)

    @property
    def scales(self) -> NDArray:
        """Scales (d,) of the features: absolute mean plus standard deviation."""
        return scales_of(self.center, self.variances)

    @property
    def resolution(self) -> float:
        """Relative error of deviations of rows from published parameters."""
        return resolution_of(self.dtype)

    @cached_property
    def compute_dtype(self) -> np.dtype:
        """Type in which sums within a block are taken: float32 if that is enough."""
        if self.dtype == np.float64:
            return self.dtype
        return type_of_sums(self.dtype, *self.weight_range)


@dataclass(frozen=True, eq=False)
class Extremes:
    """Least and greatest values (d,) of rows; those of more rows add."""

    least: NDArray
    greatest: NDArray

    def __add__(self, other: Extremes) -> Extremes:
        least = np.fmin(self.least, other.least)
        return Extremes(least, np.fmax(self.greatest, other.greatest))


def scatter_about(center: NDArray, sum_rows: Callable[..., Any]) -> NDArray:
    """Scatter matrix (d, d) of complete rows about their center, in one pass."""
    return sum_rows(partial(_products_about, center=center))[1:, 1:]


def _products_about(X: NDArray, weights: NDArray, center: NDArray) -> NDArray:
    """Weighted products (1 + d, 1 + d) of [1, deviations from the center]."""
    return squares(X - center, weights)
