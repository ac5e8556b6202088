"""Stepwise EM of Cappe & Moulines: running statistics that batches of rows update.

A batch moves the statistics by a share g towards their expectation under the mixture,
s <- (1 - g) s + g E[s | batch], and the M-step gives the mixture for the next batch
(Cappe & Moulines 2009, doi:10.1111/j.1467-9868.2009.00698.x; Liang & Klein 2009,
doi:10.3115/1620754.1620843). The state is as large as the mixture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from emgmm._data.arrays import RowBlocks
from emgmm._data.chunks import Chunk, joined
from emgmm._data.scaling import scales_of, units_of
from emgmm._estep.estep import expectation
from emgmm._estep.memberships import Memberships
from emgmm._estep.statistics import Statistics
from emgmm._model.families import CovarianceFamily, Families
from emgmm._model.moment_kinds import MomentKind
from emgmm._model.parameters import Parameters
from emgmm._model.segments import Segments

from .prior import ConjugatePrior, RowMoments
from .problem import EMProblem
from .regularization import ScaleRegularization

# Of "decreasing": a row counts in proportion to the weight of the rows up to it. So a
# batch in two halves counts as it does as a whole; early rows, which a poor mixture has
# seen, are soon outweighed; and the effective number of rows is 3/4 of all.
EXPONENT = 2.0
# A stream starts with so many rows for each component and feature, but with no more
# numbers than START_NUMBERS unless components would have too few rows.
START_ROWS_PER_MEAN = 20
START_NUMBERS = 2**20
START_ITER = 20  # greatest number of iterations of EM on these rows

PREFIX = "running_"  # of names in files
OF_STATISTICS = ("origin", "counts", "sums", "products")
OF_VALUES = {
    **dict.fromkeys((*OF_STATISTICS, "units", "steps"), np.ndarray),
    "n_complete": float,
    "incomplete": bool,
}

Step = str | float | Callable[[int], float]


def _decreasing(before: float, weight: float) -> float:
    """The share at which weights (u, u + du) of the stream count as u^(a - 1) du."""
    return float(-np.expm1(-EXPONENT * np.log1p(weight / before)))


SCHEDULES: dict[str, Callable[[float, float], float]] = {"decreasing": _decreasing}
"""Names of ``step``: functions of the weights before a batch and of it to its share."""


def share_of(step: Step, before: float, weight: float, number: int) -> float:
    """The share of the statistics that a batch replaces, checked."""
    if isinstance(step, str) and step in SCHEDULES:
        return SCHEDULES[step](before, weight)
    share = step(number) if callable(step) else step
    if not isinstance(share, Real) or not 0 < share <= 1:
        raise ValueError(
            f"step={step!r} gives {share!r} for batch {number}: it must give the share "
            "of the statistics that the batch replaces, above 0 and at most 1."
        )
    return float(share)


def rows_to_start(
    family: CovarianceFamily, n_components: int, n_features: int, start: Any
) -> int:
    """The number of rows that a stream starts with: that of labels, if it has any."""
    if not isinstance(start, str) and not callable(start):
        return len(start)
    enough = START_ROWS_PER_MEAN * n_components * (n_features + 1)
    least = n_components * max(family.rows_needed(n_features), 2)
    return max(min(enough, START_NUMBERS // n_features), least)


@dataclass(frozen=True, eq=False)
class StartBuffer:
    """The first rows of a stream, copied, until they are enough for a start."""

    batches: tuple[Chunk, ...] = ()
    priors: tuple[NDArray, ...] = ()
    """Prior weights (n, K) of the components of the rows of each batch."""

    def with_batch(
        self, batch: RowBlocks, prior: NDArray, all_count: bool
    ) -> StartBuffer:
        """The rows with those of a batch and prior weights (n, K) of their components;
        without weight they count only if all do."""
        chunk = Chunk(batch.to_input_order(batch.X))
        if batch.sample_weight is not None:
            weights = batch.to_input_order(batch.sample_weight)
            kept = all_count | (weights > 0)
            chunk, prior = Chunk(chunk.X[kept], weights[kept]), prior[kept]
        return StartBuffer((*self.batches, chunk.copy()), (*self.priors, prior))

    @property
    def prior(self) -> NDArray:
        """Prior weights (n, K) of the components of the rows of all batches."""
        return np.concatenate(self.priors)

    @property
    def n_rows(self) -> int:
        """The number of rows of all batches."""
        return sum(len(batch.X) for batch in self.batches)

    @property
    def rows(self) -> RowBlocks:
        """The rows of all batches."""
        return joined(list(self.batches)).blocks


@dataclass(frozen=True, eq=False)
class StreamState:
    """The running statistics of a stream of rows.

    statistics    of weight 1, for rows divided by ``units`` (d,); their log-likelihood
                  is in the units of the user, and NaN if unknown
    steps         rounding steps of the features (d,), in units: see ``steps_of``
    weight        weight of all rows so far
    n_steps       number of batches since the start
    n_complete    number of complete rows
    incomplete    whether there are others
    """

    statistics: Statistics
    units: NDArray
    steps: NDArray
    weight: float
    n_complete: float
    incomplete: bool = False
    n_steps: int = 0

    @classmethod
    def from_problem(cls, problem: EMProblem, mixture: Parameters) -> Self:
        """The state after the first rows and their mixture, both in units."""
        rows, units = problem.sample, problem.units
        statistics = _expected(rows, mixture, units, problem.memberships)
        seen = rows.summary
        about = seen.weight, seen.n_complete, seen.incomplete
        return cls(statistics, units, seen.steps, *about)

    @classmethod
    def from_mixture(
        cls,
        mixture: Parameters,
        weight: float,
        log_likelihood: float,
        family: CovarianceFamily,
        added: NDArray | float,
    ) -> Self:
        """The state with the expected statistics of a mixture, less what was added."""
        scales = scales_of(mixture.means, mixture.covariances.variances)
        units = units_of(scales.max(axis=0), family.scale_equivariant)
        own = mixture.in_units(units)
        counts, covariances = own.weights, own.covariances
        segments = own.segments
        statistics = Statistics(
            covariances.moment_kind,
            segments,
            own.means,
            counts,
            np.zeros_like(own.means),
            covariances.scatter(segments, covariances.values, counts, len(units)),
            np.array([log_likelihood]),
            np.ones(1),
        )
        without = statistics.with_diagonals(-counts[:, None] * added / units / units)
        unknown = np.full(len(units), np.nan)
        statistics = replace(statistics, products=without)
        return cls(statistics, units, unknown, weight, weight)

    def without(self, prior: ConjugatePrior, families: Families) -> Self:
        """The state of a mixture that has been found with a prior of so many rows."""
        own = prior.times(1 / self.weight)
        return replace(self, statistics=own.removed_from(self.statistics, families))

    def blended(
        self,
        rows: RowBlocks,
        mixture: Parameters,
        share: float,
        memberships: Memberships | None = None,
    ) -> Self:
        """The state after a batch; it and the mixture are in the user's units."""
        blocks = rows
        if (self.units != 1).any():
            blocks = rows.divided_by(self.units)
        own = mixture.in_units(self.units)
        new = _expected(blocks, own, self.units, memberships)
        old = self.statistics
        if np.isnan(old.log_likelihood).any():
            old = replace(old, log_likelihood=new.log_likelihood)
        with np.errstate(all="ignore"):
            blend = old * (1 - share) + new * share
            blend = replace(blend.about(blend.means), weight=np.ones(1))
        if not (np.isfinite(blend.products).all() and np.isfinite(blend.means).all()):
            raise ValueError(
                f"X has values up to {np.nanmax(np.abs(rows.X)):.3g}, too large to be "
                "added to the statistics of the earlier rows: scale X, or start again "
                "with fit."
            )
        return replace(
            self,
            statistics=blend,
            steps=np.fmin(self.steps, blocks.summary.steps),
            weight=self.weight + rows.summary.weight,
            n_complete=self.n_complete + rows.summary.n_complete,
            incomplete=self.incomplete or rows.summary.incomplete,
            n_steps=self.n_steps + 1,
        )

    def to_values(self) -> dict[str, Any]:
        """The state as plain values, without what the estimator publishes."""
        statistics = self.statistics
        arrays = {name: getattr(statistics, name) for name in OF_STATISTICS}
        arrays |= {"units": self.units, "steps": self.steps}
        about = {"n_complete": float(self.n_complete), "incomplete": self.incomplete}
        return {PREFIX + name: value for name, value in (arrays | about).items()}

    @classmethod
    def from_values(cls, values: dict[str, Any], kind: MomentKind) -> Self:
        """The state with such values. ValueError if they do not fit one another."""
        own = {name: values[PREFIX + name] for name in OF_VALUES}
        K, d = values["means_"].shape
        segments = Segments.one(K)
        shapes = [(K, d), (K,), (K, d), kind.shape(segments, d), (d,), (d,)]
        names = *OF_STATISTICS, "units", "steps"
        _check_arrays(own, dict(zip(names, shapes, strict=True)))
        weight, n_steps = values["n_samples_seen_"], values["n_steps_"]
        if not (0 < weight < np.inf and n_steps >= 0 and own["n_complete"] >= 0):
            raise ValueError(
                f"n_samples_seen_, n_steps_ or {PREFIX}n_complete is invalid"
            )
        sums = {name: own[name] for name in OF_STATISTICS}
        statistics = Statistics(
            kind,
            segments,
            **sums,
            log_likelihood=np.array([values["lower_bound_"]]),
            weight=np.ones(1),
        )
        rest = own["n_complete"], own["incomplete"], n_steps
        return cls(statistics, own["units"], own["steps"], weight, *rest)

    def scale(self, resolution: float) -> ScaleRegularization:
        """The regularisation for rows with such statistics."""
        statistics = self.statistics
        total = statistics.counts.sum()
        shares, means = statistics.counts / total, statistics.means
        center = shares @ means
        variances = statistics.squares.sum(axis=0) / total
        variances += shares @ (means - center) ** 2
        scales = scales_of(center, np.maximum(variances, 0.0))
        n_complete = self.n_complete if self.incomplete else None
        return ScaleRegularization.of(
            scales, self._known_steps(variances), resolution, n_complete
        )

    def moments(self) -> RowMoments:
        """Mean and covariance of all rows; without correlations where the model has
        none."""
        statistics, kind = self.statistics, self.statistics.kind
        total = statistics.counts.sum()
        shares, means = statistics.counts / total, statistics.means
        center = shares @ means
        within = kind.sum(statistics.segments, statistics.scatter)[0] / total
        between = means - center
        covariance = (shares * between.T) @ between
        covariance += np.diag(within) if kind.of_squares else within
        return RowMoments.of_population(center, covariance, self.weight)

    def _known_steps(self, variances: NDArray) -> NDArray:
        """Rounding steps (d,): none for a feature that was constant in every batch but
        differs between batches, or whose rows are unknown."""
        return np.where(np.isnan(self.steps) & (variances > 0), 0.0, self.steps)


