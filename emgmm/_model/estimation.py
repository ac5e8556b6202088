"""Estimations: what the covariances of a stack are estimated from."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from .covariances import Covariances
from .moment_kinds import MomentKind
from .segments import Segments


class VarianceRules(Protocol):
    """The rules of volume and shape of the mixtures of a stack."""

    def take(self, mixtures: NDArray) -> Self:
        """The rules of some of the mixtures, by indices or a mask (B,)."""

    def __call__(
        self,
        segments: Segments,
        counts: NDArray,
        diagonals: NDArray,
        start: NDArray | None,
    ) -> NDArray:
        """Variances (M,) or (M, d), from counts (M,) and diagonals of the scatter."""


class Estimation(NamedTuple):
    """Counts (M,) and scatter, laid out as products of a kind, of the components of a
    stack; the rules of its mixtures, and covariances to start from, if any."""

    segments: Segments
    counts: NDArray
    scatter: NDArray
    start: Covariances | None
    rules: VarianceRules
    storage: type[Covariances]

    @property
    def kind(self) -> MomentKind:
        """How the scatter is laid out."""
        return self.storage.moment_kind

    def entries(self, mixtures: NDArray) -> NDArray:
        """Indices of the scatter, and of values, of some mixtures, by indices or a mask
        (B,)."""
        return self.kind.entries(self.segments, mixtures)

    def any(self, entries: NDArray) -> NDArray:
        """Whether some of the entries of each mixture are true (B,)."""
        return entries if self.kind.pooled else self.segments.any(entries)

    def per_mixture(self, entries: NDArray) -> NDArray:
        """The sum of the entries of its mixture, for each entry of the scatter."""
        if self.kind.pooled:
            return entries
        return self.segments.spread(self.segments.sum(entries))

    def take(self, mixtures: NDArray) -> Estimation:
        """The estimation of some of the mixtures, by indices or a mask (B,)."""
        return Estimation(
            self.segments.take(mixtures),
            self.counts[self.segments.components(mixtures)],
            self.scatter[self.entries(mixtures)],
            self.start.take(mixtures) if self.start else None,
            self.rules.take(mixtures),
            self.storage,
        )

    def with_scatter(self, scatter: NDArray) -> Estimation:
        """The estimation from other scatter."""
        return self._replace(scatter=scatter)

    def variances(self, diagonals: NDArray) -> NDArray:
        """Variances along axes with such sums of squares (M, d), by the rules."""
        return self.rules(self.segments, self.counts, diagonals, self.log_volumes)

    @property
    def log_volumes(self) -> NDArray | None:
        """Logarithms of the volumes (M,) of the covariances to start from, if those are
        of as many components."""
        start = self.start
        if start is None:
            return None
        own, theirs = self.segments, start.segments
        same = own is theirs or np.array_equal(own.sizes, theirs.sizes)
        return start.log_det / start.n_features if same else None


Solver = Callable[[Estimation], NDArray]
"""Estimation to values of covariances, NaN for a mixture whose scatter is singular.

They minimise sum_k n_k log|S_k| + tr(S_k^-1 W_k) within the family. Families with
a common orientation begin at ``start``: from the previous covariances the likelihood
cannot fall.
"""
