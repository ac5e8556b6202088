"""Predictions for each row, and sums of functions of log-densities over rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from emgmm._data.arrays import RowBlocks
from emgmm._data.base import RowSource, raised_by_rows
from emgmm._model.parameters import Parameters
from emgmm._model.segments import Segments
from emgmm._utils.threads import BLAS

from .dispatch import Part, parts_of
from .kernel import DOUBLE, Joint, Kernel, Several
from .memberships import Memberships, RowPrior

Result = TypeVar("Result")


def for_each_row(
    blocks: RowBlocks,
    mixture: Parameters,
    function: Callable[[Kernel, Joint], NDArray],
    out: NDArray,
) -> NDArray:
    """Write function(kernel, joint) of every row into ``out``, block by block."""
    noise = mixture.noise is not None  # to which rows that are far away belong

    def visit(kernel: Kernel) -> NDArray:
        def of_block(X: NDArray) -> NDArray:
            joint = kernel.joint(kernel.features(X), X)
            if kernel.unlimited and function in BETWEEN_COMPONENTS and not noise:
                joint = kernel.settled(joint, X)
            return function(kernel, joint)

        return blocks.map(of_block, out, block_length=kernel.block_length)

    return _visit_with_any(mixture, blocks, visit)


@dataclass(frozen=True, eq=False)
class RowwisePredictor:
    """A function of joint log-densities, predicted for the rows in the user's order."""

    mixture: Parameters
    function: Callable[[Kernel, Joint], NDArray]
    dtype: type | None = None
    """Type of the predictions, by default that of the rows."""
    shape: tuple[int, ...] = ()
    """Shape of the prediction for one row."""
    on_device: ClassVar[bool] = True
    """Whether the function takes what kernels of rows on a device return."""

    def __call__(self, blocks: RowBlocks) -> NDArray:
        dtype = blocks.summary.dtype if self.dtype is None else self.dtype
        out = blocks.empty(self.shape, dtype)
        return blocks.to_input_order(
            for_each_row(blocks, self.mixture, self.function, out)
        )


def log_density(kernel: Kernel, joint: Joint, labels: NDArray | None = None) -> NDArray:
    """Log-densities of a block of rows; writes the most probable components into
    ``labels``."""
    if labels is not None:
        labels[:] = kernel.labels(joint)
    return kernel.known(kernel.posterior(joint)[0][0, ...])


def responsibilities(kernel: Kernel, joint: Joint) -> NDArray:
    """Responsibilities (n, K) for a block of rows."""
    log_density, responsibilities = kernel.posterior(joint)
    kernel.known(log_density)
    return responsibilities.T


def most_probable(kernel: Kernel, joint: Joint) -> NDArray:
    """Most probable components (n,) of a block of rows; -1 of noise."""
    return kernel.labels(joint)


BETWEEN_COMPONENTS = (most_probable, responsibilities)
"""Functions that do not change where a number is added to a row's log-densities."""


def noise_probability(kernel: Kernel, joint: Joint) -> NDArray:
    """Probabilities (n,) that rows are noise."""
    log_density = kernel.known(kernel.posterior(joint)[0])
    return kernel.noise_shares(joint, log_density)[0, ...]


def classification_score(kernel: Kernel, joint: Joint) -> NDArray:
    """Joint log-densities (n,) of rows and their most probable components, or noise."""
    return kernel.known((kernel.peak(joint) + kernel.reference_rows)[0, ...])


def responsibilities_of(blocks: RowBlocks, mixture: Parameters) -> NDArray:
    """Responsibilities (n, K) for all rows."""
    out = np.empty((len(blocks.X), len(mixture.weights)))
    return for_each_row(blocks, mixture, responsibilities, out)


def weight_of_components(blocks: RowSource, stack: Parameters) -> NDArray:
    """Expected weights (M,) of the rows of each component; with missing values, of the
    rows that observe a feature, for the feature that is observed least."""
    rows = blocks.summary
    if not rows.incomplete:
        return stack.weights * rows.weight
    return rows.greatest_weight * _shares(blocks, stack)[:, 0].min(axis=1)


