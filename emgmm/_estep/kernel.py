"""Base of all kernels: joint log-densities of a block of rows to responsibilities."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from math import isfinite
from operator import add
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emgmm._data.base import RowSource
from emgmm._model.noise import Noise
from emgmm._model.parameters import LOG_2_PI, Parameters
from emgmm._utils.cached import cached_property
from emgmm._utils.threads import Workspace

from .memberships import RowPrior
from .statistics import Statistics
from .underflow import settle

SAMPLED = 2**9  # about so many exponents are searched for some that underflow


class FloatFormat(NamedTuple):
    """A floating-point type, and the errors that are accepted in it."""

    dtype: np.dtype
    eps: float
    max_rounding: float
    """Bound on the rounding error of a log-density (see ``is_accurate``)."""
    smallest_total: float
    """Sums of exponentials must exceed this: in smaller ones a term may underflow."""
    span: float
    """Half of the largest exponent."""
    least_exponent: float
    """Exponentials below underflow, and take thirty times as long; or minus infinity
    where they do not."""

    def exp(self, values: NDArray, out: NDArray) -> None:
        """Write exponentials, or zero where they underflow."""
        # Some columns show whether there are many.
        some = values[..., :: values.size // SAMPLED + 1]
        if np.minimum.reduce(some, None, initial=0.0) < self.least_exponent:
            np.maximum(values, self.least_exponent, out=out)
            np.exp(out, out=out)
            np.subtract(out, np.exp(self.least_exponent), out=out)
        else:
            np.exp(values, out=out)


DOUBLE = FloatFormat(np.dtype(np.float64), 2.0**-52, 1e-10, 2.0**-970, 354.0, -707.0)
SINGLE = FloatFormat(np.dtype(np.float32), 2.0**-23, 1e-3, 2.0**-103, 44.0, -np.inf)


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums over blocks of rows in one pass, for the mixtures of a kernel."""

    log_likelihood: NDArray
    """Of each mixture, (B,)."""
    moments: NDArray
    weight: NDArray | None = None
    """Sums of the weights (B,), if each mixture has weights of its own."""

    def __add__(self, other: Sums) -> Sums:
        weight = None
        if self.weight is not None and other.weight is not None:
            weight = self.weight + other.weight
        log_likelihood = self.log_likelihood + other.log_likelihood
        return Sums(log_likelihood, self.moments + other.moments, weight)


@dataclass(frozen=True, eq=False)
class Several:
    """Values that are added each by itself."""

    values: list[Any]

    def __add__(self, other: Several) -> Several:
        return Several(list(map(add, self.values, other.values)))


class Joint(NamedTuple):
    """Joint log-densities of the rows of a block, relative to ``reference``.

    values   log w_k + log N(x; mean_k, covariance_k), plus what is added for the row
             and the component, shape (M, n)
    noise    log w_0 plus the log-density of the noise, (B, n) or (B, 1), or None
    prior    what has been added, or None
    """

    values: NDArray
    noise: NDArray | None = None
    prior: RowPrior | None = None


