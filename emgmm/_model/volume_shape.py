"""Rules of volume and shape: diagonals of the scatter to variances."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

RULE_TOL = 1e-28  # squared Newton decrement per row at which the method ends
LINE_TOL = 1e-12  # per row: gains that rounding hides need no shorter step
RULE_DAMPING = 1e-10  # per row: of a Hessian that may be singular
LEAST_SIZE = 2.0**-20  # of a step: smaller gains would be rounding
MAX_IDLE = 2  # steps that gain no more than rounding; each doubles the digits
MAX_RULE_ITER = 100

Rule = Callable[[NDArray, NDArray], NDArray]
"""(counts (K,), diagonals of the scatter (K, d)) -> variances, (K,) or (K, d)."""


def equal_spheres(counts: NDArray, diagonals: NDArray) -> NDArray:
    """EI: lambda = tr W / (n d)."""
    return np.full(len(counts), diagonals.mean(axis=1).sum() / counts.sum())


def spheres(counts: NDArray, diagonals: NDArray) -> NDArray:
    """VI: lambda_k = tr W_k / (n_k d)."""
    return diagonals.mean(axis=1) / counts


def equal(counts: NDArray, diagonals: NDArray) -> NDArray:
    """EE: lambda A = W / n."""
    return np.broadcast_to(diagonals.sum(axis=0) / counts.sum(), diagonals.shape)


def equal_shape(counts: NDArray, diagonals: NDArray) -> NDArray:
    """VE: lambda_k A, by Newton's method on log lambda.

    With the best A for every lambda the objective is, up to constants,
    f = d sum_k n_k log lambda_k + n sum_j log(sum_k w_kj / lambda_k), which is convex
    in log lambda; plain alternation of volumes and shape can take thousands of steps.
    """
    n, d = counts.sum(), diagonals.shape[1]

    def sums(log_volumes: NDArray) -> NDArray:
        return np.exp(-log_volumes) @ diagonals

    def objective(log_volumes: NDArray) -> float:
        return float(d * counts @ log_volumes + n * np.log(sums(log_volumes)).sum())

    def derivatives(log_volumes: NDArray) -> tuple[NDArray, NDArray]:
        shares = diagonals * np.exp(-log_volumes)[:, None] / sums(log_volumes)
        totals = shares.sum(axis=1)
        return d * counts - n * totals, n * (np.diag(totals) - shares @ shares.T)

    start = np.log(spheres(counts, diagonals))
    log_volumes = newton(objective, derivatives, start, n * d)
    log_shape = np.log(sums(log_volumes))
    shape = np.exp(log_shape - log_shape.mean())
    return spheres(counts, diagonals / shape)[:, None] * shape


def newton(
    objective: Callable[[NDArray], float],
    derivatives: Callable[[NDArray], tuple[NDArray, NDArray]],
    point: NDArray,
    n: float,
) -> NDArray:
    """Minimiser of a convex function of logarithms, by damped Newton steps.

    The function does not depend on their mean: a term that fixes it is added to the
    Hessian, which makes it definite.
    """
    value, idle = objective(point), 0
    for _ in range(MAX_RULE_ITER):
        gradient, hessian = derivatives(point)
        hessian += n / len(point) ** 2
        # Flat where a row is all in one place.
        hessian += RULE_DAMPING * n * np.eye(len(point))
        step = -np.linalg.solve(hessian, gradient)
        decrement = -float(gradient @ step)
        if not decrement > RULE_TOL * n:
            break
        size, rounding = 1.0, LINE_TOL * n
        while (next_value := objective(point + size * step)) > (
            value + rounding - 0.1 * size * decrement
        ):
            size /= 2
            if size < LEAST_SIZE:
                return point
        idle += next_value > value - rounding
        point, value = point + size * step, next_value
        if idle == MAX_IDLE:
            break
    return point


def equal_volume(counts: NDArray, diagonals: NDArray) -> NDArray:
    """EV: A_k is W_k at determinant 1, lambda the sum of what was divided out / n."""
    volumes = geometric_mean(diagonals)
    return diagonals * (volumes.sum() / counts.sum() / volumes)[:, None]


def free(counts: NDArray, diagonals: NDArray) -> NDArray:
    """VV: lambda_k A_k = W_k / n_k."""
    return diagonals / counts[:, None]


def geometric_mean(values: NDArray) -> NDArray:
    """Geometric mean along the last axis."""
    return np.exp(np.log(values).mean(axis=-1))
