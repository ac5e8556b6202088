"""Parameters: weights, means and covariances of mixtures as one immutable value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emgmm._utils.ties import ranks

from .covariances import Covariances, Full
from .noise import Noise
from .segments import Segments

LOG_2_PI = float(np.log(2 * np.pi))
SAME_MAXIMUM = 0.1  # squared standard deviations, and share of a weight
# Differences that do not order components: shares of weights and variances, and of a
# feature's standard deviation in means.
ORDER_TOL = 1e-6
SAMPLE_BLOCK_SIZE = 2**16  # numbers that are sampled at a time
EQUAL_TOL = 1e-6  # standard deviations, and share of U: the rounding of float32


@dataclass(frozen=True, eq=False)
class Parameters:
    """Weights (M,), means (M, d) and covariances of the components of a Gaussian
    mixture, or of a stack of several mixtures with covariances of one storage.

    The weights of a mixture sum to one, or with ``noise`` to one less its weight. Which
    components belong to which mixture say the ``segments``; what is not said to
    be for a stack is for one mixture of K = M components.
    """

    weights: NDArray
    means: NDArray
    covariances: Covariances
    noise: Noise | None = None
    """Of all mixtures of a stack, if they have any."""
    ratios: dict[Any, NDArray] = field(default_factory=dict, init=False, repr=False)
    """Greatest ratios (M,) of what a regularisation may add to variances, by it."""

    @property
    def segments(self) -> Segments:
        """The numbers of components of the mixtures."""
        return self.covariances.segments

    @property
    def noise_weights(self) -> NDArray:
        """Weights of the noise (B,)."""
        return np.maximum(1.0 - self.segments.sum(self.weights), 0.0)

    @property
    def without_noise(self) -> Parameters:
        """The mixtures of the components alone."""
        if not self.noise:
            return self
        segments = self.segments
        weights = self.weights / segments.spread(segments.sum(self.weights))
        return Parameters(weights, self.means, self.covariances)

    @staticmethod
    def joined(stacks: Sequence[Parameters]) -> Parameters:
        """One stack of the mixtures of several, of one storage."""
        if len(stacks) == 1:
            return stacks[0]
        covariances = [each.covariances for each in stacks]
        return Parameters(
            np.concatenate([each.weights for each in stacks]),
            np.concatenate([each.means for each in stacks]),
            type(covariances[0]).joined(covariances),
            stacks[0].noise,
        )

    def take(self, mixtures: NDArray) -> Parameters:
        """The stack of some of the mixtures, by indices or a mask (B,)."""
        components = self.segments.components(mixtures)
        weights, means = self.weights[components], self.means[components]
        covariances = self.covariances.take(mixtures)
        return Parameters(weights, means, covariances, self.noise)

    def replaced(self, mixtures: NDArray, others: Parameters) -> Parameters:
        """The stack with some mixtures, by indices, replaced by those of another."""
        components = self.segments.components(mixtures)
        weights, means = self.weights.copy(), self.means.copy()
        weights[components], means[components] = others.weights, others.means
        covariances = self.covariances.replaced(mixtures, others.covariances)
        return Parameters(weights, means, covariances, self.noise)

    def among(self, kept: NDArray) -> Parameters:
        """The mixtures of some of the components of each, one or more, by a mask (M,);
        their weights are scaled to the sum of all."""
        own, weights = self.covariances, self.weights[kept]
        segments = Segments.of(self.segments.sum(kept.astype(np.intp)))
        entries = slice(None) if own.of_mixtures else kept
        values, factors = own.values[entries], own.precisions_cholesky[entries]
        covariances = type(own)(values, factors, segments, own.n_features)
        weights = weights / segments.spread(segments.sum(weights))
        if self.noise:
            weights *= segments.spread(self.segments.sum(self.weights))
        return Parameters(weights, self.means[kept], covariances, self.noise)

    def mixture(self, index: int) -> Parameters:
        """One of the mixtures, as a stack of its own."""
        one = len(self.segments) == 1
        return self if one else self.take(np.array([index]))

    def in_units(self, units: NDArray) -> Parameters:
        """The mixture of rows that are divided by units (d,)."""
        if (units == 1).all():
            return self
        covariances = self.covariances.in_units(units)
        noise = self.noise and self.noise.in_units(units)
        return Parameters(self.weights, self.means / units, covariances, noise)

    def in_canonical_order(self) -> Parameters:
        """The mixture, components by descending weight; those of equal weight by the
        mean of the first feature, of the second, and so on, then by variances."""
        weights, means = self.weights, self.means
        variances = self.covariances.variances
        # Constant features of any size; components without weight.
        with np.errstate(over="ignore", divide="ignore"):
            scales = np.sqrt(weights @ (variances + (means - weights @ means) ** 2))
            keys = -np.log(weights)[:, None], means / scales, np.log(variances)
        order = np.lexsort(ranks(np.hstack(keys), ORDER_TOL).T[::-1])
        if (order == np.arange(len(order))).all():
            return self
        covariances = self.covariances.ordered(order)
        return Parameters(weights[order], means[order], covariances, self.noise)

    def marginal(self, features: NDArray) -> Parameters:
        """The mixture of some of the features, by their indices."""
        covariances = self.covariances.marginal(features)
        noise = self.noise and self.noise.marginal(features)
        return Parameters(self.weights, self.means[:, features], covariances, noise)

    def as_one(self) -> Parameters:
        """One component with the mean and the covariance of the mixture.

        LinAlgError if that is not positive definite.
        """
        mean = self.weights @ self.means
        spread = np.sqrt(self.weights)[:, None] * (self.means - mean)
        within = np.tensordot(self.weights, self.covariances.dense(), axes=1)
        total = (within + spread.T @ spread)[None]
        covariances = Full.from_values(total, Segments.one(1), len(mean))
        return Parameters(np.ones(1), mean[None], covariances)

    def sample(
        self, n_samples: int, rng: np.random.RandomState
    ) -> tuple[NDArray, NDArray]:
        """Rows (n, d), grouped by component, and their components (n,); rows of noise,
        whose label is -1, come last."""
        weights = self.weights
        if self.noise:
            weights = np.append(weights, self.noise_weights)
        counts = rng.multinomial(n_samples, weights / weights.sum())
        counts = counts[: len(self.weights)]
        rows = self.sample_of_components(counts, rng)
        labels = np.repeat(np.arange(len(counts)), counts)
        if not self.noise:
            return rows, labels
        noise = self.noise.sample(n_samples - len(rows), rng)
        return np.concatenate([rows, noise]), np.append(labels, np.full(len(noise), -1))

    def sample_of_components(
        self, counts: NDArray, rng: np.random.RandomState
    ) -> NDArray:
        """Rows (n, d) sampled from the components, as many as ``counts`` (K,) says from
        each, one component after the other."""
        n_features = self.means.shape[1]
        rows = np.empty((counts.sum(), n_features))
        length = max(SAMPLE_BLOCK_SIZE // n_features, 1)
        ends = np.cumsum(counts)
        for k, (begin, end) in enumerate(zip(ends - counts, ends, strict=True)):
            for start in range(begin, end, length):
                block = rows[start : min(start + length, end)]
                normals = rng.standard_normal(block.shape)
                np.add(self.means[k], self.covariances.colorize(normals, k), out=block)
        return rows


def equal_components(mixture: Parameters) -> list[NDArray]:
    """Indices of components that have the same mean and covariance, group by group."""
    groups = [_equal_to(mixture, k) for k in range(len(mixture.means))]
    return [group for k, group in enumerate(groups) if len(group) > 1 and group[0] == k]


def _equal_to(mixture: Parameters, k: int) -> NDArray:
    """Indices of the components with the mean and the covariance of component k."""
    means, covariances = mixture.means, mixture.covariances
    near = np.abs(means - means[k]) <= EQUAL_TOL * np.sqrt(covariances.variances[k])
    others = np.flatnonzero(near.all(axis=1))
    factors = covariances.factors[others].reshape(*means[others].shape, -1)
    own = covariances.factors[k].reshape(1, means.shape[1], -1)
    alike = np.abs(factors - own) <= EQUAL_TOL * np.abs(own).max(axis=2, keepdims=True)
    return others[alike.all(axis=(1, 2))]


def are_near(mixtures: Parameters, others: Parameters) -> NDArray:
    """Which mixtures of a stack (B,) have components that match those of the other
    stack's, of as many components, as if from one local maximum."""
    sizes, found = mixtures.segments.sizes, np.zeros(len(mixtures.segments), dtype=bool)
    for size in np.unique(sizes):
        same = np.flatnonzero(sizes == size)
        found[same] = _match(mixtures.take(same), others.take(same), int(size))
    return found


