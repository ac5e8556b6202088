"""Newton's method for volumes, where matrices of a mixture are equal but for them.

For matrices lambda_k C of the components k of a mixture, with the best C for every
lambda, the objective of the M-step is, up to constants,
f = d sum_k n_k log lambda_k + n log|sum_k W_k / lambda_k|, which is convex in log
lambda; plain alternation of volumes and C can take thousands of steps.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from .linalg import inverse_cholesky, solve
from .segments import Segments

NEWTON_TOL = 1e-28  # squared Newton decrement per row at which the method ends
LINE_TOL = 1e-12  # per row: gains that rounding hides need no shorter step
DAMPING = 1e-10  # per row: of a Hessian that may be singular
LEAST_SIZE = 2.0**-20  # of a step: smaller gains would be rounding
MAX_IDLE = 2  # steps that gain no more than rounding; each doubles the digits
MAX_ITER = 100


@dataclass(frozen=True, eq=False)
class Common(ABC):
    """The objectives of the mixtures of a stack, as functions of log lambda (M,)."""

    segments: Segments
    counts: NDArray
    scatter: NDArray

    def take(self, mixtures: NDArray) -> Self:
        """The objectives of some of the mixtures, by a mask (B,)."""
        own = self.segments.components(mixtures)
        return type(self)(
            self.segments.take(mixtures), self.counts[own], self.scatter[own]
        )

    @property
    def scale(self) -> NDArray:
        """The numbers of rows times features (B,)."""
        return self.segments.sum(self.counts) * self.scatter.shape[-1]

    def sums(self, log_volumes: NDArray) -> NDArray:
        """sum_k W_k / lambda_k, shape (B, ...)."""
        return self.segments.sum(self.scaled(log_volumes))

    def scaled(self, log_volumes: NDArray) -> NDArray:
        """W_k / lambda_k, shape (M, ...)."""
        ratios = np.exp(-log_volumes).reshape(-1, *[1] * (self.scatter.ndim - 1))
        return self.scatter * ratios

    def values(self, log_volumes: NDArray) -> NDArray:
        """The objectives (B,)."""
        totals, d = self.segments.sum(self.counts), self.scatter.shape[-1]
        volumes = d * self.segments.sum(self.counts * log_volumes)
        return volumes + totals * self.log_det(log_volumes)

    def derivatives(self, log_volumes: NDArray) -> tuple[NDArray, NDArray]:
        """Gradients (M,) and Hessians (B, L, L) for the at most L components of each
        mixture, with zeros for those that it lacks."""
        segments, d = self.segments, self.scatter.shape[-1]
        shares, traces = self.shares(log_volumes)
        totals = segments.sum(self.counts)
        padded = segments.padded(shares.reshape(len(shares), -1))
        hessian = -(padded @ padded.mT)
        np.einsum("bii->bi", hessian)[:] += segments.padded(traces)
        gradient = d * self.counts - segments.spread(totals) * traces
        return gradient, totals[:, None, None] * hessian

    @abstractmethod
    def log_det(self, log_volumes: NDArray) -> NDArray:
        """log|sum_k W_k / lambda_k| (B,)."""

    @abstractmethod
    def shares(self, log_volumes: NDArray) -> tuple[NDArray, NDArray]:
        """W_k / lambda_k in units in which their sum is the identity, and the traces
        (M,)."""


class CommonShape(Common):
    """Of diagonal matrices, where the scatter is (M, d)."""

    def log_det(self, log_volumes: NDArray) -> NDArray:
        return np.log(self.sums(log_volumes)).sum(axis=1)

    def shares(self, log_volumes: NDArray) -> tuple[NDArray, NDArray]:
        scaled = self.scaled(log_volumes)
        shares = scaled / self.segments.spread(self.segments.sum(scaled))
        return shares, shares.sum(axis=1)


class CommonMatrix(Common):
    """Of any matrices, where the scatter is (M, d, d)."""

    def log_det(self, log_volumes: NDArray) -> NDArray:
        factors = inverse_cholesky(self.sums(log_volumes))
        return -2 * np.log(np.einsum("bii->bi", factors)).sum(axis=1)

    def shares(self, log_volumes: NDArray) -> tuple[NDArray, NDArray]:
        scaled = self.scaled(log_volumes)
        factors = inverse_cholesky(self.segments.sum(scaled))
        factors = self.segments.spread(factors)
        shares = factors.mT @ scaled @ factors
        return shares, np.einsum("kii->k", shares)


def newton(function: Common, point: NDArray) -> NDArray:
    """Minimisers (M,) of the objectives, by damped Newton steps from a point (M,).

    Each mixture ends by itself. Objectives do not depend on the mean of log lambda: a
    term that fixes it is added to the Hessian, which makes it definite.
    """
    segments, out = function.segments, point.copy()
    left, idle = np.arange(len(segments)), np.zeros(len(segments))
    values = function.values(point)
    for _ in range(MAX_ITER):
        steps, decrements = _newton_steps(function, point)
        going = (decrements > NEWTON_TOL * function.scale) & (idle < MAX_IDLE)
        if not going.any():
            break
        if not going.all():
            own, left = function.segments.components(going), left[going]
            point, steps, decrements = point[own], steps[own], decrements[going]
            values, idle, function = values[going], idle[going], function.take(going)
        sizes, reached = _line_search(function, point, steps, values, decrements)
        idle += reached > values - LINE_TOL * function.scale
        idle[sizes == 0] = MAX_IDLE
        point, values = point + function.segments.spread(sizes) * steps, reached
        out[segments.components(left)] = point
    return out


def _newton_steps(function: Common, point: NDArray) -> tuple[NDArray, NDArray]:
    """Newton steps (M,) and squared decrements (B,)."""
    segments = function.segments
    gradient, hessian = function.derivatives(point)
    lacking = ~segments.padded(np.ones(len(point), dtype=bool))
    shift = (function.scale / segments.sizes**2)[:, None, None]
    hessian += np.where(lacking[:, :, None] | lacking[:, None], 0.0, shift)
    # Flat where a row is all in one place; 1 stands for components that are lacking.
    diagonals = np.einsum("bii->bi", hessian)
    diagonals += np.where(lacking, 1.0, DAMPING * function.scale[:, None])
    step = -solve(hessian, segments.padded(gradient)[..., None])[..., 0]
    steps = step[~lacking]
    return steps, -segments.sum(gradient * steps)


def _line_search(
    function: Common,
    point: NDArray,
    steps: NDArray,
    values: NDArray,
    decrements: NDArray,
) -> tuple[NDArray, NDArray]:
    """Shares (B,) of steps that lower the objectives enough, 0 where none does, and the
    objectives there."""
    sizes, spread = np.ones(len(values)), function.segments.spread
    limits = values + LINE_TOL * function.scale
    while True:
        reached = function.values(point + spread(sizes) * steps)
        failing = reached > limits - 0.1 * sizes * decrements
        if not failing.any():
            return sizes, reached
        sizes[failing] /= 2
        sizes[sizes < LEAST_SIZE] = 0.0
