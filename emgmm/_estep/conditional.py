"""What a mixture tells of some features of a row, given others: moments and draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from emgmm._data.arrays import ArrayBlocks
from emgmm._data.patterns import each_pattern, order_by_pattern
from emgmm._model.parameters import Parameters
from emgmm._utils.threads import BLAS, Workspace

from .complete import Whitened
from .kernel import DOUBLE
from .predict import responsibilities, responsibilities_of
from .underflow import settle

# Numbers that are computed before threads and blocks have been set up for them.
FEW = 2**15
# Numbers (rows x features) that are computed together: memory for few copies of them.
PART_SIZE = 2**18


@dataclass(frozen=True, eq=False)
class Regression:
    """Of some features on others that are given, one for each component.

    ``known`` is the mixture of the features that are given; ``left`` has the weights
    and means of the others, and the covariances that are left to them.
    """

    known: Parameters
    left: Parameters
    slopes: NDArray

    @classmethod
    def of(cls, mixture: Parameters, given: NDArray, others: NDArray) -> Self:
        """By the indices of the features; none may be given."""
        weights, means = mixture.weights, mixture.means
        if given.size:
            slopes, covariances = mixture.covariances.conditional(given, others)
            known = mixture.marginal(given)
        else:
            slopes = np.zeros((len(weights), len(others), 0))
            covariances, known = mixture.covariances.marginal(others), mixture
        return cls(known, Parameters(weights, means[:, others], covariances), slopes)

    def responsibilities(self, rows: NDArray) -> NDArray:
        """Probabilities (n, K) of the components, given rows (n, given) in float64."""
        n_samples, n_features = rows.shape
        weights = self.known.weights
        if not n_features:
            return np.tile(weights / weights.sum(), (n_samples, 1))
        if rows.size * len(weights) > FEW:
            blocks = ArrayBlocks(rows)
            return responsibilities_of(blocks, self.known)
        with np.errstate(all="ignore"):
            kernel = Whitened(self.known, DOUBLE, Workspace())
            log_joint = kernel.log_joint(kernel.features(rows))
            return responsibilities(kernel, settle(log_joint, rows, self.known))

    def line(self, rows: NDArray, k: int) -> NDArray:
        """Means (n, others) of a component, given the rows."""
        deviations = rows - self.known.means[k, : rows.shape[1]]
        slopes = self.slopes[k]  # on nothing where no feature depends on another
        return self.left.means[k] + deviations[:, : slopes.shape[1]] @ slopes.T

    def mean(self, rows: NDArray) -> NDArray:
        """Means (n, others) under the whole mixture, given the rows."""
        return self._mean(rows, self.responsibilities(rows))

    def mean_alone(self, rows: NDArray) -> tuple[NDArray]:
        """Means (n, others), as the other moments are told."""
        return (self.mean(rows),)

    def deviations(self, rows: NDArray) -> tuple[NDArray, NDArray]:
        """Means and standard deviations (n, others), given the rows."""
        within = self.left.covariances.variances
        mean, variances = self._spread(rows, within, np.square)
        return mean, np.sqrt(variances)

    def covariances(self, rows: NDArray) -> tuple[NDArray, NDArray]:
        """Means (n, others) and covariances (n, others, others), given the rows."""
        within = self.left.covariances.dense()
        return self._spread(rows, within, lambda z: z[:, :, None] * z[:, None, :])

    def draw(self, rows: NDArray, rng: np.random.RandomState) -> NDArray:
        """Others (n, others) drawn from their distribution, given the rows."""
        bounds = np.cumsum(self.responsibilities(rows), axis=1)
        chances = rng.random_sample((len(rows), 1)) * bounds[:, -1:]
        labels = (bounds[:, :-1] <= chances).sum(axis=1)
        drawn = rng.standard_normal((len(rows), self.slopes.shape[1]))
        for k in np.unique(labels):
            own = labels == k
            colored = self.left.covariances.colorize(drawn[own], k)
            drawn[own] = self.line(rows[own], k) + colored
        return drawn

    def at(self, row: NDArray) -> Parameters:
        """The mixture of the others, given one row (given,)."""
        rows, n_components = row[None], len(self.slopes)
        means = np.concatenate([self.line(rows, k) for k in range(n_components)])
        weights = self.responsibilities(rows)[0]
        return Parameters(weights, means, self.left.covariances)

    def _mean(self, rows: NDArray, shares: NDArray) -> NDArray:
        """Means (n, others), given the rows and their responsibilities (n, K)."""
        out = np.zeros((len(rows), self.slopes.shape[1]))
        for k, share in enumerate(shares.T):
            out += share[:, None] * self.line(rows, k)
        return out

    def _spread(
        self, rows: NDArray, within: NDArray, product: Callable[[NDArray], NDArray]
    ) -> tuple[NDArray, NDArray]:
        """Means, and second moments about them: the mean of those within components,
        and products of the deviations of the components' means."""
        shares = self.responsibilities(rows)
        mean = self._mean(rows, shares)
        second = np.tensordot(shares, within, axes=1)
        for k, share in enumerate(shares.T):
            between = product(self.line(rows, k) - mean)
            second += (share * between.T).T
        return mean, second


Moments = Callable[[Regression, NDArray], tuple[NDArray, ...]]


def conditional_moments(
    X: NDArray, mixture: Parameters, given: NDArray, others: NDArray, moments: Moments
) -> list[NDArray]:
    """Moments of other features, each (n, ...), from rows (n, given) with NaN or not.

    Every row is conditioned on what it has; the type of numbers is that of the rows.
    """
    out: list[NDArray] = []
    with BLAS.held():
        for rows, has in _patterns(np.isnan(X)):
            fit = Regression.of(mixture, given[has], others)
            for part in _parts(rows, mixture):
                found = moments(fit, _values(X, part, has))
                out = out or [np.empty((len(X), *m.shape[1:]), X.dtype) for m in found]
                for whole, each in zip(out, found, strict=True):
                    whole[part] = each
    return out


def imputed(
    X: NDArray, mixture: Parameters, rng: np.random.RandomState | None = None
) -> NDArray:
    """A copy of rows (n, d) with their NaN replaced by what the others tell of them.

    That is the mean under the whole mixture, or with ``rng`` a draw.
    """
    out, missing = np.array(X), np.isnan(X)
    incomplete = np.flatnonzero(missing.any(axis=1))
    with BLAS.held():
        for index, has in _patterns(missing[incomplete]):
            given, others = np.flatnonzero(has), np.flatnonzero(~has)
            fit = Regression.of(mixture, given, others)
            for rows in _parts(incomplete[index], mixture):
                values = _values(X, rows, has)
                filled = fit.mean(values) if rng is None else fit.draw(values, rng)
                out[rows[:, None], others] = filled
    return out


def _patterns(missing: NDArray) -> Iterator[tuple[NDArray, NDArray]]:
    """Rows of each pattern by their indices, and which features (d,) they have."""
    if not len(missing):
        return
    order = order_by_pattern(missing)
    for rows, has in each_pattern(missing[order]):
        yield order[rows], has


def _parts(rows: NDArray, mixture: Parameters) -> list[NDArray]:
    """Rows by their indices, in parts of which copies take little memory."""
    numbers = len(rows) * mixture.means.shape[1]
    return np.array_split(rows, -(-numbers // PART_SIZE))


def _values(X: NDArray, rows: NDArray, has: NDArray) -> NDArray:
    """Some features of some rows, in float64."""
    return X[np.ix_(rows, has)].astype(np.float64, copy=False)
