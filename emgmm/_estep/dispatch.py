"""Choice of kernels: for each mixture the fastest that is accurate for it and its rows.

A stack is divided by mixture: each of its parts is served by one kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emgmm._data.base import RowSource
from emgmm._model.moment_kinds import DIAGONAL, FULL, POOLED, MomentKind
from emgmm._model.parameters import Parameters
from emgmm._utils.threads import Workspace

from .complete import Quadratic, Whitened
from .device import DeviceQuadratic, DeviceWhitened, precise_of
from .kernel import DOUBLE, SINGLE, Kernel
from .missing_exact import ExactDiagonalKernel, ExactMissingKernel
from .missing_fast import MANY_FEATURES, MANY_ROWS, DiagonalKernel, PatternKernel
from .missing_rowwise import RowwiseKernel

Maker = Callable[[Parameters], Kernel]
"""Makes a kernel of a stack."""


class Part(NamedTuple):
    """Mixtures of a stack that are served by one kernel."""

    stack: int
    """The number of the stack."""
    mixtures: NDArray
    """Their indices in the stack, in the order of the kernel."""
    kernel: Kernel
    final: bool = False
    """Whether its sums are about means that were found for these very rows."""

    def fallback(
        self, own: NDArray, origin: NDArray | None = None, final: bool = False
    ) -> Part:
        """Some of the mixtures (B,), by a mask, with a kernel for rows at any
        distance."""
        taken = self.kernel.mixture.take(own)
        if origin is not None:
            origin = origin[self.kernel.segments.components(own)]
        kernel = self.kernel.fallback_kernel(taken, origin)
        return Part(self.stack, self.mixtures[own], kernel, final)


def parts_of(
    stacks: Sequence[Parameters],
    blocks: RowSource,
    near: NDArray,
    dtype: np.dtype,
    own_weights: bool = False,
) -> list[Part]:
    """The parts of stacks with the fastest accurate kernels for rows, most of which are
    near a point (d,); those first whose features others share."""
    parts: list[Part] = []
    for number, stack in enumerate(stacks):
        if blocks.summary.incomplete:
            kernels = choose_incomplete(stack, blocks, near)
        else:
            workspace = blocks.workspace
            kernels = choose_kernels(stack, near, dtype, workspace, own_weights)
        parts += [Part(number, *each) for each in kernels]
    if len(parts) > 1:
        parts.sort(key=lambda part: -part.kernel.n_shared)
    return parts


def choose_kernels(
    stack: Parameters,
    origin: NDArray,
    dtype: np.dtype,
    workspace: Workspace,
    own_weights: bool = False,
) -> list[tuple[NDArray, Kernel]]:
    """Indices of mixtures, and their fastest accurate kernel near an origin (d,)."""

    kinds, precise = (Quadratic, Whitened), DOUBLE
    if workspace.device is not None:
        kinds, precise = (DeviceQuadratic, DeviceWhitened), precise_of(workspace.device)
    fast = partial(kinds[0], workspace=workspace, own_weights=own_weights)
    accurate = partial(kinds[1], workspace=workspace)
    order = stack.segments.by_size
    double: list[Maker] = [
        partial(fast, float_format=DOUBLE, origin=origin),
        partial(accurate, float_format=DOUBLE),
    ]
    if precise is DOUBLE and dtype != SINGLE.dtype:
        return list(_divided(stack, order, double))
    near = origin.astype(SINGLE.dtype)
    single: Maker = partial(fast, float_format=SINGLE, origin=near)
    single_whitened: Maker = partial(accurate, float_format=SINGLE, base=near)
    if precise is SINGLE:
        exact: Maker = partial(accurate, float_format=SINGLE)
        return list(_divided(stack, order, [single, exact]))
    moderate = _are_moderate(stack)[order]
    return [
        *_divided(stack, order[moderate], [single, single_whitened, *double]),
        *_divided(stack, order[~moderate], double),
    ]


def choose_incomplete(
    stack: Parameters, blocks: RowSource, center: NDArray
) -> list[tuple[NDArray, Kernel]]:
    """Indices of mixtures, and their fastest accurate kernel near a center (d,), of
    rows with missing values."""
    makers = MISSING_KERNELS[stack.covariances.moment_kind](blocks, center)
    return list(_divided(stack, stack.segments.by_size, makers))


def _divided(
    stack: Parameters, left: NDArray, makers: Sequence[Maker]
) -> Iterator[tuple[NDArray, Kernel]]:
    """Mixtures by their indices, each with the first kernel that is accurate for it;
    the last is for any."""
    for make in makers:
        if not left.size:
            return
        kernel = make(_taken(stack, left))
        accurate = kernel.is_accurate
        if accurate is True or np.all(accurate) or make is makers[-1]:
            yield left, kernel
            return
        accurate = np.broadcast_to(accurate, left.shape)
        if accurate.any():
            own = left[accurate]
            yield own, make(_taken(stack, own))
        left = left[~accurate]


def _taken(stack: Parameters, mixtures: NDArray) -> Parameters:
    """Some of the mixtures, by their indices; the stack itself if all are in order."""
    if stack.segments.are_one:
        return stack
    in_order = (
        len(mixtures) == len(stack.segments) and (mixtures[:-1] < mixtures[1:]).all()
    )
    return stack if in_order else stack.take(mixtures)


def _of_squares(blocks: RowSource, center: NDArray) -> list[Maker]:
    """Kernels for diagonal covariances, the fastest first, the most accurate last."""
    workspace = blocks.workspace
    return [
        partial(DiagonalKernel, workspace=workspace, center=center),
        partial(ExactDiagonalKernel, workspace=workspace),
    ]


def _of_products(blocks: RowSource, center: NDArray) -> list[Maker]:
    """Kernels for matrices, the fastest for such rows first, the most accurate last."""
    rows, workspace = blocks.summary, blocks.workspace
    makers: list[Maker] = [
        partial(RowwiseKernel, workspace=workspace),
        partial(ExactMissingKernel, workspace=workspace),
    ]
    many = rows.n_samples > MANY_ROWS * rows.n_patterns
    if many and len(center) <= MANY_FEATURES:
        return [partial(PatternKernel, workspace=workspace, center=center), *makers]
    return makers


MISSING_KERNELS: dict[MomentKind, Callable[[RowSource, NDArray], list[Maker]]] = {
    DIAGONAL: _of_squares,
    FULL: _of_products,
    POOLED: _of_products,
}
"""Kernels of rows with missing values, for each kind of second moments."""


def _are_moderate(stack: Parameters) -> NDArray:
    """For which mixtures (B,) squares and their products are far from the ends of
    float32."""
    variances = stack.covariances.variances
    least = stack.segments.min(variances.min(axis=1))
    return (least > 2.0**-60) & (stack.segments.max(variances.max(axis=1)) < 2.0**60)
