"""Monte Carlo estimates of entropy and divergence, with their standard errors."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr, expit

from emgmm._data.arrays import ArrayBlocks
from emgmm._data.chunks import Chunk
from emgmm._model.parameters import LOG_2_PI, Parameters

from .predict import RowwisePredictor, log_density, responsibilities_of

MIN_PER_COMPONENT = 10  # rows sampled from each component


class Estimate(NamedTuple):
    """An estimated value and its standard error."""

    value: float
    error: float


class Strata(NamedTuple):
    """A stratified sample: fixed numbers of rows from every component with weight."""

    weights: NDArray
    counts: NDArray
    rows: NDArray

    @classmethod
    def of(
        cls, mixture: Parameters, n_samples: int, rng: np.random.RandomState
    ) -> Strata:
        """A sample of about ``n_samples`` rows, with enough from each component for a
        variance."""
        weights = mixture.weights / mixture.weights.sum()
        counts = np.maximum(np.rint(weights * n_samples).astype(int), MIN_PER_COMPONENT)
        counts[weights == 0] = 0
        rows = mixture.sample_of_components(counts, rng)
        return cls(weights[counts > 0], counts[counts > 0], rows)

    def mean(self, values: NDArray) -> Estimate:
        """Estimate of the expectation of a function with values (n,) at the rows."""
        groups = np.split(values, np.cumsum(self.counts)[:-1])
        means = np.array([group.mean() for group in groups])
        variances = np.array([group.var(ddof=1) for group in groups])
        error = np.sqrt((self.weights**2 * variances / self.counts).sum())
        return Estimate(float(self.weights @ means), float(error))

    @property
    def unseen(self) -> float:
        """Probability of events that the sample may miss: in each component those that
        happen once in as many rows as are sampled from it."""
        return float((self.weights / self.counts).sum())


def log_densities(X: NDArray, mixture: Parameters) -> NDArray:
    """Log-densities (n,) of the observed values of the rows."""
    return RowwisePredictor(mixture, log_density)(Chunk(X).blocks)


def entropy(
    mixture: Parameters, n_samples: int, rng: np.random.RandomState
) -> Estimate:
    """Estimate of -E log f(x).

    H(x) = H(k) + H(x | k) - H(k | x); only the last term is sampled, and lies between 0
    and log K. Where components hardly overlap, few rows or none contribute to it, and
    their variance does not show the error: hence a part for what the sample may miss.
    """
    weights = mixture.weights / mixture.weights.sum()
    n_features = mixture.means.shape[1]
    own = 0.5 * (n_features * (1 + LOG_2_PI) + mixture.covariances.log_det)
    strata = Strata.of(mixture, n_samples, rng)
    rows = ArrayBlocks(strata.rows)
    posterior = responsibilities_of(rows, mixture)
    left = strata.mean(entr(posterior).sum(axis=1))
    escaped = min(
        strata.unseen * np.log(len(strata.weights)), _overlap(mixture, weights)
    )
    value = float(entr(weights).sum() + weights @ own) - left.value
    return Estimate(value, float(np.hypot(left.error, escaped)))


@np.errstate(all="ignore")  # components far apart
def _overlap(mixture: Parameters, weights: NDArray) -> float:
    """Upper bound of the mean entropy of responsibilities.

    The entropy of probabilities p is at most 2 log 2 times the sum of sqrt(p_j p_k)
    over j != k, whose expectations are Bhattacharyya coefficients, in closed form.
    """
    covariances, total = mixture.covariances, 0.0
    for k, mean in enumerate(mixture.means[:-1]):
        halfway = covariances.halfway(k)
        apart = halfway.whiten(mixture.means - mean)
        log_det = (covariances.log_det + covariances.log_det[k]) / 2
        distances = np.vecdot(apart, apart) / 8 + (halfway.log_det - log_det) / 2
        terms = np.sqrt(weights * weights[k]) * np.exp(-distances)
        total += float(terms[k + 1 :].sum())
    return 4 * np.log(2) * total


def kl_divergence(
    mixture: Parameters,
    other: Parameters,
    n_samples: int,
    rng: np.random.RandomState,
) -> Estimate:
    """Estimate of E log(p(x) / q(x)) under p, from rows half of p and half of q.

    With t = log(q / p), the integrand p (-t) + (q - p) has the same integral and is
    never negative; divided by the density of the rows, (p + q) / 2, it grows no faster
    than t, so that its variance is finite, unlike that of q / p under p.
    """
    estimates = []
    for source in (mixture, other):
        strata = Strata.of(source, n_samples // 2, rng)
        t = log_densities(strata.rows, other) - log_densities(strata.rows, mixture)
        terms = 2 * (np.tanh(t / 2) - t * expit(-t))
        estimates.append(strata.mean(np.maximum(terms, 0.0)))
    values, errors = zip(*estimates, strict=True)
    return Estimate(sum(values) / 2, float(np.hypot(*errors)) / 2)