def effective_rows(blocks: RowSource, stack: Parameters) -> NDArray:
    """Kish's effective numbers of rows (M,) of the components.

    (sum w r)^2 / sum w^2 r, whatever the scale of the weights; with missing values, of
    the rows that observe a feature, for the feature that is observed least.
    """
    rows = blocks.summary
    if rows.equally_weighted and not rows.incomplete:
        return stack.weights * rows.n_samples
    total, squares = _shares(blocks, stack).swapaxes(0, 1)
    return (total**2 / np.where(squares > 0, squares, 1.0)).min(axis=1)


def _shares(blocks: RowSource, stack: Parameters) -> NDArray:
    """Sums of w r and w^2 r (M, 2, d or 1) over the rows that observe each feature, for
    weights w relative to the greatest."""
    rows = blocks.summary
    greatest, incomplete = float(rows.greatest_weight), rows.incomplete

    def of_block(kernel: Kernel, X: NDArray, weights: NDArray) -> NDArray:
        joint = kernel.joint(kernel.features(X), X)
        relative = weights / greatest
        shares = kernel.posterior(joint, relative)[1]
        if incomplete:
            present = ~np.isnan(X)
            both = shares @ present, shares @ (relative * present.T).T
        else:
            first, second = shares, shares * relative
            both = kernel.total(first)[:, None], kernel.total(second)[:, None]
        return np.stack(both, axis=1)

    of_part = partial(sums_with_any, [stack], of_block, True)
    return blocks.accumulate(of_part).values[0]


def kurtosis_of_components(
    blocks: RowSource, mixture: Parameters, n_rows: float
) -> NDArray:
    """Mardia's kurtosis (K,) of the rows of each component, less that of a Gaussian, in
    standard deviations of a sample of as many rows, of ``n_rows`` in all.

    Of missing values it takes no account. Mardia 1970 (doi:10.1093/biomet/57.3.519).
    """
    n_features = mixture.means.shape[1]

    def of_block(kernel: Kernel, X: NDArray, weights: NDArray) -> NDArray:
        joint = kernel.joint(kernel.features(X), X)
        radii = 2 * (kernel.constants[:, None] - joint.values)
        shares = kernel.posterior(joint, weights)[1]
        return np.stack([shares.sum(axis=1), np.vecdot(shares * radii, radii)], axis=1)

    of_part = partial(sums_with_any, [mixture], of_block, True)
    counts, sums = blocks.accumulate(of_part).values[0].T
    expected = n_features * (n_features + 2)
    mean = sums / np.where(counts > 0, counts, 1.0)
    of_each = counts * (n_rows / blocks.summary.weight)
    return (mean - expected) * np.sqrt(of_each / (8 * expected))


def scores_of_stacks(
    blocks: RowSource,
    stacks: Sequence[Parameters],
    memberships: Memberships | None = None,
) -> list[tuple[NDArray, NDArray]]:
    """For each stack the log-likelihoods (B,) of the rows, and those (B,) of the rows
    with their most probable components, in one pass."""

    def of_block(
        kernel: Kernel, X: NDArray, weights: NDArray, *kinds: NDArray
    ) -> NDArray:
        prior = RowPrior(memberships.table, *kinds) if memberships else None
        joint = kernel.joint(kernel.features(X), X, prior)
        classified = kernel.peak(joint) + kernel.reference_rows
        scores = kernel.posterior(joint)[0], classified
        sums = [kernel.weighted_sums(weights, each) for each in scores]
        return np.stack(sums, axis=1)

    of_part = partial(sums_with_any, stacks, of_block, False)
    aligned = [memberships.kinds] if memberships else []
    found = blocks.accumulate(of_part, *aligned).values
    return [(sums[:, 0], sums[:, 1]) for sums in found]


def sum_over_rows(
    blocks: RowSource,
    mixture: Parameters,
    function: Callable[..., NDArray],
    *aligned: NDArray,
    memberships: Memberships | None = None,
) -> NDArray:
    """Sums of function(kernel, joint, *aligned rows), one value (n,) or several (m, n)
    of each row, times weights, and the weight."""
    table = None
    if memberships is not None:
        aligned, table = (*aligned, memberships.kinds), memberships.table

    def of_block(
        kernel: Kernel, X: NDArray, weights: NDArray, *aligned: NDArray
    ) -> NDArray:
        prior = None
        if table is not None:
            prior, aligned = RowPrior(table, aligned[-1]), aligned[:-1]
        joint = kernel.joint(kernel.features(X), X, prior)
        values = function(kernel, joint, *aligned)
        rows = values if values.ndim > 1 else values[None, :]
        return kernel.weighted_sums(weights, rows)

    def of_part(blocks: RowBlocks, *aligned: NDArray) -> NDArray | None:
        if not blocks.summary.n_samples:
            return None

        def visit(kernel: Kernel) -> NDArray:
            length = kernel.block_length
            sums = blocks.sum(partial(of_block, kernel), *aligned, block_length=length)
            return np.append(sums, blocks.summary.weight)

        return _visit_with_any(mixture, blocks, visit)

    return blocks.accumulate(of_part, *aligned)


