"""Parameters: weights, means and covariances of a mixture as one immutable value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ._covariances import Covariances

LOG_2_PI = float(np.log(2 * np.pi))
NEAR = 0.1  # squared standard deviations, and share of weights, of one maximum
EQUAL = 1e-6  # standard deviations, and share of factors: rounding of float32


@dataclass(frozen=True, eq=False)
class Parameters:
    """Of a Gaussian mixture: weights (K,), means (K, d) and covariances."""

    weights: NDArray
    means: NDArray
    covariances: Covariances

    def in_units(self, units: NDArray) -> Parameters:
        """The mixture of rows that are divided by units (d,)."""
        if (units == 1).all():
            return self
        covariances = self.covariances.in_units(units)
        return Parameters(self.weights, self.means / units, covariances)

    def marginal(self, features: NDArray) -> Parameters:
        """The mixture of some of the features, by their indices."""
        covariances = self.covariances.marginal(features)
        return Parameters(self.weights, self.means[:, features], covariances)

    def sample(
        self, n_samples: int, rng: np.random.RandomState
    ) -> tuple[NDArray, NDArray]:
        """Rows (n, d), grouped by component, and their components (n,)."""
        weights = self.weights / self.weights.sum()
        counts = rng.multinomial(n_samples, weights)
        normals = rng.standard_normal((n_samples, self.means.shape[1]))
        groups = np.split(normals, np.cumsum(counts)[:-1])
        rows = [
            mean + self.covariances.colorize(group, k)
            for k, (mean, group) in enumerate(zip(self.means, groups, strict=True))
        ]
        return np.vstack(rows), np.repeat(np.arange(len(counts)), counts)


def equal_components(mixture: Parameters) -> list[NDArray]:
    """Indices of components that have the same mean and covariance, group by group."""
    groups = [_equal_to(mixture, k) for k in range(len(mixture.means))]
    return [group for k, group in enumerate(groups) if len(group) > 1 and group[0] == k]


def _equal_to(mixture: Parameters, k: int) -> NDArray:
    """Indices of the components with the mean and the covariance of one of them."""
    means, covariances = mixture.means, mixture.covariances
    near = np.abs(means - means[k]) <= EQUAL * np.sqrt(covariances.variances[k])
    others = np.flatnonzero(near.all(axis=1))
    factors = covariances.factors[others].reshape(*means[others].shape, -1)
    own = covariances.factors[k].reshape(1, means.shape[1], -1)
    alike = np.abs(factors - own) <= EQUAL * np.abs(own).max(axis=2, keepdims=True)
    return others[alike.all(axis=(1, 2))]


def are_near(mixture: Parameters, other: Parameters) -> bool:
    """Whether components are those of the other, as good as in their places."""
    variances = other.covariances.variances
    shifts = (mixture.means[:, None] - other.means) ** 2 / variances
    distances = shifts.mean(axis=-1)
    nearest = distances.argmin(axis=1)
    weights = other.weights[nearest]
    return bool(
        len(set(nearest.tolist())) == len(nearest)
        and distances.min(axis=1).max() < NEAR
        and np.all(np.abs(mixture.weights - weights) < NEAR * weights)
    )
