"""Mixture: weights, means and covariances as one immutable distribution."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ._covariances import Covariances

LOG_2_PI = float(np.log(2 * np.pi))


@dataclass(frozen=True, eq=False)
class Mixture:
    """Gaussian mixture with weights (K,), means (K, d) and covariances."""

    weights: NDArray
    means: NDArray
    covariances: Covariances

    def log_joint(self, X: NDArray) -> NDArray:
        """log w_k + log N(x; mean_k, covariance_k) of rows (n, d), shape (n, K)."""
        log_joint = self.covariances.mahalanobis(X, self.means)
        log_joint *= -0.5
        with np.errstate(divide="ignore"):  # the logarithm of a weight of zero
            log_weights = np.log(self.weights)
        n_features = self.means.shape[1]
        log_joint += log_weights - 0.5 * (
            n_features * LOG_2_PI + self.covariances.log_det
        )
        return log_joint

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


def posterior(log_joint: NDArray) -> tuple[NDArray, NDArray]:
    """log f(x), shape (n,), and the responsibilities, which overwrite ``log_joint``.

    A row so far from every component that all its densities underflow even as
    logarithms is shared by them equally.
    """
    peak = log_joint.max(axis=1)
    lost = np.isneginf(peak)
    if lost.any():
        log_joint[lost] = 0.0
    responsibilities = np.subtract(
        log_joint, np.where(lost, 0.0, peak)[:, None], out=log_joint
    )
    np.exp(responsibilities, out=responsibilities)
    total = responsibilities.sum(axis=1)
    responsibilities /= total[:, None]
    return peak + np.log(total), responsibilities


def weighted_sum(weights: NDArray, values: NDArray) -> float:
    """Sum of weights times values, where 0 times infinity is 0."""
    counted = weights > 0
    return float(weights[counted] @ values[counted])
