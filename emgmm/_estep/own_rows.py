"""The E-step of mixtures that have rows of their own, as samples from one have."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emgmm._model.moment_kinds import DIAGONAL, FULL
from emgmm._model.parameters import LOG_2_PI, Parameters

from .statistics import Statistics


@np.errstate(all="ignore")
def expectation_of_own_rows(samples: NDArray, stack: Parameters) -> Statistics:
    """Expected statistics, about the means, of complete rows: mixture b of the stack,
    all of as many components, sees the n rows samples[b] of (B, d, n) alone."""
    n_mixtures, n_features, n_rows = samples.shape
    kind, segments = stack.covariances.moment_kind, stack.segments
    means = stack.means.reshape(n_mixtures, -1, n_features, 1)
    deviations = samples[:, None] - means
    log_density, responsibilities = _posterior(_log_joint(deviations, stack), stack)
    weighted = deviations * responsibilities[:, :, None]
    shape = (segments.n_components, n_features, n_rows)
    if kind.of_squares:
        own, second = DIAGONAL, np.einsum("bkdn,bkdn->bkd", weighted, deviations)
    else:
        own, second = FULL, weighted @ deviations.mT
    statistics = Statistics(
        own,
        segments,
        stack.means,
        responsibilities.sum(axis=2).ravel(),
        weighted.sum(axis=3).reshape(shape[:2]),
        second.reshape(len(stack.means), *second.shape[2:]),
        log_density.sum(axis=1),
        np.full(n_mixtures, float(n_rows)),
    )
    return statistics.of_kind(kind)


def _log_joint(deviations: NDArray, stack: Parameters) -> NDArray:
    """Joint log-densities (B, K, n) of rows, as deviations (B, K, d, n), and components
    of their mixture."""
    n_mixtures, n_components, n_features, _ = deviations.shape
    factors = stack.covariances.factors
    own = factors.reshape(n_mixtures, n_components, *factors.shape[1:])
    if factors.ndim == 2:
        white = deviations * own[..., None]
    else:
        white = own.mT @ deviations
    constants = np.log(stack.weights) - 0.5 * (
        stack.covariances.log_det + n_features * LOG_2_PI
    )
    distances = np.einsum("bkdn,bkdn->bkn", white, white)
    return constants.reshape(n_mixtures, n_components, 1) - 0.5 * distances


def _posterior(joint: NDArray, stack: Parameters) -> tuple[NDArray, NDArray]:
    """Log-densities (B, n) of the rows, and responsibilities (B, K, n) of the
    components, of which noise may leave less than one."""
    peak, of_noise = joint.max(axis=1), None
    if stack.noise:
        of_noise = np.log(stack.noise_weights)[:, None] + stack.noise.log_density
        peak = np.maximum(peak, of_noise)
    shares = np.exp(joint - peak[:, None])
    total = shares.sum(axis=1)
    if of_noise is not None:
        total += np.exp(of_noise - peak)
    shares /= total[:, None]
    return peak + np.log(total), shares
