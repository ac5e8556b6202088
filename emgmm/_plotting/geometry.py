"""The geometry of Gaussians: ellipses, radii, limits of axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from emgmm._model.parameters import LOG_2_PI

RINGS = 32  # of points in a disc; each ring has as many points


def limits_of(X: NDArray | None, centres: NDArray, reach: NDArray) -> NDArray:
    """Limits (d, 2) of axes that contain all values, and reach (K, d) from centres."""
    extremes = [centres - reach, centres + reach, *([] if X is None else [X])]
    low = np.fmin.reduce([np.fmin.reduce(part) for part in extremes])
    high = np.fmax.reduce([np.fmax.reduce(part) for part in extremes])
    least = 1e-6 * np.maximum(np.abs(low), np.abs(high))
    width = np.where(high - low > least, high - low, np.maximum(least, 1e-6))
    if X is not None and len(X):
        value = np.fmax.reduce(X)
        scale = np.where(value == 0, 1.0, np.abs(value))
        constant = (np.fmin.reduce(X) == value) & (high - low <= 1e-6 * scale)
        low, high = (
            np.where(constant, value + side * scale, end)
            for side, end in ((-0.5, low), (0.5, high))
        )
        width = np.where(constant, scale, width)
    return np.stack([low - 0.04 * width, high + 0.04 * width], axis=1)


@dataclass(frozen=True, eq=False)
class Gaussians:
    """Weighted Gaussians as ellipsoids: lengths and directions of their axes."""

    weights: NDArray
    means: NDArray
    lengths: NDArray
    directions: NDArray
    units: NDArray

    @classmethod
    def of(
        cls,
        weights: NDArray,
        means: NDArray,
        covariances: NDArray,
        units: NDArray,
        least: float = 0.0,
    ) -> Self:
        """Ellipsoids of covariances (K, p, p), their axes no shorter than ``least``."""
        scaled = covariances / np.multiply.outer(units, units)
        variances, directions = np.linalg.eigh(scaled)
        lengths = np.sqrt(np.maximum(variances, least**2))
        return cls(weights, means, lengths, directions, units)

    def apply_factor(self, points: NDArray) -> NDArray:
        """Points (m, p) of the unit Gaussian, mapped to each Gaussian (K, m, p)."""
        turned = (points * self.lengths[:, None]) @ self.directions.mT
        return self.means[:, None] + turned * self.units

    def log_joint(self, points: NDArray) -> NDArray:
        """log w_k + log N(x; mean_k, covariance_k), shape (K, m)."""
        log_joint = np.empty((len(self.means), len(points)))
        volumes = np.log(self.lengths).sum(axis=1) + np.log(self.units).sum()
        constant = -volumes - 0.5 * len(self.units) * LOG_2_PI
        for k, mean in enumerate(self.means):
            turned = ((points - mean) / self.units) @ self.directions[k]
            log_joint[k] = constant[k] - 0.5 * ((turned / self.lengths[k]) ** 2).sum(1)
        with np.errstate(divide="ignore"):
            return log_joint + np.log(self.weights)[:, None]

    def density(self, points: NDArray) -> NDArray:
        """Density of the mixture at points (m, p)."""
        return np.exp(logsumexp(self.log_joint(points), axis=0))

    def heights(self, shares: NDArray) -> NDArray:
        """Densities above which a mixture in the plane has shares of its probability.

        The probability of each component is divided equally among points on a disc, so
        that narrow components are represented as well as wide ones.
        """
        centres = (np.arange(RINGS) + 0.5) / RINGS
        circles = circle(RINGS)[:-1]
        disc = radii(centres)[:, None, None] * circles
        points = self.apply_factor(disc.reshape(-1, 2))
        heights = self.density(points.reshape(-1, 2))
        order = np.argsort(heights)[::-1]
        above = np.repeat(self.weights, points.shape[1])[order].cumsum()
        return np.interp(shares, above / above[-1], heights[order])


def circle(n_points: int) -> NDArray:
    """Points (n + 1, 2) on the unit circle, the last one the first."""
    angles = np.linspace(0, 2 * np.pi, n_points + 1)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def radii(levels: NDArray) -> NDArray:
    """Mahalanobis radii within which a Gaussian in the plane has such probabilities."""
    return np.sqrt(-2 * np.log1p(-levels))
