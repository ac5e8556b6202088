"""Parameters: weights, means and covariances of a mixture as one immutable value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ._covariances import Covariances

LOG_2_PI = float(np.log(2 * np.pi))
BLOCK_SIZE = 2**16  # numbers that are drawn at a time


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
        counts = rng.multinomial(n_samples, self.weights / self.weights.sum())
        rows = self.sample_of_components(counts, rng)
        return rows, np.repeat(np.arange(len(counts)), counts)

    def sample_of_components(
        self, counts: NDArray, rng: np.random.RandomState
    ) -> NDArray:
        """So many rows (K,) of each component, one component after the other."""
        n_features = self.means.shape[1]
        rows = np.empty((counts.sum(), n_features))
        length = max(BLOCK_SIZE // n_features, 1)
        ends = np.cumsum(counts)
        for k, (begin, end) in enumerate(zip(ends - counts, ends, strict=True)):
            for start in range(begin, end, length):
                block = rows[start : min(start + length, end)]
                normals = rng.standard_normal(block.shape)
                np.add(self.means[k], self.covariances.colorize(normals, k), out=block)
        return rows
