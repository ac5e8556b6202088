"""Newton's method for volumes, where matrices of a mixture are equal but for them.

For matrices lambda_k C of the components k of a mixture, with the best C for every
lambda, the objective of the M-step is, up to constants,
f = d sum_k n_k log lambda_k + n log|sum_k W_k / lambda_k|, which is convex in log
lambda; plain alternation of volumes and C can take thousands of steps.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from emgmm._utils.cached import cached_property

from .linalg import inverse_cholesky, solve
from .segments import Segments

# Squared Newton decrements, per row and feature, of the last step: the next would be
# the square of this.
ENOUGH = 1e-16
ENOUGH_INEXACT = 1e-6  # in generalised EM
LINE_TOL = 1e-12  # per row: gains that rounding hides need no shorter step
DAMPING = 1e-10  # per row: of a Hessian that may be singular
LEAST_SIZE = 2.0**-20  # of a step: smaller gains would be rounding
MAX_IDLE = 2  # steps that gain no more than rounding; each doubles the digits
MAX_ITER = 100


class At(NamedTuple):
    """What is known at a point."""

    values: NDArray
    """The objectives per row (B,)."""
    scaled: NDArray
    """W_k / lambda_k, shape (M, ...)."""
    sums: NDArray
    """sum_k W_k / lambda_k, shape (B, ...)."""
    whiteners: NDArray
    """What turns the sums into identities, shape (B, ...)."""

    def take(self, mixtures: NDArray, components: NDArray) -> At:
        """What is known of some mixtures and their components."""
        return At(
            self.values[mixtures],
            self.scaled[components],
            self.sums[mixtures],
            self.whiteners[mixtures],
        )


@dataclass(frozen=True, eq=False)
class Common(ABC):
    """The objectives per row of the mixtures of a stack, as functions of log lambda.

    ``shares`` (M,) are those of the rows of a mixture that its components have.
    """

    segments: Segments
    shares: NDArray
    scatter: NDArray

    @classmethod
    def of(cls, segments: Segments, counts: NDArray, scatter: NDArray) -> Self:
        """The objectives of components with counts (M,) and scatter (M, ...)."""
        shares = counts / segments.spread(segments.sum(counts))
        return cls(segments, shares, scatter)

    def take(self, mixtures: NDArray) -> Self:
        """The objectives of some of the mixtures, by a mask (B,)."""
        own = self.segments.components(mixtures)
        return type(self)(
            self.segments.take(mixtures), self.shares[own], self.scatter[own]
        )

    @property
    def n_features(self) -> int:
        """The number of features d."""
        return self.scatter.shape[-1]

    def at(self, log_volumes: NDArray) -> At:
        """The objectives at log lambda (M,)."""
        ratios = np.exp(-log_volumes).reshape(-1, *[1] * (self.scatter.ndim - 1))
        scaled = self.scatter * ratios
        sums = self.segments.sum(scaled)
        log_det, whiteners = self.factorize(sums)
        volumes = self.segments.sum(self.shares * log_volumes)
        return At(self.n_features * volumes + log_det, scaled, sums, whiteners)

    def derivatives(self, at: At) -> tuple[NDArray, NDArray]:
        """Gradients (M,) and Hessians (B, L, L) for the at most L components of each
        mixture, made definite: objectives do not depend on the mean of log lambda, and
        are flat where a row is all in one place."""
        segments, d = self.segments, self.n_features
        whitened, traces = self.whiten(at.scaled, segments.spread(at.whiteners))
        padded = segments.padded(whitened)
        hessian = self.fixed_mean - padded @ padded.mT
        diagonals = np.einsum("bii->bi", hessian)
        diagonals += segments.padded(traces + DAMPING * d)
        return d * self.shares - traces, hessian

    @cached_property
    def fixed_mean(self) -> NDArray:
        """What is added to Hessians (B, L, L): a term that fixes the mean of the
        components that a mixture has, and identities for those that it lacks."""
        segments = self.segments
        terms = self.n_features / segments.sizes[:, None, None] ** 2
        if len(segments) == 1:
            return terms
        lacking = segments.places_lacking
        terms = np.where(lacking[:, :, None] | lacking[:, None], 0.0, terms)
        np.einsum("bii->bi", terms)[lacking] = 1.0
        return terms

    @abstractmethod
    def factorize(self, sums: NDArray) -> tuple[NDArray, NDArray]:
        """Log-determinants (B,) of sums, and what whitens them."""

    @abstractmethod
    def whiten(self, scaled: NDArray, whiteners: NDArray) -> tuple[NDArray, NDArray]:
        """Whitened W_k / lambda_k (M, ...) as vectors, and their traces (M,)."""


class CommonShape(Common):
    """Of diagonal matrices, where the scatter is (M, d)."""

    def factorize(self, sums: NDArray) -> tuple[NDArray, NDArray]:
        return np.log(sums).sum(axis=1), 1 / sums

    def whiten(self, scaled: NDArray, whiteners: NDArray) -> tuple[NDArray, NDArray]:
        whitened = scaled * whiteners
        return whitened, whitened.sum(axis=1)


class CommonMatrix(Common):
    """Of any matrices, where the scatter is (M, d, d)."""

    def factorize(self, sums: NDArray) -> tuple[NDArray, NDArray]:
        factors = inverse_cholesky(sums)
        return -2 * np.log(np.einsum("bii->bi", factors)).sum(axis=1), factors

    def whiten(self, scaled: NDArray, whiteners: NDArray) -> tuple[NDArray, NDArray]:
        whitened = whiteners.mT @ scaled @ whiteners
        traces = np.einsum("kii->k", whitened)
        return whitened.reshape(len(whitened), -1), traces


def newton(function: Common, start: NDArray | None, enough: float = ENOUGH) -> NDArray:
    """sum_k W_k / lambda_k (B, ...) where the objectives are least, by damped Newton
    steps after an alternation from the start (M,), or from equal volumes.

    Each mixture ends by itself, after a step whose squared decrement is ``enough``.
    """
    segments = function.segments
    point, at = _alternated(function, start)
    left, idle, sums = np.arange(len(segments)), np.zeros(len(segments)), at.sums.copy()
    for _ in range(MAX_ITER):
        gradient, hessian = function.derivatives(at)
        steps = _newton_steps(function.segments, gradient, hessian)
        decrements = -function.segments.sum(gradient * steps)
        limits = at.values + LINE_TOL * function.n_features
        sizes, at = _line_search(function, point, steps, limits, decrements)
        point = point + function.segments.spread(sizes) * steps
        sums[left] = at.sums
        idle += at.values > limits - 2 * LINE_TOL * function.n_features
        going = decrements > enough * function.n_features
        going &= (idle < MAX_IDLE) & (sizes > 0)
        if not going.any():
            break
        if not going.all():
            own = function.segments.components(going)
            point, at, left = point[own], at.take(going, own), left[going]
            function, idle = function.take(going), idle[going]
    return sums


def _alternated(function: Common, start: NDArray | None) -> tuple[NDArray, At]:
    """The best log lambda (M,) for the best C at the start, and what is known there:
    near enough from wherever, and the same in all units of the features."""
    point = np.zeros(len(function.shares)) if start is None else start
    at = function.at(point)
    _, traces = function.whiten(at.scaled, function.segments.spread(at.whiteners))
    point = point + np.log(traces / (function.n_features * function.shares))
    return point, function.at(point)


def _newton_steps(segments: Segments, gradient: NDArray, hessian: NDArray) -> NDArray:
    """Newton steps (M,)."""
    right = segments.padded(-gradient)[..., None]
    return segments.unpadded(solve(hessian, right)[..., 0])


def _line_search(
    function: Common,
    point: NDArray,
    steps: NDArray,
    limits: NDArray,
    decrements: NDArray,
) -> tuple[NDArray, At]:
    """Shares (B,) of steps that lower the objectives enough, 0 where none does, and
    what is known there."""
    sizes, spread = np.ones(len(limits)), function.segments.spread
    while True:
        at = function.at(point + spread(sizes) * steps)
        # Values of nearly singular matrices are rounding, even where nothing moves.
        failing = (sizes > 0) & (at.values > limits - 0.1 * sizes * decrements)
        if not failing.any():
            return sizes, at
        sizes[failing] /= 2
        sizes[sizes < LEAST_SIZE] = 0.0