class Kernel(ABC):
    """A stack of mixtures, prepared for blocks of rows in one floating-point type.

    A kernel takes rows (n, d) to features, features to joint log-densities and
    responsibilities (M, n), and these to sums from which the statistics are made:

        features = kernel.features(X)
        joint = kernel.joint(features, X)
        log_density, responsibilities = kernel.posterior(joint, sample_weight)
        moments = kernel.moments(features, responsibilities)

    Components lie along rows, so that maxima, exponentials and sums over them run
    through contiguous memory; which mixture they belong to matters in ``posterior``
    alone. Mixtures of equally many components should be neighbours. Arrays of a block's
    size come from ``workspace``: what a method returns is overwritten when the same
    thread calls it again.

    Where rows are too far away for a kernel, its numbers overflow, or all log-densities
    of a row are minus infinity: these rows, and so the sums of the mixture, are NaN.
    """

    reference: NDArray
    """About the log-density of a typical row of the component with the highest peak,
    of each mixture (B,).

    Relative to it exponentials do not overflow, and underflow only for rows far from
    all components; so no maximum has to be subtracted row by row.
    """
    n_shared: int = 0
    """The number of features that other kernels can take from it."""
    constants: NDArray
    """log w_k + log N(mean_k; mean_k, covariance_k) - ``reference``, shape (M,)."""

    def __init__(
        self, mixture: Parameters, float_format: FloatFormat, workspace: Workspace
    ) -> None:
        self.mixture, self.float_format, self.workspace = (
            mixture,
            float_format,
            workspace,
        )
        self.dtype, self.segments = float_format.dtype, mixture.segments
        n_features = mixture.means.shape[1]
        halves = 0.5 * (n_features * LOG_2_PI + mixture.covariances.log_det)
        log_peaks = np.log(mixture.weights) - halves
        peaks = self.segments.max(log_peaks)
        self.reference = peaks - min(n_features / 2, float_format.span)
        self.constants = log_peaks - self.segments.spread(self.reference)
        self.log_noise = np.empty(0)
        if mixture.noise:
            self.log_noise = np.log(mixture.noise_weights) - self.reference

    @cached_property
    def reference_rows(self) -> NDArray:
        """``reference`` in the type of the kernel, shape (B, 1)."""
        return self.reference[:, None].astype(self.dtype, copy=False)

    @property
    @abstractmethod
    def max_cancellation(self) -> float:
        """Squared distance of means from their origin, in variances, up to which sums
        are accurate."""

    @property
    def is_accurate(self) -> NDArray | bool:
        """For which mixtures (B,) the rounding error of log-densities near the center
        is accepted."""
        return True

    @property
    def unlimited(self) -> bool:
        """Whether it serves rows at any distance."""
        return False

    @abstractmethod
    def fallback_kernel(
        self, mixture: Parameters, origin: NDArray | None = None
    ) -> Kernel:
        """The kernel of some of its mixtures for rows at any distance, with sums about
        an origin (M, d), by default the means."""

    @property
    @abstractmethod
    def block_length(self) -> int:
        """Number of rows in a block."""

    @abstractmethod
    def features(self, X: NDArray) -> Any:
        """Input of ``log_joint`` and ``moments``, with the rows along the last axis."""

    @abstractmethod
    def log_joint(self, features: Any) -> NDArray:
        """log w_k + log N(x; mean_k, covariance_k) - ``reference``, shape (M, n)."""

    def joint(self, features: Any, X: NDArray, prior: RowPrior | None = None) -> Joint:
        """``log_joint`` of the rows X, with that of the noise, and with what is known
        of each row added."""
        values = self.log_joint(features)
        noise = None
        if self.mixture.noise:
            noise = self._of_noise(self.mixture.noise, X)
        if prior is not None:
            prior.add_to(values, self.segments)
            noise = None if noise is None else noise + prior.of_noise(self.dtype)
        return Joint(values, noise, prior)

    def _of_noise(self, noise: Noise, X: NDArray) -> NDArray:
        """Joint log-densities of rows and the noise, (B, n) or (B, 1)."""
        return (self.log_noise + noise.log_density)[:, None].astype(self.dtype)

    @abstractmethod
    def moments(self, features: Any, responsibilities: NDArray) -> NDArray:
        """Weighted sums over the rows of a block, in float64."""

    @abstractmethod
    def statistics(self, sums: Sums, blocks: RowSource) -> Statistics:
        """Statistics from the sums over all blocks."""

    def weight(self, sums: Sums, blocks: RowSource) -> NDArray:
        """The weight (B,) of the rows for each mixture."""
        if sums.weight is not None:
            return sums.weight
        return np.array([blocks.summary.weight] * len(self.segments))

    def posterior(
        self, joint: Joint, sample_weight: NDArray | float = 1.0
    ) -> tuple[NDArray, NDArray]:
        """log f(x) (B, n) and responsibilities (M, n) times the weights of the rows,
        (n,) or (B, n)."""
        log_joint = joint.values
        (n, dtype), workspace = (log_joint.shape[1], self.dtype), self.workspace
        shape = len(self.segments), n
        responsibilities = workspace.array("responsibilities", log_joint.shape, dtype)
        total = workspace.array("total", shape, dtype)
        log_density = workspace.array("log_density", shape, dtype)
        self.float_format.exp(log_joint, responsibilities)
        self.segments.reduce_rows(np.add, responsibilities, total)
        if joint.noise is not None:
            total += np.exp(joint.noise)
        # A weight divided by the total must not overflow.
        greatest = np.maximum.reduce(sample_weight, None)
        least = self.float_format.smallest_total * max(1.0, greatest)
        near = (total > least) & (total < np.inf)
        if np.count_nonzero(near) == near.size:
            np.log(total, out=log_density)
        else:
            far = ~near
            peaks = self._shift(joint, responsibilities, total, far)
            np.log(total, out=log_density)
            log_density[far] += peaks
        log_density += self.reference_rows
        np.divide(np.asarray(sample_weight, dtype), total, out=total)
        self.segments.combine_rows(np.multiply, responsibilities, total)
        return log_density, responsibilities

    def peak(self, joint: Joint) -> NDArray:
        """Maxima over the components of each mixture and its noise, shape (B, n); NaN
        of rows that are too far away."""
        log_joint = joint.values
        peak = np.empty((len(self.segments), log_joint.shape[1]), log_joint.dtype)
        self.segments.reduce_rows(np.maximum, log_joint, peak)
        if joint.noise is not None:
            np.maximum(peak, joint.noise, out=peak)
        return self._within_reach(peak)

    def labels(self, joint: Joint) -> NDArray:
        """Most probable components (n,) of the rows, of one mixture; -1 of noise."""
        peak = self.known(self.peak(joint)[0])
        greatest = np.equal(joint.values, peak)
        labels = greatest.argmax(axis=0)
        if joint.noise is not None:
            labels[~greatest.any(axis=0)] = -1
        return labels

    def noise_shares(self, joint: Joint, log_density: NDArray) -> NDArray:
        """Responsibilities (B, n) of the noise, from the log-densities (B, n)."""
        if joint.noise is None:
            return np.zeros_like(log_density)
        return np.exp(joint.noise - (log_density - self.reference_rows))

    def known(self, values: NDArray) -> NDArray:
        """Values of rows. FloatingPointError if some are too far away."""
        if not self.unlimited and np.isnan(values).any():
            raise FloatingPointError("a row is too far from all components")
        return values

    def weighted_sums(self, weights: NDArray, values: NDArray) -> NDArray:
        """Sums (B,) over rows of weights, (n,) or (B, n), times values (B, n) in
        float64, where 0 times infinity is 0."""
        return weighted_sums(weights, values, self.workspace)

    def total(self, values: NDArray) -> NDArray:
        """Sums (m,) over the rows of values (m, n)."""
        return values.sum(axis=1)

    def settled(self, joint: Joint, X: NDArray) -> Joint:
        """The same, with the limits of log-densities for rows so far away that all are
        minus infinity."""
        settle(joint.values, X, self.mixture)
        return joint

    def _within_reach(self, peak: NDArray) -> NDArray:
        """Maxima of log-densities; NaN where they are not finite and should be."""
        if not (self.unlimited or np.isfinite(peak).all()):
            peak[~np.isfinite(peak)] = np.nan
        return peak

    def _shift(
        self,
        joint: Joint,
        responsibilities: NDArray,
        total: NDArray,
        far: NDArray,
    ) -> NDArray:
        """Write the exponentials of rows that are far from a mixture (B, n) relative to
        their maxima, and their totals; return these maxima.

        A row whose log-densities are all minus infinity belongs equally to all
        components to which it may belong.
        """
        peaks = np.empty(total.shape, total.dtype)
        noise = np.full((1, 1), -np.inf) if joint.noise is None else joint.noise
        noise = np.broadcast_to(noise, total.shape)
        for run in self.segments.runs:
            b, rows = np.nonzero(far[run.mixtures])
            columns = run.of_components(joint.values)[b, :, rows]
            others = noise[run.mixtures][b, rows]
            peak = self._within_reach(np.maximum(columns.max(axis=1), others))
            lost = np.isneginf(peak)
            columns[lost] = joint.prior.of(rows[lost], run.size) if joint.prior else 0.0
            peaks[run.mixtures][b, rows] = peak
            peak = np.where(lost, 0.0, peak)
            columns -= peak[:, None]
            self.float_format.exp(columns, columns)
            run.of_components(responsibilities)[b, :, rows] = columns
            total[run.mixtures][b, rows] = columns.sum(axis=1) + np.exp(others - peak)
        return peaks[far]


def weighted_sums(weights: NDArray, values: NDArray, workspace: Workspace) -> NDArray:
    """Sums (B,) over rows of weights, (n,) or (B, n), times values (B, n) in float64,
    where 0 times infinity is 0."""
    terms = workspace.array("terms", values.shape, DOUBLE.dtype)
    np.multiply(weights, values, out=terms)
    total = np.add.reduce(terms, axis=1)
    if isfinite(sum(total.tolist())):
        return total
    for b in np.flatnonzero(~np.isfinite(total)):
        own = np.broadcast_to(weights, values.shape)[b] > 0
        total[b] = terms[b, own].sum()
    return total