def sums_with_any(
    stacks: Sequence[Parameters],
    function: Callable[..., NDArray],
    by_component: bool,
    blocks: RowBlocks,
    *aligned: NDArray,
) -> Several | None:
    """Sums of function(kernel, rows, weights, *aligned rows) for each stack, in one
    pass: values of its components or else of its mixtures; None without rows."""
    if not blocks.summary.n_samples:
        return None

    def of_block(
        parts: Sequence[Part], X: NDArray, weights: NDArray, *aligned: NDArray
    ) -> Several:
        return Several([function(part.kernel, X, weights, *aligned) for part in parts])

    found: list[tuple[Part, NDArray]] = []
    with BLAS.single_threaded(), np.errstate(all="ignore"):
        parts = parts_of(stacks, blocks, _middle(stacks), DOUBLE.dtype)
        while parts:
            length = min(part.kernel.block_length for part in parts)
            sums = blocks.sum(partial(of_block, parts), *aligned, block_length=length)
            latest = list(zip(parts, sums.values, strict=True))
            found += latest
            lost = [_lost(part.kernel, values, by_component) for part, values in latest]
            parts = [
                part.fallback(own)
                for part, own in zip(parts, lost, strict=True)
                if own.any()
            ]
    segments = [stack.segments for stack in stacks]
    return Several(
        [_in_order(*each, found, by_component) for each in enumerate(segments)]
    )


def _lost(kernel: Kernel, values: NDArray, by_component: bool) -> NDArray:
    """Of which mixtures (B,) of a kernel rows are too far away."""
    if kernel.unlimited:
        return np.zeros(len(kernel.segments), dtype=bool)
    lost = np.isnan(values).reshape(len(values), -1).any(axis=1)
    return kernel.segments.any(lost) if by_component else lost


def _in_order(
    number: int,
    segments: Segments,
    found: Sequence[tuple[Part, NDArray]],
    by_component: bool,
) -> NDArray:
    """The values of a stack in its order, each the last that was found."""
    own = [(part.mixtures, values) for part, values in found if part.stack == number]
    size = segments.n_components if by_component else len(segments)
    out = np.empty((size, *own[0][1].shape[1:]))
    for mixtures, values in own:
        out[segments.components(mixtures) if by_component else mixtures] = values
    return out


def _middle(stacks: Sequence[Parameters]) -> NDArray:
    """The mean (d,) of the means of all mixtures, as far as these are finite."""
    means = np.concatenate([_means_of_all(each) for each in stacks])
    finite = np.isfinite(means).all(axis=1)
    return np.where(finite[:, None], means, 0.0).sum(axis=0) / max(finite.sum(), 1)


def _means_of_all(stack: Parameters) -> NDArray:
    """Means (B, d) of the rows of all components."""
    means = stack.segments.sum(stack.weights[:, None] * stack.means)
    if stack.noise:
        means = means / stack.segments.sum(stack.weights)[:, None]
    return means


def _visit_with_any(
    mixture: Parameters, blocks: RowBlocks, visit: Callable[[Kernel], Result]
) -> Result:
    """Result of a pass over rows in float64, which may not be those of the fit, or, if
    rows are too far away for the kernel, of one with its fallback.

    Rounding errors of float32 average out in sums, but not in predictions of rows.
    """
    with BLAS.single_threaded(), np.errstate(all="ignore"):
        (mean,) = _means_of_all(mixture)
        (part,) = parts_of([mixture], blocks, mean, DOUBLE.dtype)
        try:
            return visit(part.kernel)
        except FloatingPointError as error:
            if raised_by_rows(error):
                raise
            return visit(part.kernel.fallback_kernel(mixture))
