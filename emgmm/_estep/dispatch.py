"""Choice of a kernel: the fastest one that is accurate for a mixture and its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import isfinite
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from emgmm._data.base import RowSource, raised_by_rows
from emgmm._model.moment_kinds import DIAGONAL, FULL, POOLED, MomentKind
from emgmm._model.parameters import Parameters
from emgmm._utils.threads import Workspace

from .complete import Quadratic, Whitened
from .kernel import DOUBLE, SINGLE, Kernel
from .missing_exact import ExactDiagonalKernel, ExactMissingKernel
from .missing_fast import MANY_FEATURES, MANY_ROWS, DiagonalKernel, PatternKernel
from .missing_rowwise import RowwiseKernel

Result = TypeVar("Result")


def kernel_for(
    mixture: Parameters, blocks: RowSource, near: NDArray, dtype: np.dtype
) -> Kernel:
    """The fastest accurate kernel for rows, most of which are near a point (d,)."""
    if blocks.summary.incomplete:
        return choose_incomplete(mixture, blocks, near)
    return choose_kernel(mixture, near, dtype, blocks.workspace)


def with_fallback(visit: Callable[[Kernel], Result], kernel: Kernel) -> Result:
    """Result of a pass with a kernel, or, if rows are too far away for it, with its
    fallback."""
    try:
        return visit(kernel)
    except FloatingPointError as error:
        if raised_by_rows(error):
            raise
        return visit(kernel.fallback_kernel())


def weighted_sum(weights: NDArray, values: NDArray, workspace: Workspace) -> float:
    """Sum of weights times values in float64, where 0 times infinity is 0."""
    terms = workspace.array("terms", values.shape, DOUBLE.dtype)
    np.multiply(weights, values, out=terms)
    total = float(terms.sum())
    return total if isfinite(total) else float(terms[weights > 0].sum())


def choose_incomplete(
    mixture: Parameters, blocks: RowSource, center: NDArray
) -> Kernel:
    """The fastest kernel that is accurate for the mixture, near a center (d,)."""
    kernels = MISSING_KERNELS[mixture.covariances.moment_kind](mixture, blocks, center)
    return next(kernel for kernel in kernels if kernel.is_accurate)


def _of_squares(
    mixture: Parameters, blocks: RowSource, center: NDArray
) -> Iterator[Kernel]:
    """Kernels for diagonal covariances, the fastest first, the most accurate last."""
    yield DiagonalKernel(mixture, blocks.workspace, center)
    yield ExactDiagonalKernel(mixture, blocks.workspace)


def _of_products(
    mixture: Parameters, blocks: RowSource, center: NDArray
) -> Iterator[Kernel]:
    """Kernels for matrices, the fastest for such rows first, the most accurate last."""
    many = blocks.summary.n_samples > MANY_ROWS * blocks.summary.n_patterns
    if many and len(center) <= MANY_FEATURES:
        yield PatternKernel(mixture, blocks.workspace, center)
    yield RowwiseKernel(mixture, blocks.workspace)
    yield ExactMissingKernel(mixture, blocks.workspace)


MISSING_KERNELS: dict[MomentKind, Callable[..., Iterator[Kernel]]] = {
    DIAGONAL: _of_squares,
    FULL: _of_products,
    POOLED: _of_products,
}
"""Kernels of rows with missing values, for each kind of second moments."""


def choose_kernel(
    mixture: Parameters, origin: NDArray, dtype: np.dtype, workspace: Workspace
) -> Kernel:
    """The fastest kernel that is accurate for the mixture, near an origin (d,)."""
    if dtype == SINGLE.dtype and _is_moderate(mixture.covariances.variances):
        near = origin.astype(dtype)
        quadratic = Quadratic(mixture, SINGLE, workspace, near)
        for kernel in (quadratic, Whitened(mixture, SINGLE, workspace, base=near)):
            if kernel.is_accurate:
                return kernel
    kernel = Quadratic(mixture, DOUBLE, workspace, origin)
    return kernel if kernel.is_accurate else Whitened(mixture, DOUBLE, workspace)


def _is_moderate(variances: NDArray) -> bool:
    """Whether squares and their products are far from the ends of float32."""
    return bool(2.0**-60 < variances.min() and variances.max() < 2.0**60)
