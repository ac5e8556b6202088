"""A pool of runs of EM: mixtures of many models, with many numbers of components."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emgmm._data.arrays import RowBlocks
from emgmm._data.base import RowSource
from emgmm._em.lockstep import run_in_lockstep
from emgmm._em.problem import EMProblem
from emgmm._em.race import Race
from emgmm._em.result import EMResults
from emgmm._estep.estep import expectation
from emgmm._model.bounded import Limits
from emgmm._model.families import Families
from emgmm._utils.cached import cached_property
from emgmm._utils.threads import run_all

from .patience import Patience
from .sources import Sources

SAME_START = 1e-5  # difference of mean log-likelihoods, below which starts are the same
BEYOND_ANY = 2**32  # more components than any mixture has
MET = 1e-6  # share by which a variance may be below its bound
LAST_ITER = 3  # iterations whose gain says what may still be gained
# Numbers in the covariances of runs that share passes: beyond so many a pass takes so
# long that threads share the runs. Where rows are read anew for every pass, as many
# runs as fit into memory share it.
MOST_NUMBERS, MOST_OF_MEMORY = 2**19, 2**24


@dataclass(frozen=True, eq=False)
class Group:
    """Models whose mixtures are stacked: of one storage, fitted to the same rows.

    ``models`` (F,) are their numbers, in ascending order, as the problem has their
    families; ``view`` is the number of the rows among those of all groups.
    """

    problem: EMProblem
    models: NDArray
    view: int

    @property
    def key(self) -> int:
        """A number that is the same for the same group on other rows."""
        return int(self.models[0])

    def problem_of(self, models: NDArray) -> EMProblem:
        """The problem of a stack of mixtures of these models (B,)."""
        mstep, which = self.problem.mstep, np.searchsorted(self.models, models)
        families = replace(mstep.families, which=which)
        return replace(self.problem, mstep=replace(mstep, families=families))


def candidates(models: NDArray, sizes: NDArray) -> NDArray:
    """Numbers that are the same for the same model and number of components."""
    return models * BEYOND_ANY + sizes


def groups_of(
    problems: Sequence[EMProblem], limits: Limits | None = None
) -> list[Group]:
    """The models of the problems, divided by storage and rows; with short M-steps, and
    such limits of what meets bounds of variances, if they are compared only."""
    views: dict[int, int] = {}
    together: dict[tuple[int, type], list[int]] = {}
    for model, problem in enumerate(problems):
        view = views.setdefault(id(problem.rows), len(views))
        together.setdefault((view, problem.families.storage), []).append(model)
    return [
        Group(_joined(problems, models, limits), np.array(models), view)
        for (view, _), models in sorted(together.items(), key=lambda item: item[0][0])
    ]


def _joined(
    problems: Sequence[EMProblem], models: Sequence[int], limits: Limits | None
) -> EMProblem:
    """One problem for the families of several."""
    families, first = Families(tuple(problems[m].family for m in models)), models[0]
    mstep = replace(problems[first].mstep, families=families)
    return replace(
        problems[first], mstep=mstep.with_limits(limits) if limits else mstep
    )


@dataclass(frozen=True, eq=False)
class Part:
    """The runs of a group: their models (B,), and their results."""

    group: Group
    models: NDArray
    results: EMResults

    @property
    def problem(self) -> EMProblem:
        """The problem of the runs."""
        return self.group.problem_of(self.models)

    @property
    def sizes(self) -> NDArray:
        """Numbers of components (B,)."""
        return self.results.mixtures.segments.sizes

    @property
    def candidates(self) -> NDArray:
        """Numbers (B,) that are the same for the same model and components."""
        return candidates(self.models, self.sizes)

    def take(self, runs: NDArray) -> Part:
        """Some of the runs, by indices."""
        return Part(self.group, self.models[runs], self.results.take(runs))


@dataclass(frozen=True, eq=False)
class Pool:
    """N runs of EM, group by group; groups without runs have no part."""

    parts: Sequence[Part]

    @classmethod
    def begin(
        cls,
        groups: Sequence[Group],
        sources: Sequence[Sources],
        source: NDArray,
        model: NDArray,
    ) -> tuple[Pool, NDArray]:
        """Starts of models (P,) from sources of each view, by their indices (P,), and
        which of these (N,) each is of; without those that are singular."""
        parts, pairs = [], [np.zeros(0, dtype=np.intp)]
        for group in groups:
            own = np.flatnonzero(np.isin(model, group.models))
            if not own.size:
                continue
            problem = group.problem_of(model[own])
            found = sources[group.view].begin(problem, source[own])
            begun = np.flatnonzero(~found.failed)
            if begun.size:
                pairs.append(own[begun])
                parts.append(Part(group, model[pairs[-1]], found.take(begun)))
        return cls(parts), np.concatenate(pairs)

    @staticmethod
    def joined(pools: Sequence[Pool]) -> Pool:
        """The runs of several pools."""
        together: dict[int, list[Part]] = {}
        for part in (part for pool in pools for part in pool.parts):
            together.setdefault(part.group.key, []).append(part)
        return Pool(
            [
                Part(
                    parts[0].group,
                    np.concatenate([part.models for part in parts]),
                    EMResults.joined([part.results for part in parts]),
                )
                for _, parts in sorted(together.items())
            ]
        )

    def of_each(self, function: Callable[[Part], NDArray]) -> NDArray:
        """The values (N,) that the function has for the runs of each part."""
        return np.concatenate([[], *map(function, self.parts)])

    @cached_property
    def candidate(self) -> NDArray:
        """Numbers (N,) that are the same for the same model and components."""
        return self.of_each(lambda part: part.candidates).astype(np.int64)

    @property
    def model(self) -> NDArray:
        """The number of the model of each run (N,)."""
        return self.candidate // BEYOND_ANY

    @property
    def n_components(self) -> NDArray:
        """The number of components of each run (N,)."""
        return self.candidate % BEYOND_ANY

    @cached_property
    def bound(self) -> NDArray:
        """Mean log-likelihoods (N,), in the units of the user."""
        return self.of_each(
            lambda part: part.problem.bounds_of_the_user(part.results.lower_bound)
        )

    @cached_property
    def gain(self) -> NDArray:
        """The mean gains of the last iterations (N,); infinite before any."""
        return self.of_each(lambda part: part.results.gains_of_last(LAST_ITER))

    @cached_property
    def sound(self) -> NDArray:
        """Which mixtures (N,) have no component that has collapsed."""
        sound = self.of_each(lambda part: part.problem.sound(part.results.mixtures))
        return sound.astype(bool)

    @cached_property
    def converged(self) -> NDArray:
        """Which runs (N,) have converged."""
        return self.of_each(lambda part: part.results.converged).astype(bool)

    def __len__(self) -> int:
        """The number of runs."""
        return sum(len(part.models) for part in self.parts)

    def take(self, runs: NDArray) -> Pool:
        """Some of the runs, by indices or a mask (N,), in this order in each group."""
        if runs.dtype == bool:
            runs = np.flatnonzero(runs)
        parts, begin = [], 0
        for part in self.parts:
            end = begin + len(part.models)
            own = runs[(runs >= begin) & (runs < end)] - begin
            begin = end
            if own.size:
                parts.append(part.take(own))
        return Pool(parts)

    @property
    def n_numbers(self) -> NDArray:
        """The numbers in the moments of each run (N,)."""
        return self.of_each(
            lambda part: part.sizes * part.group.problem.n_numbers_of_component
        )

    def run(self, racing: bool = False, **options: Any) -> Pool:
        """The pool after EM with such options, without the runs that failed.

        If ``racing``, runs end early that have fallen behind another of the same model
        and number of components; else those in which a component has collapsed.
        """

        def of_batch(own: NDArray) -> Pool:
            """The runs of a batch, those of the same rows together."""
            pools, batch = [], self.take(own).parts
            for _, each in groupby(batch, key=lambda part: part.group.view):
                pools.append(Pool(_run(list(each), racing, options)))
            return Pool.joined(pools)

        rows = [part.group.problem.rows for part in self.parts]
        return of_batches(of_batch, self.candidate, self.n_numbers, rows)

    def within_bounds(self) -> Pool:
        """The pool after a step of EM for the mixtures with variances below the bounds
        that rounding sets: these were met nearly, and steps that meet them lower the
        likelihood, so that no run would take them."""
        return Pool([_within_bounds(part) for part in self.parts])

    def best(self, kept: int, least: float = SAME_START) -> NDArray:
        """Indices of the best runs of each candidate, at most ``kept`` that differ by
        ``least``, in ascending order; of runs that are the same it is the first."""
        if not len(self):
            return np.zeros(0, dtype=np.intp)
        order = np.lexsort((-self.bound, ~self.sound, self.candidate))
        candidate, sound = self.candidate[order], self.sound[order]
        bound = self.bound[order]
        first = np.ones(len(order), dtype=bool)
        first[1:] = candidate[1:] != candidate[:-1]
        other = first.copy()
        other[1:] |= sound[1:] != sound[:-1]
        other[1:] |= ~(bound[:-1] - bound[1:] <= least)
        begins = np.flatnonzero(other)
        distinct = np.minimum.reduceat(order, begins)
        rank = np.arange(len(begins))
        leaders = first[begins]
        rank -= np.maximum.accumulate(np.where(leaders, rank, 0))
        return np.sort(distinct[rank < kept])

    def own_among(self, others: Pool) -> NDArray:
        """Indices (N,) of the runs of the same candidates among others, which have one
        of each."""
        order = np.argsort(others.candidate)
        return order[np.searchsorted(others.candidate[order], self.candidate)]

    def of_groups(self, groups: Sequence[Group]) -> Pool:
        """The runs as those of the same groups on other rows."""
        same = {group.key: group for group in groups}
        return Pool([replace(each, group=same[each.group.key]) for each in self.parts])


def _within_bounds(part: Part) -> Part:
    """The runs of a part, with a step for those that do not meet the bounds."""
    problem, results = part.problem, part.results
    least, stack = problem.families.distinct[0].least, results.mixtures
    if least is None:
        return part
    ratios = stack.covariances.regularization_ratio(least)
    runs = np.flatnonzero(stack.segments.any(ratios > 1 + MET))
    if not runs.size:
        return part
    own = part.group.problem_of(part.models[runs])
    (statistics,) = expectation(own.rows, [stack.take(runs)], None, own.memberships)
    found, failed = own.mstep.estimate(statistics, stack.take(runs))
    stack = stack.replaced(runs[~failed], found.take(np.flatnonzero(~failed)))
    return replace(part, results=replace(results, mixtures=stack))


def of_batches(
    function: Callable[[NDArray], Pool],
    candidates: NDArray,
    n_numbers: NDArray,
    rows: Sequence[RowSource],
) -> Pool:
    """All runs that the function has for indices of some, batch by batch. Threads
    share the batches; the division does not depend on their number."""
    in_memory = all(
        isinstance(each, RowBlocks) and each.workspace.device is None for each in rows
    )
    most = MOST_NUMBERS if in_memory else MOST_OF_MEMORY
    parts = batches(candidates, n_numbers, most)
    return Pool.joined(run_all([partial(function, part) for part in parts]))


def batches(candidates: NDArray, n_numbers: NDArray, most: int) -> list[NDArray]:
    """Indices of runs (N,) whose covariances have so many numbers (N,), in batches of
    about ``most`` that have much of each model; those of a candidate are in the same.
    """
    _, which = np.unique(candidates, return_inverse=True)
    batch = which % max(-(-int(n_numbers.sum()) // most), 1)
    return [np.flatnonzero(batch == number) for number in np.unique(batch)]


def _run(parts: Sequence[Part], racing: bool, options: dict[str, Any]) -> list[Part]:
    """The parts of the same rows after EM, without the runs that failed."""
    problems = [part.problem.with_options(**options) for part in parts]
    stacks = [part.results.mixtures for part in parts]
    watch: Race | Patience
    if racing:
        watch = Race([part.candidates for part in parts])
    else:
        watch = Patience(problems)
    found = run_in_lockstep(problems, stacks, watch=watch)
    return [
        Part(part.group, part.models, results).take(np.flatnonzero(~results.failed))
        for part, results in zip(parts, found, strict=True)
        if not results.failed.all()
    ]
