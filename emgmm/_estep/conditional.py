"""Conditional distributions of features on others: moments and samples."""

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

# Numbers up to which computing them takes less time than setting up threads and blocks.
FEW_NUMBERS = 2**15
# Numbers (rows x features) computed at a time, which bounds the memory of their copies.
PART_SIZE = 2**18


@dataclass(frozen=True, eq=False)
class Regression:
    """Regressions of some features on given ones, one for each component.

    ``known`` is the mixture of the given features; ``others`` has the weights and means
    of the other features, and their conditional covariances.
    """

    known: Parameters
    others: Parameters
    slopes: NDArray

    @classmethod
    def of(cls, mixture: Parameters, given: NDArray, others: NDArray) -> Self:
        """The regressions between features by their indices; ``given`` may be empty."""
        weights, means = mixture.weights, mixture.means
        if given.size:
            slopes, covariances = mixture.covariances.conditional(given, others)
            known = mixture.marginal(given)
        else:
            slopes = np.zeros((len(weights), len(others), 0))
            covariances, known = mixture.covariances.marginal(others), mixture
        return cls(known, Parameters(weights, means[:, others], covariances), slopes)

    def responsibilities(self, rows: NDArray) -> NDArray:
        """Responsibilities (n, K) for the given features of rows, in float64."""
        n_samples, n_features = rows.shape
        weights = self.known.weights
        if not n_features:
            return np.tile(weights / weights.sum(), (n_samples, 1))
        if rows.size * len(weights) > FEW_NUMBERS:
            blocks = ArrayBlocks(rows)
            return responsibilities_of(blocks, self.known)
        with np.errstate(all="ignore"):
            kernel = Whitened(self.known, DOUBLE, Workspace())
            joint = kernel.joint(kernel.features(rows), rows)
            settle(joint.values, rows, self.known)
            return responsibilities(kernel, joint)

    def line(self, rows: NDArray, k: int) -> NDArray:
        """Conditional means (n, others) of component k."""
        deviations = rows - self.known.means[k, : rows.shape[1]]
        slopes = self.slopes[k]  # on nothing where no feature depends on another
        return self.others.means[k] + deviations[:, : slopes.shape[1]] @ slopes.T

    def mean(self, rows: NDArray) -> NDArray:
        """Conditional means (n, others) of the mixture."""
        return self._mean(rows, self.responsibilities(rows))

    def mean_alone(self, rows: NDArray) -> tuple[NDArray]:
        """Conditional means (n, others), in a tuple like the other moments."""
        return (self.mean(rows),)

    def deviations(self, rows: NDArray) -> tuple[NDArray, NDArray]:
        """Conditional means and standard deviations (n, others)."""
        within = self.others.covariances.variances
        mean, variances = self._spread(rows, within, np.square)
        return mean, np.sqrt(variances)

    def covariances(self, rows: NDArray) -> tuple[NDArray, NDArray]:
        """Conditional means (n, others) and covariances (n, others, others)."""
        within = self.others.covariances.dense()
        return self._spread(rows, within, lambda z: z[:, :, None] * z[:, None, :])

    def draw(self, rows: NDArray, rng: np.random.RandomState) -> NDArray:
        """Samples (n, others) from the conditional distribution."""
        bounds = np.cumsum(self.responsibilities(rows), axis=1)
        chances = rng.random_sample((len(rows), 1)) * bounds[:, -1:]
        labels = (bounds[:, :-1] <= chances).sum(axis=1)
        drawn = rng.standard_normal((len(rows), self.slopes.shape[1]))
        for k in np.unique(labels):
            own = labels == k
            colored = self.others.covariances.colorize(drawn[own], k)
            drawn[own] = self.line(rows[own], k) + colored
        return drawn

    def at(self, row: NDArray) -> Parameters:
        """The conditional mixture for one row (given,)."""
        rows, n_components = row[None], len(self.slopes)
        means = np.concatenate([self.line(rows, k) for k in range(n_components)])
        weights = self.responsibilities(rows)[0]
        return Parameters(weights, means, self.others.covariances)

    def _mean(self, rows: NDArray, shares: NDArray) -> NDArray:
        """Conditional means (n, others), from the responsibilities (n, K)."""
        out = np.zeros((len(rows), self.slopes.shape[1]))
        for k, share in enumerate(shares.T):
            out += share[:, None] * self.line(rows, k)
        return out

    def _spread(
        self, rows: NDArray, within: NDArray, product: Callable[[NDArray], NDArray]
    ) -> tuple[NDArray, NDArray]:
        """Conditional means, and second moments about them: those within components
        plus products of the deviations of the components' means."""
        shares = self.responsibilities(rows)
        mean = self._mean(rows, shares)
        second = np.tensordot(shares, within, axes=1)
        for k, share in enumerate(shares.T):
            between = product(self.line(rows, k) - mean)
            second += (share * between.T).T
        return mean, second


ConditionalMoments = Callable[[Regression, NDArray], tuple[NDArray, ...]]


def conditional_moments(
    X: NDArray,
    mixture: Parameters,
    given: NDArray,
    others: NDArray,
    moments: ConditionalMoments,
) -> list[NDArray]:
    """Conditional moments (n, ...) of other features, from rows (n, given).

    Every row is conditioned on its values that are not NaN; the dtype is that of X.
    """
    out: list[NDArray] = []
    mixture = mixture.without_noise
    with BLAS.single_threaded():
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
    """A copy of rows (n, d) with NaN replaced by the conditional mean of the mixture,
    or with ``rng`` by a sample from the conditional distribution."""
    out, missing = np.array(X), np.isnan(X)
    mixture = mixture.without_noise
    incomplete = np.flatnonzero(missing.any(axis=1))
    with BLAS.single_threaded():
        for index, has in _patterns(missing[incomplete]):
            given, others = np.flatnonzero(has), np.flatnonzero(~has)
            fit = Regression.of(mixture, given, others)
            for rows in _parts(incomplete[index], mixture):
                values = _values(X, rows, has)
                filled = fit.mean(values) if rng is None else fit.draw(values, rng)
                out[rows[:, None], others] = filled
    return out


def _patterns(missing: NDArray) -> Iterator[tuple[NDArray, NDArray]]:
    """Indices of the rows of each pattern, and which features (d,) it observes."""
    if not len(missing):
        return
    order = order_by_pattern(missing)
    for rows, has in each_pattern(missing[order]):
        yield order[rows], has


def _parts(rows: NDArray, mixture: Parameters) -> list[NDArray]:
    """Indices of rows, in parts whose copies take little memory."""
    numbers = len(rows) * mixture.means.shape[1]
    return np.array_split(rows, -(-numbers // PART_SIZE))


def _values(X: NDArray, rows: NDArray, has: NDArray) -> NDArray:
    """The chosen features of the chosen rows, in float64."""
    return X[np.ix_(rows, has)].astype(np.float64, copy=False)
