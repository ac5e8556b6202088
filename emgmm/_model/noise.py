"""Noise: rows that belong to no component, of constant density in a box."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Noise:
    """A uniform distribution over a box about a center (d,), with logarithms of its
    lengths (d,); a row that misses features has the density of the others."""

    center: NDArray
    log_lengths: NDArray

    @property
    def log_density(self) -> float:
        """Log-density of complete rows."""
        return float(-self.log_lengths.sum())

    def log_densities(self, X: NDArray) -> NDArray:
        """Log-densities (n,) of rows in which values may be missing."""
        return ~np.isnan(X) @ -self.log_lengths

    def in_units(self, units: NDArray) -> Noise:
        """The noise of rows that are divided by units (d,)."""
        return Noise(self.center / units, self.log_lengths - np.log(units))

    def marginal(self, features: NDArray) -> Noise:
        """The noise of some of the features, by their indices."""
        return Noise(self.center[features], self.log_lengths[features])

    def sample(self, n_samples: int, rng: np.random.RandomState) -> NDArray:
        """Rows (n, d) sampled from it."""
        shares = rng.uniform(-0.5, 0.5, size=(n_samples, len(self.center)))
        return self.center + shares * np.exp(self.log_lengths)
