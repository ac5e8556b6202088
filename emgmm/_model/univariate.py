"""Mixtures of one feature: probabilities below a value, and quantiles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_ndtr, logsumexp, ndtr, ndtri

from .parameters import LOG_2_PI, Parameters

EPS = np.finfo(np.float64).eps
# Twice what it takes to halve any bracket down to neighbouring numbers.
MAX_STEPS = 256


@np.errstate(all="ignore")  # far away, squares of deviations are infinite
def cdf(x: NDArray, mixture: Parameters) -> NDArray:
    """Probabilities of values up to x (n,)."""
    weights, means, deviations = _occupied(mixture)
    # Sums are rounded alike, in rows of one array: they grow with x, to those of inf.
    x = np.append(x, np.inf)
    sums = (ndtr((x[:, None] - means) / deviations) * weights).sum(axis=1)
    return sums[:-1] / sums[-1]


@np.errstate(all="ignore")
def quantile(q: NDArray, mixture: Parameters) -> NDArray:
    """Values (n,) up to which there are probabilities q (n,) in (0, 1).

    Logarithms of the smaller tail are equated by Newton's method, in a bracket that
    is halved where steps do not halve: at first from the least to the greatest of the
    components' own quantiles.
    """
    sign = np.where(q <= 0.5, 1.0, -1.0)
    tail = np.where(q <= 0.5, q, 1 - q)
    _, means, deviations = _occupied(mixture)
    ends = means + deviations * (sign * ndtri(tail))[:, None]
    brackets = np.stack([ends.min(axis=1), ends.max(axis=1)])
    x, last = brackets.mean(axis=0), brackets[1] - brackets[0]
    going, log_q = np.arange(len(q)), np.log(tail)
    for _ in range(MAX_STEPS):
        now, (low, high) = x[going], brackets[:, going]
        log_tail, log_density = _logarithms(now, sign[going], mixture)
        excess = sign[going] * (log_tail - log_q[going])
        low, high = np.where(excess <= 0, now, low), np.where(excess >= 0, now, high)
        # Between components there may be no density.
        newton = now - excess / np.exp(log_density - log_tail)
        good = (low <= newton) & (newton <= high)
        good &= np.abs(newton - now) <= last[going] / 2
        after = np.where(good, newton, low + (high - low) / 2)
        met = np.abs(excess) <= EPS * (1 - log_q[going])
        x[going] = np.where(met, now, after)
        brackets[:, going], last[going] = (low, high), np.abs(after - now)
        going = going[~met & (last[going] > EPS * np.abs(now))]
        if not going.size:
            break
    order = np.argsort(q)
    x[order] = np.maximum.accumulate(x[order])  # but for rounding, they ascend
    return x


def _occupied(mixture: Parameters) -> tuple[NDArray, NDArray, NDArray]:
    """Weights, means and standard deviations (K,) of components that have weight."""
    has = mixture.weights > 0
    weights, variances = mixture.weights[has], mixture.covariances.variances[has, 0]
    return weights / weights.sum(), mixture.means[has, 0], np.sqrt(variances)


def _logarithms(
    x: NDArray, sign: NDArray, mixture: Parameters
) -> tuple[NDArray, NDArray]:
    """Of the probability below x, or above where sign is -1, and of the density."""
    weights, means, deviations = _occupied(mixture)
    z, log_weights = (x[:, None] - means) / deviations, np.log(weights)
    log_tail = logsumexp(log_weights + log_ndtr(sign[:, None] * z), axis=1)
    peaks = log_weights - np.log(deviations) - LOG_2_PI / 2
    return log_tail, logsumexp(peaks - z * z / 2, axis=1)
