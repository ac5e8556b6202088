"""Runs of EM from several starts: which is kept, and what is degenerate in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from emgmm._data.arrays import RowBlocks
from emgmm._data.base import RowSource, raised_by_rows
from emgmm._estep.estep import statistics_of_start
from emgmm._estep.predict import effective_rows, weight_of_components
from emgmm._estep.statistics import Statistics
from emgmm._model.families import CovarianceFamily
from emgmm._model.parameters import Parameters
from emgmm._utils.exceptions import Defects
from emgmm._utils.threads import BLAS

from .driver import run_em
from .mstep import MStep
from .progress import Progress
from .regularization import ENOUGH_EQUAL, VANISHED, VARIANCE_OF_ROUNDING
from .result import EMOptions, EMResult
from .state import EMState

SINGULAR = (
    "Fitting the mixture model failed because some components have ill-defined "
    "empirical covariance (for instance caused by singleton or collapsed samples). Try "
    "to decrease the number of components, increase reg_covar, or scale the input "
    "data. Or leave reg_covar at 'scale'."
)
NOTHING_ELSE = 1 - 1e-6  # share of a variance that is a number in ``reg_covar``
NARROW = 2.0  # times the variance of rounding: that of few values
MOST_NAMED = 3  # features
HALF_A_ROW = 0.5  # which components share with others, and so lack
ROUNDING = 1e-10  # share of a mean log-likelihood below which no two differ


class Runs(NamedTuple):
    """Results from several starts, of which those are kept that may be the best."""

    kept: list[EMResult]
    lower_bounds: list[Sequence[float] | NDArray]
    """Of every start, in their order."""

    def add(self, result: EMResult, ranking_key: Callable[[EMResult], Any]) -> None:
        """Keep the result, unless one before is as good."""
        if all(ranking_key(result) > ranking_key(before) for before in self.kept[-1:]):
            self.kept.append(result)
            self.lower_bounds.append(result.lower_bounds)
        else:
            self.lower_bounds.append(np.array(result.lower_bounds))


Begin = Callable[[Progress], Parameters]
"""Makes a start, and says how far it has come; LinAlgError where it is singular."""


@dataclass(frozen=True, eq=False)
class EMProblem:
    """What is fitted, in which units, and how."""

    rows: RowSource
    units: NDArray
    mstep: MStep
    options: EMOptions
    order_is_given: bool = False
    """Whether the start says which component is which."""

    @property
    def family(self) -> CovarianceFamily:
        """The covariance model."""
        return self.mstep.family

    @property
    def sample(self) -> RowBlocks:
        """The rows of a problem that has them in memory, as that of a subsample has."""
        return cast(RowBlocks, self.rows)

    def of(self, rows: RowBlocks) -> EMProblem:
        """The same problem with other rows, in memory."""
        return EMProblem(rows, self.units, self.mstep, self.options)

    def of_family(self, family: CovarianceFamily) -> EMProblem:
        """The same problem for another family, with its variances bounded likewise."""
        return replace(self, mstep=self.mstep.of_family(family))

    def start(self, assignment: NDArray, n_components: int) -> Parameters:
        """The mixture of starting labels (n,) or responsibilities (n, K)."""
        kind = self.family.storage.moment_kind
        with BLAS.held(), np.errstate(all="ignore"):
            statistics = statistics_of_start(self.rows, assignment, n_components, kind)
            return self.begin(statistics)

    def begin(
        self, statistics: Statistics, near: Parameters | None = None
    ) -> Parameters:
        """The mixture of statistics, by an inexact M-step if one near it is known."""
        mstep = self.mstep.inexact if near else self.mstep
        return mstep.estimate(statistics, near)

    def run(self, start: Parameters | EMState, progress: Progress) -> EMResult:
        """Where EM comes to from a mixture, or from the state of an earlier run.

        LinAlgError where it becomes singular.
        """
        single, state = self.rows.summary.compute_dtype == np.float32, start
        if isinstance(state, Parameters):
            state = EMState(state, self.mstep, self.options, single)
        with BLAS.held():
            return run_em(self.rows, state, self.options.max_iter, progress)

    def runs(
        self,
        starts: Iterable[Callable[[Progress], Parameters | EMState]],
        progress: Progress,
    ) -> Runs:
        """Results of those starts that do not fail."""
        results, failure = Runs([], []), None
        for number, start in enumerate(starts):
            try:
                progress.begin(number, self.options.max_iter)
                mixture = start(progress)
                progress.started()
                result = self.run(mixture, progress)
            except np.linalg.LinAlgError as error:
                if raised_by_rows(error):
                    raise
                failure = error
                progress.failed()
                continue
            results.add(result, self.ranking_key)
            if progress.end(result):
                break
        if not results.kept:
            raise ValueError(SINGULAR) from failure
        return results

    def best(self, results: list[EMResult]) -> EMResult:
        """The greatest likelihood of those without a degenerate component, if there
        are any: with one the likelihood is great by chance. Of those that
        are equal but for rounding, the first: else the order of the components would
        depend on how sums were rounded."""
        if len(results) == 1:
            return results[0]
        keys = [self.ranking_key(result) for result in results]
        sound, greatest = max(keys)
        least = greatest - ROUNDING * max(abs(greatest), 1.0)
        equal = (key[0] == sound and key[1] >= least for key in keys)
        return next(compress(results, equal))

    def ranking_key(self, result: EMResult) -> tuple[bool, float]:
        """What makes a result better than another: regular components; likelihood."""
        return not self.degenerate(result.mixture).any(), result.lower_bound

    def degenerate(self, mixture: Parameters) -> NDArray:
        """Which components (K,) have no width of their own, and few rows."""
        needed = self.family.rows_needed(len(self.units))
        # Whatever the unit of the weights; as repetitions they count.
        n_rows = max(self.rows.summary.weight, self.rows.summary.n_weighted)
        return self.mstep.scale.degenerate(mixture, n_rows, needed)

    def is_flat(self, mixture: Parameters) -> bool:
        """Whether the rows as a whole, as the mixture has them, have no width in some
        direction that is not that of a feature."""
        scale = self.mstep.scale
        if self.family.storage.moment_kind.of_squares:
            return False
        if not scale.collapsed(mixture).any():
            return False
        try:
            return bool(scale.collapsed(mixture.as_one()).any())
        except np.linalg.LinAlgError:
            return True

    def numbered(self, mixture: Parameters) -> Parameters:
        """With the components in the order in which they are published."""
        return mixture if self.order_is_given else mixture.in_canonical_order()

    def to_be_published(self, result: EMResult) -> EMResult:
        """In the units of the user, with the components in their order."""
        result = replace(result, mixture=self.numbered(result.mixture))
        if (self.units == 1).all():
            return result
        mixture = result.mixture.in_units(1 / self.units)
        bounds = self.bounds_of_the_user(result.lower_bounds).tolist()
        return EMResult(mixture, bounds, result.converged)

    def bounds_of_the_user(self, bounds: Sequence[float] | NDArray) -> NDArray:
        """Mean log-densities of what rows have, in units of the user."""
        shift = self.rows.summary.counts @ np.log(self.units) / self.rows.summary.weight
        return np.array(bounds) - shift

    def unsupported(self, mixture: Parameters) -> list[str]:
        """Components of fewer rows than their own covariance needs, in words.

        A few rows that happen to lie close together, or on a line, give such a
        component a great likelihood in any sample, of one distribution too. What has
        fewer rows still is among ``defects``.
        """
        needed = self.family.rows_needed(len(self.units))
        regular = self.family.rows_regular(len(self.units))
        rows = weight_of_components(self.rows, mixture)
        few = (rows < needed - HALF_A_ROW) & (rows >= regular - HALF_A_ROW)
        return _of_components({f"fewer than {needed} rows": few})

    def defects(self, mixture: Parameters) -> Defects:
        """What is wrong with components of the mixture, or with the rows, for it."""
        effective = effective_rows(self.rows, mixture)
        # Weights are repetitions, and have any unit: the greater of both numbers.
        rows = np.maximum(effective, weight_of_components(self.rows, mixture))
        needed = self.family.rows_regular(len(self.units))
        vanished = effective < VANISHED
        few = ~vanished & (rows < needed - HALF_A_ROW)
        collapsed = self.degenerate(mixture)
        if not self.mstep.raises_likelihood:
            added = (
                self.mstep.regularization.regularization_ratio(mixture) > NOTHING_ELSE
            )
            collapsed |= added & (rows < ENOUGH_EQUAL)
        collapsed &= ~vanished & ~few
        nothing = "value of some feature" if self.rows.summary.incomplete else "row"
        found = {
            "next to no width in some direction, and few rows": collapsed,
            f"fewer than {needed} effective rows": few,
            f"no {nothing}": vanished,
        }
        levels = self._levels(mixture, collapsed | few)
        return Defects(tuple(_of_components(found)), levels, self.is_flat(mixture))

    def _levels(self, mixture: Parameters, narrow: NDArray) -> tuple[str, ...]:
        """Which features take few values where some components are narrow, in words."""
        bound = self.mstep.scale.rounding
        variances = mixture.covariances.variances[narrow]
        features = np.flatnonzero((variances < NARROW * bound).any(axis=0))
        steps = np.sqrt(bound / VARIANCE_OF_ROUNDING) * self.units
        return tuple(
            f"feature {j} takes values in steps of {steps[j]:.3g}"
            for j in features[:MOST_NAMED]
        )


def _of_components(found: dict[str, NDArray]) -> list[str]:
    """What components (K,) have, in words, of those that have it."""
    return [f"{_named(each)} {text}" for text, each in found.items() if each.any()]


def _named(chosen: NDArray) -> str:
    """Which components have something, at most ten by their numbers."""
    numbers = [str(number) for number in np.flatnonzero(chosen)]
    shown = ", ".join(numbers[:10]) + (", ..." if len(numbers) > 10 else "")
    return f"component {shown} has" if len(numbers) == 1 else f"components {shown} have"
