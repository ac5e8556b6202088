"""Log-densities of rows, and what is told of mixtures by sampling, with its error."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr, expit

from emgmm._data.arrays import ArrayBlocks
from emgmm._data.chunks import Chunk
from emgmm._model.parameters import LOG_2_PI, Parameters

from .predict import RowwisePredictor, log_density, responsibilities_of

MIN_ROWS = 10  # drawn of each component


class Estimate(NamedTuple):
    """A figure and its standard error."""

    value: float
    error: float


class Strata(NamedTuple):
    """Rows drawn in fixed shares from every component that has weight."""

    weights: NDArray
    counts: NDArray
    rows: NDArray

    @classmethod
    def of(
        cls, mixture: Parameters, n_samples: int, rng: np.random.RandomState
    ) -> Strata:
        """Some rows at least from each, so that all have a variance."""
        weights = mixture.weights / mixture.weights.sum()
        counts = np.maximum(np.rint(weights * n_samples).astype(int), MIN_ROWS)
        counts[weights == 0] = 0
        rows = mixture.sample_of_components(counts, rng)
        return cls(weights[counts > 0], counts[counts > 0], rows)

    def mean(self, values: NDArray) -> Estimate:
        """Expectation of what has such values (n,) for the rows."""
        groups = np.split(values, np.cumsum(self.counts)[:-1])
        means = np.array([group.mean() for group in groups])
        variances = np.array([group.var(ddof=1) for group in groups])
        error = np.sqrt((self.weights**2 * variances / self.counts).sum())
        return Estimate(float(self.weights @ means), float(error))

    @property
    def unseen(self) -> float:
        """What may escape of the expectation of values up to one: of each component
        what has a probability of one in as many rows as are drawn from it."""
        return float((self.weights / self.counts).sum())


def log_densities(X: NDArray, mixture: Parameters) -> NDArray:
    """Logarithms (n,) of the mixture's density, of what a row has if it lacks some."""
    return RowwisePredictor(mixture, log_density)(Chunk(X).blocks)


def entropy(
    mixture: Parameters, n_samples: int, rng: np.random.RandomState
) -> Estimate:
    """-E log f(x): that of components, theirs of rows, less that of posteriors.

    H(x) = H(k) + H(x | k) - H(k | x); only the last has to be sampled, and it lies
    between 0 and log K. Where components hardly overlap few rows tell of it, or none,
    and their variance is no guide: hence the error has a part for what was not drawn.
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


@np.errstate(all="ignore")  # of what is far apart
def _overlap(mixture: Parameters, weights: NDArray) -> float:
    """An upper bound of the mean entropy of posteriors.

    That of probabilities p is at most 2 log 2 sum sqrt(p_j p_k) over all pairs twice,
    whose expectations are Bhattacharyya's coefficients (1943), in closed form.
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
    """E log(p(x) / q(x)) under p, by rows half of which are from either.

    With t = log(q / p), p (-t) + (q - p) has the same integral, and is nowhere
    negative; divided by the density of the rows, (p + q) / 2, it grows no faster than
    t itself, so that its variance is finite, as that of q / p under p need not be.
    """
    estimates = []
    for source in (mixture, other):
        strata = Strata.of(source, n_samples // 2, rng)
        t = log_densities(strata.rows, other) - log_densities(strata.rows, mixture)
        terms = 2 * (np.tanh(t / 2) - t * expit(-t))
        estimates.append(strata.mean(np.maximum(terms, 0.0)))
    values, errors = zip(*estimates, strict=True)
    return Estimate(sum(values) / 2, float(np.hypot(*errors)) / 2)