def _expected(
    rows: RowBlocks,
    mixture: Parameters,
    units: NDArray,
    memberships: Memberships | None,
) -> Statistics:
    """Expected statistics of weight 1, with the log-likelihood in the user's units."""
    (statistics,) = expectation(rows, [mixture], None, memberships)
    # Densities are those of the observed values.
    shift = float(rows.summary.counts @ np.log(units))
    shifted = replace(statistics, log_likelihood=statistics.log_likelihood - shift)
    return replace(shifted * (1 / statistics.weight[0]), weight=np.ones(1))


def _check_arrays(arrays: dict[str, Any], shapes: dict[str, tuple[int, ...]]) -> None:
    """ValueError unless arrays are finite, of such shapes, and positive if need be."""
    for name, shape in shapes.items():
        array = arrays[name]
        if array.shape != shape or array.dtype != np.float64:
            raise ValueError(f"{PREFIX}{name} is not a float64 array of shape {shape}")
        known = array[~np.isnan(array)] if name == "steps" else array
        if not np.isfinite(known).all():
            raise ValueError(f"{PREFIX}{name} is not finite")
    positive = arrays["counts"], arrays["units"], arrays["steps"]
    if any((array < 0).any() for array in positive) or not arrays["units"].all():
        raise ValueError(f"{PREFIX}counts, units or steps are negative")
