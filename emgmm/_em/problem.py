"""What is fitted, runs of EM from several starts, and which of them is the best."""

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
from emgmm._estep.statistics import Statistics
from emgmm._model.families import CovarianceFamily
from emgmm._model.parameters import Parameters
from emgmm._utils.threads import BLAS

from .driver import run_em
from .mstep import MStep
from .progress import Progress
from .result import EMOptions, EMResult
from .state import EMState

SINGULAR = (
    "Fitting the mixture model failed because some components have ill-defined "
    "empirical covariance (for instance caused by singleton or collapsed samples). Try "
    "to decrease the number of components, increase reg_covar, or scale the input "
    "data. Or use the default, reg_covar='scale'."
)
EQUAL_BOUNDS = 1e-10  # relative difference of mean log-likelihoods that are equal


class Runs(NamedTuple):
    """Results of several starts: those that may be the best, and all likelihoods."""

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
"""Returns a start, and reports its progress. LinAlgError if it is singular."""


@dataclass(frozen=True, eq=False)
class EMProblem:
    """What is fitted: rows, in units (d,) of the user, an M-step, and options."""

    rows: RowSource
    units: NDArray
    mstep: MStep
    options: EMOptions
    order_is_fixed: bool = False
    """Whether the start says which component is which."""

    @property
    def family(self) -> CovarianceFamily:
        """The covariance model."""
        return self.mstep.family

    @property
    def in_float32(self) -> bool:
        """Whether sums within a block are taken in float32."""
        return bool(self.rows.summary.compute_dtype == np.float32)

    @property
    def sample(self) -> RowBlocks:
        """The rows, if they are in memory, as those of a subsample are."""
        return cast(RowBlocks, self.rows)

    def with_rows(self, rows: RowBlocks) -> EMProblem:
        """The same problem with other rows, in memory."""
        return EMProblem(rows, self.units, self.mstep, self.options)

    def with_family(self, family: CovarianceFamily) -> EMProblem:
        """The same problem for another family, with its variances bounded likewise."""
        return replace(self, mstep=self.mstep.with_family(family))

    def with_options(self, **options: Any) -> EMProblem:
        """The same problem with other options of EM."""
        return replace(self, options=replace(self.options, **options))

    def start(self, assignment: NDArray, n_components: int) -> Parameters:
        """The mixture of starting labels (n,) or responsibilities (n, K)."""
        kind = self.family.storage.moment_kind
        with BLAS.single_threaded(), np.errstate(all="ignore"):
            statistics = statistics_of_start(self.rows, assignment, n_components, kind)
            return self.begin(statistics)

    def begin(
        self, statistics: Statistics, near: Parameters | None = None
    ) -> Parameters:
        """The mixture of statistics, by an inexact M-step if another is ``near``."""
        mstep = self.mstep.inexact if near else self.mstep
        return mstep.estimate(statistics, near)

    def run(self, start: Parameters | EMState, progress: Progress) -> EMResult:
        """The result of EM from a mixture, or from the state of an earlier run.

        LinAlgError if a covariance becomes singular.
        """
        state = start
        if isinstance(state, Parameters):
            state = EMState(state, self.mstep, self.options, self.in_float32)
        with BLAS.single_threaded():
            return run_em(self.rows, state, self.options.max_iter, progress)

    def runs(
        self,
        starts: Iterable[Callable[[Progress], Parameters | EMState]],
        progress: Progress,
    ) -> Runs:
        """Results of the starts that do not fail. ValueError if all do."""
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
        """The result with the greatest likelihood.

        Those with a degenerate component come last: their likelihood is due to chance.
        Of results that are equal but for rounding it is the first, or the order of the
        components would depend on how sums were rounded.
        """
        if len(results) == 1:
            return results[0]
        keys = [self.ranking_key(result) for result in results]
        sound, greatest = max(keys)
        least = greatest - EQUAL_BOUNDS * max(abs(greatest), 1.0)
        equal = (key[0] == sound and key[1] >= least for key in keys)
        return next(compress(results, equal))

    def ranking_key(self, result: EMResult) -> tuple[bool, float]:
        """The key by which results are ranked: regular components, then likelihood."""
        return not self.degenerate(result.mixture).any(), result.lower_bound

    def degenerate(self, mixture: Parameters) -> NDArray:
        """Which components (K,) have collapsed onto few rows."""
        needed = self.family.rows_needed(len(self.units))
        # Weights are repetitions, or have any unit: the greater of both numbers.
        rows = self.rows.summary
        n_rows = max(rows.weight, rows.n_weighted)
        return self.mstep.scale.degenerate(mixture, n_rows, needed)

    def numbered(self, mixture: Parameters) -> Parameters:
        """The mixture with its components in the order in which they are published."""
        return mixture if self.order_is_fixed else mixture.in_canonical_order()

    def to_be_published(self, result: EMResult) -> EMResult:
        """The result in the units of the user, with its components in order."""
        result = replace(result, mixture=self.numbered(result.mixture))
        if (self.units == 1).all():
            return result
        mixture = result.mixture.in_units(1 / self.units)
        bounds = self.bounds_of_the_user(result.lower_bounds).tolist()
        return EMResult(mixture, bounds, result.converged)

    def bounds_of_the_user(self, bounds: Sequence[float] | NDArray) -> NDArray:
        """Mean log-densities of the observed values, in the units of the user."""
        rows = self.rows.summary
        shift = rows.counts @ np.log(self.units) / rows.weight
        return np.array(bounds) - shift