def _match(mixtures: Parameters, others: Parameters, size: int) -> NDArray:
    """The same, of mixtures of equal numbers of components."""
    means, variances = (
        each.reshape(-1, size, each.shape[1])
        for each in (others.means, others.covariances.variances)
    )
    shifts = mixtures.means.reshape(-1, size, 1, means.shape[2]) - means[:, None]
    distances = (shifts**2 / variances[:, None]).mean(axis=-1)
    nearest = distances.argmin(axis=2)
    weights = np.take_along_axis(others.weights.reshape(-1, size), nearest, axis=1)
    changes = np.abs(mixtures.weights.reshape(-1, size) - weights)
    matched = (np.sort(nearest, axis=1) == np.arange(size)).all(axis=1)
    matched &= distances.min(axis=2).max(axis=1) < SAME_MAXIMUM
    return matched & (changes < SAME_MAXIMUM * weights).all(axis=1)


def to_arrays(mixture: Parameters) -> tuple[NDArray, ...]:
    """The arrays of a mixture: weights, means, covariances and their factors."""
    covariances = mixture.covariances
    factors = covariances.precisions_cholesky
    return mixture.weights, mixture.means, covariances.values, factors


def from_arrays(
    arrays: tuple[NDArray, ...], storage: type[Covariances], noise: Noise | None = None
) -> Parameters:
    """The mixture of such arrays, with noise if there is any."""
    weights, means, covariances, factors = arrays
    segments = Segments.one(len(weights))
    own = storage(covariances, factors, segments, means.shape[1])
    return Parameters(weights, means, own, noise)
