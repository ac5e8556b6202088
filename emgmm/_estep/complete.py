"""Kernels of complete rows: a fast and an accurate one.

``Quadratic`` computes log-densities as linear functions of squares and products of
features, so that both halves of the E-step are one matrix product each; its rounding
error grows with the distance of the components from the origin. ``Whitened`` subtracts
every mean and whitens the deviations; it is accurate anywhere. ``choose_kernel`` takes
the fast one where it is accurate.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from emgmm._data.base import RowSource
from emgmm._model.covariances import Covariances
from emgmm._model.moment_kinds import FULL
from emgmm._model.parameters import Parameters
from emgmm._utils.cached import cached_property
from emgmm._utils.matmul import contract, multiply
from emgmm._utils.threads import Workspace

from .features import SECOND_ORDER, SecondOrder, fill_distances
from .kernel import DOUBLE, SINGLE, FloatFormat, Kernel, Sums
from .moments import MOST_NUMBERS, Deviations, least_length
from .statistics import MAX_CANCELLATION, Statistics

# Numbers in the arrays of a block: few enough for a cache, enough for long calls.
QUADRATIC_SIZE = 600_000
MAX_BLOCK_LENGTH = 2**15
FEATURES = "features of mixtures", "features"  # names of arrays: own ones, shared ones


@lru_cache(maxsize=256)
def length_of_blocks(n_features: int, n_components: int) -> int:
    """Rows in a block of so many quadratic features and of components."""
    rows = QUADRATIC_SIZE // (n_features + 2 * n_components)
    most = min(MAX_BLOCK_LENGTH, max(MOST_NUMBERS // n_features, 1))
    return min(max(rows, least_length(n_components)), most)


class Quadratic(Kernel):
    """log_joint = Theta phi and sums = phi R', with phi = [1, z, z_i z_j], z = x - c.

    Theta_k = [log-density at c, P_k (mean_k - c), -P_k / 2] for precisions P_k. For
    diagonal covariances phi = [1, z, z_j^2], with which all phi begin. For a tied one
    phi = [1, z, z'Pz / 2]: rows are whitened once and not once for each component, and
    the pooled products are those of all rows, which no pass changes, unless each
    mixture has weights of its own, or noise; then matrices count as those of
    components.

    Cost per row: d (d + 1) / 2 products, and K d (d + 1) multiplications with
    additions in two matrix products (diagonal 4 K d; tied d^2 + 2 K d).

    Rounding: the terms of z'Pz are as large as |z|'|P||z|, where they may cancel to
    (x - mean)'P(x - mean). At a row one standard deviation sd beyond the mean that is
    at most kappa = max_k a_k'|P_k|a_k with a_k = |mean_k - c| + sd_k. The absolute
    error of a log-density is about eps kappa, and so is the error of the statistics in
    units of their own: ``is_accurate`` asks for eps kappa < 1e-10 (float32: 1e-3), and
    ``max_cancellation`` asks the same of the means found. Of uncorrelated features
    kappa is about the squared distance of a mean from c in standard deviations; strong
    correlation adds the condition number. In float32 the rounding of Theta alone would
    be a bias; its effect on the log-likelihood is taken out to first order.
    """

    def __init__(
        self,
        mixture: Parameters,
        float_format: FloatFormat,
        workspace: Workspace,
        origin: NDArray,
        own_weights: bool = False,
    ) -> None:
        """With sums about an origin (d,), and ``own_weights`` if those of the rows may
        differ between mixtures."""
        super().__init__(mixture, float_format, workspace)
        self.origin = origin
        self.shifts = mixture.means - origin
        kind = mixture.covariances.moment_kind
        some_rows = own_weights or mixture.noise is not None
        self.kind = FULL if kind.pooled and some_rows else kind
        second, d = self.second, len(origin)
        self.width = 1 + d + second.size(d)
        self.n_shared = self.width if second.of_rows_alone else 0

    @property
    def second(self) -> SecondOrder:
        """The features of second order; lambdas cannot be pickled, so that it is no
        attribute."""
        return SECOND_ORDER[self.kind]

    def fallback_kernel(
        self, mixture: Parameters, origin: NDArray | None = None
    ) -> Whitened:
        return Whitened(mixture, DOUBLE, self.workspace, origin)

    @property
    def max_cancellation(self) -> float:
        return self.float_format.max_rounding / self.float_format.eps

    @property
    def is_accurate(self) -> NDArray | bool:
        """Where it is the faster one, and its rounding error is accepted."""
        n_components, n_features = self.shifts.shape
        if n_features > self.second.most(n_components):
            return False
        covariances, limit = self.mixture.covariances, self.float_format.max_rounding
        # Mostly the bound kappa_k <= |P_k| |a_k|^2 is enough, which is quick.
        squares = self.shifts * self.shifts + covariances.variances
        bounds = np.add.reduce(squares, axis=1) * _squared_norms(covariances)
        bounded = bounds < limit / (2 * self.float_format.eps)
        if np.count_nonzero(bounded) == n_components:
            return True
        return _rounding(covariances, self.shifts, self.float_format) < limit

    @cached_property
    def theta(self) -> NDArray:
        n_components, d = self.shifts.shape
        covariances = self.mixture.covariances
        precisions = covariances.precisions_by_component
        linear = covariances.algebra.apply_factor(self.shifts, precisions)
        theta = np.empty((n_components, self.width))
        theta[:, 0] = self.constants - 0.5 * np.vecdot(linear, self.shifts)
        theta[:, 1 : 1 + d] = linear
        theta[:, 1 + d :] = self.second.coefficients(precisions)
        return theta

    @property
    def rounded_theta(self) -> NDArray:
        """``theta`` in the dtype of the kernel."""
        return self.theta.astype(self.dtype, copy=False)

    @property
    def block_length(self) -> int:
        n_components, n_features = self.theta.shape
        # The same number of bytes in float32, so that calls take as long.
        return length_of_blocks(n_features, n_components) * 8 // self.dtype.itemsize

    def features(self, X: NDArray) -> NDArray:
        """[1, z] and the features of second order; or their distances from each of the
        mixtures, in an array of its own."""
        d, shared = X.shape[1], self.n_shared
        name, how = (
            "features" if shared else "distances",
            (self.dtype, self.origin.tobytes()),
        )
        # Another kernel may have made as many, or with a single block the last pass.
        kept = self.workspace.kept(name, X, how)
        if kept is not None and len(kept) >= shared:
            return kept[:shared]
        shape = (shared or 1 + d + len(self.segments), len(X))
        features = self.workspace.array(name, shape, self.dtype)
        features[0] = 1.0
        np.subtract(X.T, self.origin[:, None], out=features[1 : 1 + d])
        if shared:
            self.second.fill(features, d)
            self.workspace.keep(name, X, how)
        else:
            fill_distances(features, self)
        return features

    def log_joint(self, features: NDArray) -> NDArray:
        theta, columns = self.rounded_theta, features.shape[1]
        out = self.workspace.array("log_joint", (len(theta), columns), self.dtype)
        if theta.shape[1] == len(features):
            return multiply(theta, features, out)
        first = theta.shape[1] - 1
        multiply(np.ascontiguousarray(theta[:, :first]), features[:first], out)
        self.segments.combine_rows(np.subtract, out, features[first:])
        return out

    def moments(self, features: NDArray, responsibilities: NDArray) -> NDArray:
        if not self.n_shared:
            features = features[: 1 + len(self.origin)]
        return contract(features, responsibilities)

    def statistics(self, sums: Sums, blocks: RowSource) -> Statistics:
        d, moments = len(self.origin), sums.moments.T
        # The sums of an empty component are zero about any origin: it keeps its mean.
        occupied = moments[:, :1] > 0
        log_likelihood = sums.log_likelihood
        if self.float_format is SINGLE:  # undo the effect of rounding theta
            rounded = (self.theta - self.rounded_theta)[:, : moments.shape[1]]
            effects = np.where(occupied, rounded * moments, 0.0).sum(axis=1)
            log_likelihood = log_likelihood + self.segments.sum(effects)
        return Statistics(
            self.mixture.covariances.moment_kind,
            self.segments,
            np.where(occupied, self.origin, self.mixture.means),
            moments[:, 0],
            moments[:, 1 : 1 + d],
            self._products(moments[:, 1 + d :], blocks),
            log_likelihood,
            self.weight(sums, blocks),
        )

    def _products(self, sums: NDArray, blocks: RowSource) -> NDArray:
        """Products of the storage's kind, from sums of the features of second order."""
        products = self.second.products(sums, len(self.origin))
        if products is not None:
            return self.mixture.covariances.moment_kind.pool(self.segments, products)
        rows = blocks.summary
        shift = rows.center - self.origin
        products = rows.scatter + rows.weight * np.outer(shift, shift)
        return np.tile(products, (len(self.segments), 1, 1))


def _squared_norms(covariances: Covariances) -> NDArray:
    """Squared Frobenius norms (M,) of U, as stored."""
    factors = covariances.precisions_cholesky.reshape(
        len(covariances.precisions_cholesky), -1
    )
    norms = np.vecdot(factors, factors)
    return covariances.segments.spread(norms) if covariances.of_mixtures else norms


def _rounding(
    covariances: Covariances, offsets: NDArray, float_format: FloatFormat
) -> NDArray:
    """eps max_k a_k'|P_k|a_k with a_k = |offset_k| + sd_k, for each mixture (B,)."""
    a = np.abs(offsets) + np.sqrt(covariances.variances)
    precisions = np.abs(covariances.precisions_by_component)
    kappa = np.vecdot(covariances.algebra.apply_factor(a, precisions), a)
    return float_format.eps * covariances.segments.max(kappa)


class Whitened(Kernel):
    """log_joint_k = const_k - |(x - mean_k) U_k|^2 / 2, with precision P_k = U_k U_k'.

    Sums are those of ``Deviations``, by default about the means.

    Cost per row and component: d^2 / 2 multiplications with additions for a full
    matrix (somewhat more: the triangle is multiplied in slabs), d for a diagonal one,
    and besides those of ``Deviations``.

    Rounding: the error of a whitened deviation is about eps sd'|U_k|, at most eps times
    the root of the condition number of the correlations, wherever the data lie. In
    float32, rows and means are first taken about a common base, which adds eps times
    the distance of the means from it; ``is_accurate`` asks that a log-density be off by
    less than 1e-3.
    """

    def __init__(
        self,
        mixture: Parameters,
        float_format: FloatFormat,
        workspace: Workspace,
        origin: NDArray | None = None,
        base: NDArray | None = None,
    ) -> None:
        """With sums about an origin (K, d), by default the means."""
        super().__init__(mixture, float_format, workspace)
        kind, means = mixture.covariances.moment_kind, mixture.means
        origin = means if origin is None else origin
        # In float64 the rows minus a mean are as exact as the rows.
        base = np.zeros(means.shape[1]) if base is None else base.astype(np.float64)
        shifts = (origin - base).astype(self.dtype)
        self.deviations = Deviations(
            kind, self.segments, base + shifts, base, self.dtype, workspace
        )

    @property
    def max_cancellation(self) -> float:
        return MAX_CANCELLATION

    @property
    def is_accurate(self) -> NDArray | bool:
        """Where its rounding error is accepted."""
        covariances, float_format = self.mixture.covariances, self.float_format
        offsets = self.mixture.means - self.deviations.base
        whitened = _rounding(covariances, np.zeros_like(offsets), float_format)
        subtracted = float_format.eps * offsets.shape[1]
        subtracted *= _rounding(covariances, offsets, float_format)
        errors = np.maximum(whitened, np.sqrt(subtracted))
        return errors < float_format.max_rounding

    def fallback_kernel(
        self, mixture: Parameters, origin: NDArray | None = None
    ) -> Whitened:
        return Whitened(mixture, DOUBLE, self.workspace, origin)

    @property
    def unlimited(self) -> bool:
        return self.float_format is DOUBLE

    @cached_property
    def factors(self) -> NDArray:
        """U_k' / sqrt(2), so that squares are halved."""
        covariances = self.mixture.covariances
        factors = covariances.algebra.transpose(np.sqrt(0.5) * covariances.factors)
        return np.ascontiguousarray(factors, dtype=self.dtype)

    @property
    def block_length(self) -> int:
        return self.deviations.block_length

    def features(self, X: NDArray) -> NDArray:
        return self.deviations.features(X)

    def log_joint(self, features: NDArray) -> NDArray:
        shape = (len(self.constants), features.shape[1])
        out = self.workspace.array("log_joint", shape, self.dtype)
        whiten = self.mixture.covariances.algebra.whiten_blocks
        for group in self.deviations.groups(features):
            means = self.mixture.means[group]
            shape = (len(means), *features.shape)
            vectors = self.workspace.array("vectors", shape, self.dtype)
            self.deviations.write(features, means, vectors)
            whitened = whiten(self.factors[group], vectors, self.workspace)
            np.multiply(whitened, whitened, out=whitened)
            np.add.reduce(whitened, axis=1, out=out[group])
        constants = self.constants.astype(self.dtype)
        return np.subtract(constants[:, None], out, out=out)

    def moments(self, features: NDArray, responsibilities: NDArray) -> NDArray:
        return self.deviations.moments(features, responsibilities)

    def statistics(self, sums: Sums, blocks: RowSource) -> Statistics:
        return self.deviations.statistics(sums, self.weight(sums, blocks))
