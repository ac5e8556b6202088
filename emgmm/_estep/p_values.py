"""P-values of rows: how probable rows as unusual as these are under the mixture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtrc, gammaln

from emgmm._data.arrays import ArrayBlocks, RowBlocks
from emgmm._data.patterns import each_pattern
from emgmm._model.parameters import Parameters

from .kernel import Joint, Kernel
from .predict import for_each_row, log_density

Measure = Callable[[Kernel, Joint], NDArray]
LEAST_LOG = -600.0  # logarithms of probabilities below are taken from an expansion
N_FRACTIONS = 60  # with which the expansion is accurate to rounding


def log_chi2_sf(x: NDArray, degrees: int) -> NDArray:
    """Logarithms of the probabilities that a chi-squared variable exceeds x, also where
    the probabilities underflow."""
    with np.errstate(all="ignore"):
        out = np.log(chdtrc(degrees, np.maximum(x, 0.0)))
        far = (out < LEAST_LOG) & (x < np.inf)
        if far.any():
            out[far] = _log_upper_gamma(x[far] / 2, degrees / 2)
    return out


def _log_upper_gamma(x: NDArray, a: float) -> NDArray:
    """log Q(a, x) where x is much larger than a, by Legendre's continued fraction."""
    fraction = x + (2 * N_FRACTIONS + 1 - a)
    for n in range(N_FRACTIONS, 0, -1):
        fraction = x + (2 * n - 1 - a) - n * (n - a) / fraction
    return a * np.log(x) - x - gammaln(a) - np.log(fraction)


def log_p_of_density(kernel: Kernel, joint: Joint) -> NDArray:
    """Logarithms of bounds (n,) on the probability, under the mixture, of rows whose
    density is at most that of the row.

    The density f of a mixture is at least that of each component times its weight, so
    that of rows from component k at most those with w_k N_k <= f(x) count: they are
    those beyond a Mahalanobis distance.
    """
    mixture = kernel.mixture
    log_f = log_density(kernel, joint)
    peaks, weights = kernel.constants + kernel.reference, mixture.weights
    shares = np.log(weights / weights.sum())
    out = np.full(len(log_f), -np.inf)
    for k in np.flatnonzero(weights > 0):
        beyond = log_chi2_sf(2 * (peaks[k] - log_f), mixture.means.shape[1])
        np.logaddexp(out, shares[k] + beyond, out=out)
    return np.minimum(out, 0.0)  # shares may exceed one by their rounding


def log_p_of_distance(kernel: Kernel, joint: Joint) -> NDArray:
    """Logarithms of the probabilities (n,) of greater Mahalanobis distances from the
    mean of the most probable component, for rows of that component."""
    peak = kernel.known(kernel.peak(joint)[0])
    labels = np.equal(joint.values, peak).argmax(axis=0)
    squares = 2 * (kernel.constants[labels] - peak)
    # Minus infinity less minus infinity, of rows beyond the largest numbers.
    squares[np.isnan(squares)] = np.inf
    return log_chi2_sf(squares, kernel.mixture.means.shape[1])


MEASURES: dict[str, Measure] = {
    "density": log_p_of_density,
    "mahalanobis": log_p_of_distance,
}
"""What is unusual of a row, by its name."""


@dataclass(frozen=True, eq=False)
class LogPValues:
    """Logarithms of p-values (n,), predicted for the rows in the user's order; of a row
    with missing values, among rows of only the features that it has."""

    mixture: Parameters
    measure: Measure

    def __call__(self, blocks: RowBlocks) -> NDArray:
        if not blocks.summary.incomplete:
            return self._of_complete(blocks, self.mixture)
        out = np.zeros(len(blocks.X))  # rows without any value are not unusual
        for rows, has in each_pattern(np.isnan(blocks.X)):
            if has.any():
                features = np.flatnonzero(has)
                observed = ArrayBlocks(blocks.X[rows][:, features])
                own = self.mixture.marginal(features)
                out[rows] = self._of_complete(observed, own)
        return blocks.to_input_order(out)

    def _of_complete(self, blocks: RowBlocks, mixture: Parameters) -> NDArray:
        """Logarithms of p-values (n,) of rows without missing values."""
        return for_each_row(blocks, mixture, self.measure, np.empty(len(blocks.X)))
