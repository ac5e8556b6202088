"""Fixed parameters: which of them EM does not estimate, and their values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from emgmm._model.covariances import Covariances
from emgmm._model.families import CovarianceFamily
from emgmm._model.parameters import Parameters
from emgmm._model.segments import Segments
from emgmm._utils.validation import did_you_mean

GIVEN_BY = {
    "weights": "weights_init",
    "means": "means_init",
    "covariances": "precisions_init",
}
"""The parameters that may be fixed, and the arguments that have their values."""


class FixedParts(NamedTuple):
    """Of which components weights, means and covariances are fixed, each (K,)."""

    weights: NDArray
    means: NDArray
    covariances: NDArray

    @classmethod
    def of(cls, fixed: Any, family: CovarianceFamily, n_components: int) -> Self | None:
        """Those that the argument ``fixed`` names, checked; None if it names none."""
        if fixed is None:
            return None
        flags = {name: np.zeros(n_components, dtype=bool) for name in GIVEN_BY}
        for name, value in _items(fixed):
            if name not in flags:
                raise ValueError(
                    f"fixed has {name!r}: give names among {', '.join(GIVEN_BY)}, or a "
                    "dict from them to booleans of the components."
                    + did_you_mean(str(name), GIVEN_BY)
                )
            flags[name] = _flags(name, value, n_components)
        parts = cls(**flags)
        own = parts.covariances
        if own.any() and not own.all() and not _share_nothing(family):
            raise ValueError(
                f"fixed={fixed!r:.80} fixes the covariances of some components, but "
                f"those of the model {family.name} have parameters in common: fix "
                "all of them or none, or choose covariance_type 'full', 'diag' or "
                "'spherical'."
            )
        return parts if any(each.any() for each in parts) else None

    def n_parameters(self, family: CovarianceFamily, n_features: int) -> int:
        """Number of parameters that would be free if they were not fixed."""
        n_components, fixed = len(self.weights), self.covariances.sum()
        of_weights = min(int(self.weights.sum()), n_components - 1)
        of_means = n_features * int(self.means.sum())
        of_covariances = int(fixed) * family.own(n_features)
        if self.covariances.all():
            of_covariances = family.n_parameters(n_components, n_features)
        return of_weights + of_means + of_covariances


def _items(fixed: Any) -> Iterable[tuple[Any, Any]]:
    """Pairs of names and values of the argument ``fixed``."""
    if isinstance(fixed, Mapping):
        return fixed.items()
    names = [fixed] if isinstance(fixed, str) else fixed
    return [(name, True) for name in names]


def _flags(name: str, value: ArrayLike, n_components: int) -> NDArray:
    """Booleans (K,) of the components, from a boolean for all or one for each."""
    flags = np.asarray(value)
    if flags.dtype != bool or flags.shape not in ((), (n_components,)):
        raise ValueError(
            f"fixed[{name!r}] is {value!r:.60}: pass True, or one boolean for each of "
            f"the {n_components} components."
        )
    return np.broadcast_to(flags, (n_components,))


def _share_nothing(family: CovarianceFamily) -> bool:
    """Whether covariances of components have no parameter in common."""
    return family.shared(2) == 0


@dataclass(frozen=True, eq=False)
class Fixed:
    """The fixed parameters of mixtures of K components, with their values.

    ``values`` is a mixture that has them, in the units of the problem; what else is in
    it means nothing.
    """

    parts: FixedParts
    values: Parameters

    @classmethod
    def of(
        cls,
        parts: FixedParts,
        known: Mapping[str, Any],
        previous: Parameters | None,
        family: CovarianceFamily,
        n_features: int,
    ) -> Self:
        """The fixed parts with their values from ``known``, fields of ``Parameters``
        that the user passes, or else from the mixture before."""
        given = dict(known)
        for name, argument in GIVEN_BY.items():
            if previous is not None:
                given.setdefault(name, getattr(previous.without_noise, name))
            if getattr(parts, name).any() and name not in given:
                raise ValueError(
                    f"fixed has {name!r}, but {argument} is None: pass the values in "
                    f"{argument}, or set warm_start=True to keep those of the last fit."
                )
        if parts.weights.any() and not parts.weights.all():
            weights: NDArray = given["weights"]
            rest = np.delete(weights, np.flatnonzero(parts.weights)).sum()
            if not rest > 0:
                raise ValueError(
                    "fixed has weights that sum to one, so that nothing is left for "
                    f"the other components (weights_init={weights!r:.60}): fix all "
                    "weights, or smaller ones."
                )
        sizes = len(parts.weights), n_features
        return cls(parts, _completed(given, family, sizes))

    def in_units(self, units: NDArray) -> Fixed:
        """The same for rows that are divided by units (d,)."""
        return replace(self, values=self.values.in_units(units))

    def to_values(self) -> NDArray:
        """All of it in one array."""
        values = self.values.weights, self.values.means, self.values.covariances.values
        return np.concatenate([each.ravel() for each in (*self.parts, *values)])

    def covariances_are_fixed(self, segments: Segments) -> NDArray:
        """Which components (M,) of mixtures have fixed covariances."""
        return self.parts.covariances[segments.places]

    def imposed(self, mixtures: Parameters) -> Parameters:
        """The mixtures with the fixed parameters at their values."""
        segments = mixtures.segments
        return Parameters(
            self._weights_of(segments, mixtures.weights),
            self.means_of(segments, mixtures.means),
            self._covariances_of(mixtures.covariances),
            mixtures.noise,
        )

    def means_of(self, segments: Segments, means: NDArray) -> NDArray:
        """Means (M, d) with the fixed ones at their values."""
        fixed = self.parts.means[segments.places]
        return np.where(fixed[:, None], self.values.means[segments.places], means)

    def scatter_of(
        self, segments: Segments, counts: NDArray, scatter: NDArray
    ) -> NDArray:
        """The scatter, where covariances are fixed such that theirs are estimated."""
        if not self.parts.covariances.any():
            return scatter
        entries, places = self._entries(segments)
        own, scatter = self.values.covariances, scatter.copy()
        values = own.values[segments.places if not own.of_mixtures else places]
        full = own.scatter(segments, values, counts, own.n_features)
        scatter[entries] = full[entries]
        return scatter

    def _weights_of(self, segments: Segments, weights: NDArray) -> NDArray:
        """Weights (M,) with the fixed ones at their values; the others share the rest
        in proportion."""
        if not self.parts.weights.any():
            return weights
        own = self.values.weights
        fixed, rest = (
            self.parts.weights[segments.places],
            own[~self.parts.weights].sum(),
        )
        free = np.where(fixed, 0.0, weights)
        totals = segments.spread(np.maximum(segments.sum(free), np.finfo(float).tiny))
        return np.where(fixed, own[segments.places], rest * free / totals)

    def _covariances_of(self, covariances: Covariances) -> Covariances:
        """Covariances with the fixed ones at their values, bit for bit."""
        if not self.parts.covariances.any():
            return covariances
        segments, own = covariances.segments, self.values.covariances
        entries, places = self._entries(segments)
        values = covariances.values.copy()
        factors = covariances.precisions_cholesky.copy()
        values[entries] = own.values[places]
        factors[entries] = own.precisions_cholesky[places]
        return type(covariances)(values, factors, segments, covariances.n_features)

    def _entries(self, segments: Segments) -> tuple[NDArray, NDArray]:
        """Which entries of the values of covariances are fixed, and the indices of
        their values among those of one mixture."""
        if self.values.covariances.of_mixtures:
            n_mixtures = len(segments)
            return np.ones(n_mixtures, dtype=bool), np.zeros(n_mixtures, dtype=np.intp)
        entries = self.covariances_are_fixed(segments)
        return entries, segments.places[entries]


def _completed(
    given: Mapping[str, Any], family: CovarianceFamily, sizes: tuple[int, int]
) -> Parameters:
    """A mixture with these parameters, and anything in the place of the others."""
    segments, storage = Segments.one(sizes[0]), family.storage
    values = np.empty(storage.layout(segments, sizes[1]))
    values[:] = storage.algebra.identity(values.shape[1:])
    anything: dict[str, Any] = {
        "weights": np.full(sizes[0], 1 / sizes[0]),
        "means": np.zeros(sizes),
        "covariances": storage(values, values, segments, sizes[1]),
    }
    return Parameters(**anything | dict(given))
