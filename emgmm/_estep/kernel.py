"""Base of all kernels: joint log-densities of a block of rows to responsibilities."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emgmm._data.base import RowSource
from emgmm._model.parameters import LOG_2_PI, Parameters
from emgmm._utils.threads import Workspace

from .statistics import Statistics


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


DOUBLE = FloatFormat(np.dtype(np.float64), 2.0**-52, 1e-10, 2.0**-970, 354.0)
SINGLE = FloatFormat(np.dtype(np.float32), 2.0**-23, 1e-3, 2.0**-103, 44.0)


@dataclass(frozen=True, eq=False)
class Sums:
    """Sums over blocks of rows in one pass."""

    log_likelihood: float
    moments: NDArray

    def __add__(self, other: Sums) -> Sums:
        log_likelihood = self.log_likelihood + other.log_likelihood
        return Sums(log_likelihood, self.moments + other.moments)


class Kernel(ABC):
    """A mixture, prepared for blocks of rows in one floating-point type.

    A kernel takes rows (n, d) to features, features to joint log-densities and
    responsibilities (K, n), and these to sums from which the statistics are made:

        features = kernel.features(X)
        log_joint = kernel.log_joint(features)
        log_density, responsibilities = kernel.posterior(log_joint, sample_weight)
        moments = kernel.moments(features, responsibilities)

    Components lie along rows, so that maxima, exponentials and sums over them run
    through contiguous memory. Arrays of a block's size come from ``workspace``: what a
    method returns is overwritten when the same thread calls it again.

    FloatingPointError where rows are too far away for a kernel: its numbers overflow,
    or all log-densities of a row are minus infinity.
    """

    reference: float
    """About the log-density of a typical row of the component with the highest peak.

    Relative to it exponentials do not overflow, and underflow only for rows far from
    all components; so no maximum has to be subtracted row by row.
    """
    constants: NDArray
    """log w_k + log N(mean_k; mean_k, covariance_k) - ``reference``, shape (K,)."""

    def __init__(
        self, mixture: Parameters, float_format: FloatFormat, workspace: Workspace
    ) -> None:
        self.mixture, self.float_format, self.workspace = (
            mixture,
            float_format,
            workspace,
        )
        self.dtype = float_format.dtype
        n_features = mixture.means.shape[1]
        halves = 0.5 * (n_features * LOG_2_PI + mixture.covariances.log_det)
        log_peaks = np.log(mixture.weights) - halves
        self.reference = max(log_peaks.tolist()) - min(
            n_features / 2, float_format.span
        )
        self.constants = log_peaks - self.reference

    @property
    @abstractmethod
    def max_cancellation(self) -> float:
        """Squared distance of means from their origin, in variances, up to which sums
        are accurate."""

    @property
    def is_accurate(self) -> bool:
        """Whether the rounding error of log-densities near the center is accepted."""
        return True

    @property
    def unlimited(self) -> bool:
        """Whether it serves rows at any distance: it raises no FloatingPointError."""
        return False

    @abstractmethod
    def fallback_kernel(self, origin: NDArray | None = None) -> Kernel:
        """The kernel of the mixture for rows at any distance, with sums about an origin
        (K, d), by default the means."""

    @property
    @abstractmethod
    def block_length(self) -> int:
        """Number of rows in a block."""

    @abstractmethod
    def features(self, X: NDArray) -> Any:
        """Input of ``log_joint`` and ``moments``, with the rows along the last axis."""

    @abstractmethod
    def log_joint(self, features: Any) -> NDArray:
        """log w_k + log N(x; mean_k, covariance_k) - ``reference``, shape (K, n)."""

    @abstractmethod
    def moments(self, features: Any, responsibilities: NDArray) -> NDArray:
        """Weighted sums over the rows of a block, in float64."""

    @abstractmethod
    def statistics(self, sums: Sums, blocks: RowSource) -> Statistics:
        """Statistics from the sums over all blocks."""

    def posterior(
        self, log_joint: NDArray, sample_weight: NDArray | float = 1.0
    ) -> tuple[NDArray, NDArray]:
        """log f(x) (n,) and responsibilities (K, n) times the weights of the rows."""
        shape, dtype = log_joint.shape, self.dtype
        responsibilities = self.workspace.array("responsibilities", shape, dtype)
        total = self.workspace.array("total", shape[1:], dtype)
        log_density = self.workspace.array("log_density", shape[1:], dtype)
        np.exp(log_joint, out=responsibilities)
        np.add.reduce(responsibilities, axis=0, out=total)
        # A weight divided by the total must not overflow.
        least = self.float_format.smallest_total * max(
            1.0, np.asarray(sample_weight).max()
        )
        if total.min() > least and total.max() < np.inf:
            np.log(total, out=log_density)
        else:
            far = np.flatnonzero(~((total > least) & (total < np.inf)))
            total[far], peak = self._shift(log_joint, responsibilities, far)
            np.log(total, out=log_density)
            log_density[far] += peak
        log_density += dtype.type(self.reference)
        np.divide(np.asarray(sample_weight, dtype), total, out=total)
        responsibilities *= total
        return log_density, responsibilities

    def peak(self, log_joint: NDArray) -> NDArray:
        """Maximum over the components, shape (n,)."""
        peak = log_joint.max(axis=0)
        if not (self.unlimited or np.isfinite(peak).all()):
            raise FloatingPointError("a row is too far from all components")
        return peak

    def labels(self, log_joint: NDArray) -> NDArray:
        """Most probable components of the rows, shape (n,)."""
        return np.equal(log_joint, self.peak(log_joint)).argmax(axis=0)

    def _shift(
        self, log_joint: NDArray, responsibilities: NDArray, far: NDArray
    ) -> tuple[NDArray, NDArray]:
        """Sums of the exponentials of some rows relative to the maxima, and the maxima.

        A row whose log-densities are all minus infinity belongs to all components
        equally.
        """
        columns = log_joint[:, far]
        peak = self.peak(columns)
        lost = np.isneginf(peak)
        columns[:, lost] = 0.0
        columns -= np.where(lost, 0.0, peak)
        responsibilities[:, far] = np.exp(columns)
        return responsibilities[:, far].sum(axis=0), peak
