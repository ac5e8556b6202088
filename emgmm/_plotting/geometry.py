"""Gaussians as geometry: ellipses, radii, limits of axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from emgmm._model.parameters import LOG_2_PI

RINGS = 32  # of a disc of points, each ring with as many


def limits_of(X: NDArray | None, centres: NDArray, reach: NDArray) -> NDArray:
    """Limits (d, 2) that hold the rows, as far as they have values, and all within
    reach (K, d) of the centres."""
    held = [centres - reach, centres + reach, *([] if X is None else [X])]
    low = np.fmin.reduce([np.fmin.reduce(part) for part in held])
    high = np.fmax.reduce([np.fmax.reduce(part) for part in held])
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
    """Weighted Gaussians by the axes of their ellipsoids, in units of the features."""

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
        """From covariances (K, p, p), no axis less than so many units long."""
        scaled = covariances / np.multiply.outer(units, units)
        variances, directions = np.linalg.eigh(scaled)
        lengths = np.sqrt(np.maximum(variances, least**2))
        return cls(weights, means, lengths, directions, units)

    def apply_factor(self, points: NDArray) -> NDArray:
        """Points (m, p) of the unit Gaussian in the place of each, (K, m, p)."""
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
        """Densities above which the mixture has such shares of its probability.

        In two dimensions. The probability of each component is put, in equal parts, on
        a disc of points, so that narrow components count as they should.
        """
        centres = (np.arange(RINGS) + 0.5) / RINGS
        circles = circle(RINGS)[:-1]
        disc = radii(centres)[:, None, None] * circles
        points = self.apply_factor(disc.reshape(-1, 2))
        heights = self.density(points.reshape(-1, 2))
        order = np.argsort(heights)[::-1]
        held = np.repeat(self.weights, points.shape[1])[order].cumsum()
        return np.interp(shares, held / held[-1], heights[order])


def circle(n_points: int) -> NDArray:
    """The unit circle, closed: points (n + 1, 2)."""
    angles = np.linspace(0, 2 * np.pi, n_points + 1)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def radii(levels: NDArray) -> NDArray:
    """Mahalanobis radii of the discs that hold shares of a Gaussian in a plane."""
    return np.sqrt(-2 * np.log1p(-levels))
