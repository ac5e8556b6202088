"""Stepwise EM: running statistics of a stream, into which batches of rows are blended.

A batch moves the statistics by a share g towards those that it expects,
s <- (1 - g) s + g E[s | batch], and the M-step gives the mixture by which the next
batch is seen (Cappe & Moulines 2009, doi:10.1111/j.1467-9868.2009.00698.x; Liang &
Klein 2009, doi:10.3115/1620754.1620843). The state is as large as the mixture is.
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
from emgmm._estep.statistics import Statistics
from emgmm._model.families import CovarianceFamily
from emgmm._model.moment_kinds import MomentKind
from emgmm._model.parameters import Parameters

from .regularization import ScaleRegularization

# Of "decreasing": a row that came when the weight of all was u counts in proportion to
# u. Then batches cut in two count as they did whole, early rows, seen by a mixture that
# was poor, are soon outweighed, and many still count: 3/4 as many as in a plain mean.
EXPONENT = 2.0
# Rows that a stream starts with: for each component and feature, but not more numbers
# than these, unless components would hold too few rows.
ROWS_PER_MEAN = 20
START_NUMBERS = 2**20
START_ITER = 20  # iterations of EM on them, at most

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
"""Names of ``step``: weight before a batch, and of the batch, to the share of it."""


def share_of(step: Step, before: float, weight: float, number: int) -> float:
    """The share of the statistics that a batch replaces, checked."""
    if isinstance(step, str) and step in SCHEDULES:
        return SCHEDULES[step](before, weight)
    share = step(number) if callable(step) else step
    if not isinstance(share, Real) or not 0 < share <= 1:
        raise ValueError(
            f"step={step!r} gives {share!r} for batch {number}: give the share of the "
            "statistics that the batch replaces, more than 0 and at most 1."
        )
    return float(share)


def rows_to_start(
    family: CovarianceFamily, n_components: int, n_features: int, start: Any
) -> int:
    """Rows with which a stream starts; of labels or responsibilities, their number."""
    if not isinstance(start, str) and not callable(start):
        return len(start)
    enough = ROWS_PER_MEAN * n_components * (n_features + 1)
    least = n_components * max(family.rows_needed(n_features), 2)
    return max(min(enough, START_NUMBERS // n_features), least)


@dataclass(frozen=True, eq=False)
class StartBuffer:
    """The first rows of a stream, copied, until they are enough for a start."""

    batches: tuple[Chunk, ...] = ()

    def and_of(self, batch: RowBlocks, all_count: bool) -> StartBuffer:
        """Those of a batch too, of which only some may count."""
        chunk = Chunk(batch.to_input_order(batch.X))
        if batch.sample_weight is not None:
            weights = batch.to_input_order(batch.sample_weight)
            kept = all_count | (weights > 0)
            chunk = Chunk(chunk.X[kept], weights[kept])
        return StartBuffer((*self.batches, chunk.copy()))

    @property
    def n_rows(self) -> int:
        """Of all batches."""
        return sum(len(batch.X) for batch in self.batches)

    @property
    def rows(self) -> RowBlocks:
        """All of them."""
        return joined(list(self.batches)).blocks


@dataclass(frozen=True, eq=False)
class StreamState:
    """What is known of the rows of a stream.

    statistics    of unit weight, of rows divided by ``units`` (d,); but their
                  log-likelihood, NaN where none is known, in the units of the user
    steps         to which features are rounded (d,), in units: see ``steps_of``
    weight        of all rows so far
    n_steps       batches that were blended in
    n_complete    rows in which nothing is missing
    incomplete    whether in some there is
    """

    statistics: Statistics
    units: NDArray
    steps: NDArray
    weight: float
    n_complete: float
    incomplete: bool = False
    n_steps: int = 0

    @classmethod
    def begun(cls, rows: RowBlocks, mixture: Parameters, units: NDArray) -> Self:
        """With the first rows and a mixture, both in units."""
        statistics = _expected(rows, mixture, units)
        seen = rows.summary
        about = seen.weight, seen.n_complete, seen.incomplete
        return cls(statistics, units, seen.steps, *about)

    @classmethod
    def of(
        cls,
        mixture: Parameters,
        weight: float,
        log_likelihood: float,
        family: CovarianceFamily,
        added: NDArray | float,
    ) -> Self:
        """With a mixture, and what was added to its variances: its own statistics."""
        sizes = scales_of(mixture.means, mixture.covariances.variances)
        units = units_of(sizes.max(axis=0), family.scale_equivariant)
        own = mixture.in_units(units)
        counts, covariances = own.weights, own.covariances
        statistics = Statistics(
            covariances.moment_kind,
            own.means,
            counts,
            np.zeros_like(own.means),
            covariances.scatter(covariances.values, counts, len(units)),
            log_likelihood,
            1.0,
        )
        without = statistics.with_diagonals(-counts[:, None] * added / units / units)
        unknown = np.full(len(units), np.nan)
        statistics = replace(statistics, products=without)
        return cls(statistics, units, unknown, weight, weight)

    def blended(self, rows: RowBlocks, mixture: Parameters, share: float) -> Self:
        """With rows, as a mixture sees them, both in the units of the user."""
        blocks = rows
        if (self.units != 1).any():
            blocks = rows.divided_by(self.units)
        new = _expected(blocks, mixture.in_units(self.units), self.units)
        old = self.statistics
        if np.isnan(old.log_likelihood):
            old = replace(old, log_likelihood=new.log_likelihood)
        with np.errstate(all="ignore"):
            blend = old * (1 - share) + new * share
            blend = replace(blend.about(blend.means), weight=1.0)
        if not (np.isfinite(blend.products).all() and np.isfinite(blend.means).all()):
            raise ValueError(
                f"X has values up to {np.nanmax(np.abs(rows.X)):.3g}, beyond what can "
                "be added to the statistics of the rows before: scale X, or start "
                "afresh with fit."
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
        """What it takes to make it again, beside what the estimator publishes."""
        statistics = self.statistics
        arrays = {name: getattr(statistics, name) for name in OF_STATISTICS}
        arrays |= {"units": self.units, "steps": self.steps}
        about = {"n_complete": float(self.n_complete), "incomplete": self.incomplete}
        return {PREFIX + name: value for name, value in (arrays | about).items()}

    @classmethod
    def from_values(cls, values: dict[str, Any], kind: MomentKind) -> Self:
        """Of those values, and what is published; ValueError if they do not fit."""
        own = {name: values[PREFIX + name] for name in OF_VALUES}
        K, d = values["means_"].shape
        shapes = [(K, d), (K,), (K, d), kind.shape(K, d), (d,), (d,)]
        names = *OF_STATISTICS, "units", "steps"
        for name, shape in zip(names, shapes, strict=True):
            array = own[name]
            if array.shape != shape or array.dtype != np.float64:
                raise ValueError(f"{PREFIX}{name} is not of shape {shape}, in float64")
            if not np.isfinite(
                array[~np.isnan(array)] if name == "steps" else array
            ).all():
                raise ValueError(f"{PREFIX}{name} is not finite")
        weight, n_steps = values["n_samples_seen_"], values["n_steps_"]
        if not (0 < weight < np.inf and n_steps >= 0 and own["n_complete"] >= 0):
            raise ValueError("n_samples_seen_ or n_steps_ is no such number")
        positive = own["counts"], own["units"], own["steps"]
        if any((values < 0).any() for values in positive) or not own["units"].all():
            raise ValueError(f"{PREFIX}counts, units or steps are negative")
        sums = {name: own[name] for name in OF_STATISTICS}
        statistics = Statistics(
            kind, **sums, log_likelihood=values["lower_bound_"], weight=1.0
        )
        rest = own["n_complete"], own["incomplete"], n_steps
        return cls(statistics, own["units"], own["steps"], weight, *rest)

    def scale(self, resolution: float) -> ScaleRegularization:
        """Least variances, as for rows with such statistics (see ``Relative.to``)."""
        statistics = self.statistics
        total = statistics.counts.sum()
        shares, means = statistics.counts / total, statistics.means
        center = shares @ means
        variances = statistics.squares.sum(axis=0) / total
        variances += shares @ (means - center) ** 2
        sizes = scales_of(center, np.maximum(variances, 0.0))
        n_complete = self.n_complete if self.incomplete else None
        return ScaleRegularization.of(
            sizes, self._known_steps(variances), resolution, n_complete
        )

    def _known_steps(self, variances: NDArray) -> NDArray:
        """Steps (d,) where a feature with variance that was constant in every batch,
        or of whose rows nothing is known, has none."""
        return np.where(np.isnan(self.steps) & (variances > 0), 0.0, self.steps)


def _expected(rows: RowBlocks, mixture: Parameters, units: NDArray) -> Statistics:
    """Expected statistics of unit weight, their log-likelihood in the user's units."""
    statistics = expectation(rows, mixture)
    # Densities are of what rows have.
    shift = float(rows.summary.counts @ np.log(units))
    shifted = replace(statistics, log_likelihood=statistics.log_likelihood - shift)
    return replace(shifted * (1 / statistics.weight), weight=1.0)
