"""What is fitted, runs of EM from several starts, and which of them is the best."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import compress, count
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from emgmm._data.arrays import RowBlocks
from emgmm._data.base import RowSource, raised_by_rows
from emgmm._estep.estep import statistics_of_start, statistics_of_starts
from emgmm._estep.memberships import Memberships
from emgmm._model.families import CovarianceFamily, Families
from emgmm._model.parameters import Parameters
from emgmm._utils.threads import BLAS

from .coordinates import n_coordinates
from .driver import run_em
from .mstep import MStep
from .progress import Progress
from .result import EMOptions, EMResult, EMResults
from .state import EMState

SINGULAR = (
    "Fitting the mixture model failed because some components have ill-defined "
    "empirical covariance (for instance caused by singleton or collapsed samples). Try "
    "to decrease the number of components, increase reg_covar, or scale the input "
    "data. Or use the default, reg_covar='scale'."
)
Failure = np.linalg.LinAlgError
TOGETHER = 2**14  # coordinates of mixtures that are run together
HALF_A_ROW = 0.5  # what components may lack because they share rows with others
EQUAL_BOUNDS = 1e-10  # difference of equal mean log-likelihoods, for each feature


class RaceOfStarts:
    """Ends runs that are behind another, in which no component has collapsed, by more
    than they are still expected to gain: none of these will be the best."""

    def __init__(self, progress: Progress, problem: EMProblem) -> None:
        """A race that has not begun."""
        self._progress, self._problem, self._lead = progress, problem, -np.inf

    def iterating(self) -> None:
        """An iteration begins."""
        self._progress.iterating()

    def iterated(self, states: Sequence[EMState]) -> None:
        """An iteration ends."""
        self._progress.iterated(states)
        (state,) = states
        bounds = np.where(state.running, state.lower_bounds, -np.inf)
        lead, hopes = bounds.max(), np.full(len(bounds), np.inf)
        np.add(bounds, state.gains, out=hopes, where=np.isfinite(bounds))
        ends_some = (state.running & (hopes < max(lead, self._lead))).any()
        if ends_some and lead > self._lead and self._problem.sound(state.leading)[0]:
            self._lead = lead
        if ends_some:
            state.end(hopes < self._lead)


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
    memberships: Memberships | None = None
    """What is known of the rows, if anything is."""

    @property
    def families(self) -> Families:
        """The covariance models of the mixtures of a stack."""
        return self.mstep.families

    @property
    def family(self) -> CovarianceFamily:
        """The covariance model, where all mixtures have the same."""
        return self.mstep.family

    @property
    def in_float32(self) -> bool:
        """Whether sums within a block are taken in float32."""
        return bool(self.rows.summary.compute_dtype == np.float32)

    @property
    def n_numbers_of_component(self) -> int:
        """The number of numbers in the moments of a component."""
        kind = self.families.storage.moment_kind
        return int(np.prod(kind.moments_shape(len(self.units))))

    @property
    def sample(self) -> RowBlocks:
        """The rows, if they are in memory, as those of a subsample are."""
        return cast(RowBlocks, self.rows)

    def n_parameters(self, n_components: int) -> int:
        """The number of free parameters of a mixture of so many components."""
        number = self.family.n_parameters_of_mixture(n_components, len(self.units))
        return number + (self.mstep.noise is not None)

    def with_rows(self, rows: RowBlocks) -> EMProblem:
        """The same problem with other rows, in memory, of which nothing is known."""
        return EMProblem(rows, self.units, self.mstep, self.options)

    def with_sample(self, size: int) -> EMProblem:
        """The same problem with a sample of about so many of its rows."""
        problem = self.with_rows(self.rows.sample(size))
        if self.memberships is None:
            return problem
        kinds = self.rows.sample_values(size, self.memberships.kinds)
        return replace(problem, memberships=replace(self.memberships, kinds=kinds))

    def with_family(self, families: Families | CovarianceFamily) -> EMProblem:
        """The same problem for another family, or families, with their variances
        bounded likewise, but with nothing that is known of them or of rows, and without
        noise."""
        mstep = self.mstep.with_families(families)
        return replace(self, mstep=mstep, memberships=None)

    @property
    def without_fixed(self) -> EMProblem:
        """The same problem with all parameters to be estimated."""
        return replace(self, mstep=self.mstep.without_fixed)

    def with_options(self, **options: Any) -> EMProblem:
        """The same problem with other options of EM."""
        return replace(self, options=replace(self.options, **options))

    def start(self, assignment: NDArray, n_components: int) -> Parameters:
        """The mixture of starting labels (n,) or responsibilities (n, K)."""
        kind = self.family.storage.moment_kind
        with BLAS.single_threaded(), np.errstate(all="ignore"):
            statistics = statistics_of_start(self.rows, assignment, n_components, kind)
            return self.mstep.estimate_one(statistics)

    def starts(
        self, assignments: Sequence[NDArray], n_components: int | Sequence[int]
    ) -> list[Parameters | Failure]:
        """The mixtures of starting labels or responsibilities, or how they fail; all of
        as many components, or each of its own number."""
        kind = self.family.storage.moment_kind
        with BLAS.single_threaded(), np.errstate(all="ignore"):
            sizes = np.broadcast_to(n_components, len(assignments))
            (statistics,) = statistics_of_starts(self.rows, assignments, sizes, [kind])
            mixtures, failed = self.mstep.estimate(statistics)
        return [
            Failure(SINGULAR) if failed[b] else mixtures.mixture(b)
            for b in range(len(failed))
        ]

    def run(self, start: Parameters | EMState, progress: Progress) -> EMResult:
        """The result of EM from a mixture, or from the state of an earlier run.

        LinAlgError if a covariance becomes singular.
        """
        return self._run_together(start, progress).result(0)

    def runs(
        self,
        starts: Iterable[Callable[[Progress], Parameters | EMState]],
        progress: Progress,
    ) -> Runs:
        """Results of the starts that do not fail. ValueError if all do."""
        found, failure = Runs([], []), None
        for group in self._groups(starts, progress):
            for result in self._results_of(group, progress):
                if isinstance(result, Failure):
                    failure = result
                    progress.failed()
                    continue
                found.add(result, self.ranking_key)
                if progress.end(result):
                    return found
        if not found.kept:
            raise ValueError(SINGULAR) from failure
        return found

    def _groups(
        self,
        starts: Iterable[Callable[[Progress], Parameters | EMState]],
        progress: Progress,
    ) -> Iterator[list[Parameters | EMState | Failure]]:
        """What the starts return, or raise, as many at a time as are run together."""
        group: list[Parameters | EMState | Failure] = []
        n_numbers = 0
        for number, start in enumerate(starts):
            progress.begin(number, self.options.max_iter)
            try:
                group.append(start(progress))
                progress.started()
            except Failure as error:
                if raised_by_rows(error):
                    raise
                group.append(error)
            if isinstance(group[-1], Parameters):
                n_numbers += int(n_coordinates(group[-1]).sum())
            if progress.in_turn or n_numbers >= TOGETHER:
                yield group
                group, n_numbers = [], 0
        if group:
            yield group

    def _results_of(
        self,
        group: list[Parameters | EMState | Failure],
        progress: Progress,
    ) -> Iterator[EMResult | Failure]:
        """The results of the starts of a group, or how they failed."""
        begun = [start for start in group if not isinstance(start, Failure)]
        if begun:
            mixtures = [each for each in begun if isinstance(each, Parameters)]
            together = Parameters.joined(mixtures) if mixtures else begun[0]
            found = self._run_together(together, progress)
        numbers = count()
        for start in group:
            if isinstance(start, Failure):
                yield start
                continue
            try:
                yield found.result(next(numbers))
            except Failure as failure:
                yield failure

    def _run_together(
        self, start: Parameters | EMState, progress: Progress
    ) -> EMResults:
        """The results of EM from a stack of mixtures, or a state."""
        state = start
        if isinstance(state, Parameters):
            state = EMState(state, self.mstep, self.options, self.in_float32)
        ranked = self.options.tol > 0 and self.mstep.raises_likelihood
        several = len(state.runs) > 1 and ranked
        watch = RaceOfStarts(progress, self) if several else progress
        with BLAS.single_threaded():
            return run_em(self.rows, [state], watch, self.memberships)[0]

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
        least = greatest - EQUAL_BOUNDS * len(self.units)
        equal = (key[0] == sound and key[1] >= least for key in keys)
        return next(compress(results, equal))

    def ranking_key(self, result: EMResult) -> tuple[bool, float]:
        """The key by which results are ranked: regular components, then likelihood."""
        return bool(self.sound(result.mixture)[0]), result.lower_bound

    def sound(self, mixtures: Parameters) -> NDArray:
        """Which mixtures of a stack (B,) have no component that has collapsed."""
        return ~mixtures.segments.any(self.degenerate(mixtures))

    def degenerate(self, mixtures: Parameters) -> NDArray:
        """Which components (M,) of a stack have collapsed onto few rows."""
        needed = self._rows_needed(mixtures)
        own = self.mstep.estimates_covariances(mixtures.segments)
        return self.mstep.scale.degenerate(mixtures, self.n_rows, needed) & own

    def supported(self, mixtures: Parameters) -> NDArray:
        """Which mixtures of a stack (B,) are sound, and have as many rows in every
        component as its covariance needs, two at least."""
        few = self._have_few_rows(mixtures) | self.degenerate(mixtures)
        return ~mixtures.segments.any(few)

    def penalties(self, mixtures: Parameters) -> NDArray:
        """What the mean log-likelihoods (B,) of mixtures should have gained, by BIC,
        from their components with fewer rows than these need."""
        n_features, segments = len(self.units), mixtures.segments
        few = segments.sum(self._have_few_rows(mixtures).astype(float))
        of_one = [
            each.n_parameters_of_mixture(2, n_features)
            - each.n_parameters_of_mixture(1, n_features)
            for each in self.families.distinct
        ]
        own = self.families.of_each(of_one, len(segments))
        return few * own * (0.5 * np.log(self.n_rows) / self.n_rows)

    def _have_few_rows(self, mixtures: Parameters) -> NDArray:
        """Which components (M,) of a stack have fewer rows than they need, or one."""
        segments = mixtures.segments
        needed = segments.spread(np.maximum(self._rows_needed(mixtures), 2))
        few = mixtures.weights * self.n_rows < needed - HALF_A_ROW
        return few & self.mstep.estimates_covariances(segments)

    def _rows_needed(self, mixtures: Parameters) -> NDArray:
        """Numbers of rows (B,) that components of a stack need."""
        return self.families.rows_needed(len(self.units), len(mixtures.segments))

    @property
    def n_rows(self) -> float:
        """The number of rows; as weights are repetitions, or have any unit, it is the
        greater of both numbers."""
        rows = self.rows.summary
        return max(rows.weight, float(rows.n_weighted))

    def numbered(self, mixture: Parameters) -> Parameters:
        """The mixture with its components in the order in which they are published."""
        return mixture if self.order_is_fixed else mixture.in_canonical_order()

    def mixture_of_the_user(self, mixture: Parameters) -> Parameters:
        """The mixture in the units of the user, with its components in order."""
        return self.numbered(mixture).in_units(1 / self.units)

    def to_be_published(self, result: EMResult) -> EMResult:
        """The result in the units of the user, with its components in order."""
        mixture = self.mixture_of_the_user(result.mixture)
        prior = float(self.mstep.log_prior(result.mixture)[0])
        log_prior = prior / self.rows.summary.weight
        if (self.units == 1).all():
            return replace(result, mixture=mixture, log_prior=log_prior)
        bounds = self.bounds_of_the_user(result.lower_bounds).tolist()
        return EMResult(mixture, bounds, result.converged, log_prior=log_prior)

    def bounds_of_the_user(self, bounds: Sequence[float] | NDArray) -> NDArray:
        """Mean log-densities of the observed values, in the units of the user."""
        rows = self.rows.summary
        shift = rows.counts @ np.log(self.units) / rows.weight
        return np.array(bounds) - shift
