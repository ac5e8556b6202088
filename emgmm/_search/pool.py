"""A pool of runs of EM, of many models with many numbers of components."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from emgmm._data.base import RowSource
from emgmm._em.problem import EMProblem
from emgmm._em.result import EMResults
from emgmm._model.parameters import Parameters
from emgmm._utils.cached import cached_property

from .engine import degenerate, estimated, lockstep
from .sources import Sources

SAME_START = 1e-5  # difference of mean log-likelihoods, below which starts are the same


@dataclass(frozen=True, eq=False)
class Group:
    """Models whose mixtures are stacked: one storage, and the same rows.

    ``models`` are their numbers, in ascending order: one for each family of ``problem``.
    ``view`` is the number of the rows among those of all groups.
    """

    problem: EMProblem
    models: NDArray
    view: int

    def problem_of(self, models: NDArray) -> EMProblem:
        """The problem of a stack of mixtures of these models."""
        mstep = self.problem.mstep
        which = np.searchsorted(self.models, models)
        return replace(
            self.problem,
            mstep=replace(mstep, families=replace(mstep.families, which=which)),
        )


@dataclass(frozen=True, eq=False)
class Pool:
    """Runs of EM, of the models of each group: N in all.

    ``models`` are the numbers of the models of the runs, for each group.
    """

    groups: Sequence[Group]
    models: list[NDArray]
    results: list[EMResults]

    @cached_property
    def model(self) -> NDArray:
        """The number of the model of each run (N,)."""
        return np.concatenate(self.models)

    @cached_property
    def size(self) -> NDArray:
        """The number of components of each run (N,)."""
        return np.concatenate([each.mixtures.segments.sizes for each in self.results])

    @cached_property
    def bound(self) -> NDArray:
        """Mean log-likelihoods (N,), in the units of the user."""
        bounds = [
            group.problem.bounds_of_the_user(each.lower_bound)
            for group, each in zip(self.groups, self.results, strict=True)
        ]
        return np.concatenate(bounds)

    @cached_property
    def gain(self) -> NDArray:
        """The mean gains of the last iterations (N,)."""
        ends = [h[-4:] for each in self.results for h in each.histories]
        return np.array([(h[-1] - h[0]) / max(len(h) - 1, 1) if h else np.inf for h in ends])

    @cached_property
    def converged(self) -> NDArray:
        return np.concatenate([each.converged for each in self.results])

    @cached_property
    def sound(self) -> NDArray:
        """Which mixtures (N,) have no degenerate component."""
        return np.concatenate(
            [
                ~degenerate(group.problem_of(models), each.mixtures)
                for group, models, each in self._parts
            ]
        )

    @property
    def bounds_of_groups(self):
        ends = np.cumsum([len(each) for each in self.models])
        return list(zip(ends - [len(each) for each in self.models], ends))

    @property
    def _parts(self):
        return list(zip(self.groups, self.models, self.results, strict=True))

    @classmethod
    def begin(
        cls,
        groups: Sequence[Group],
        sources: Sequence[Sources],
        source: NDArray,
        model: NDArray,
    ) -> Pool:
        """The starts of the models from the sources of such indices, of those that are
        not singular."""
        parts = []
        for group in groups:
            own = np.flatnonzero(np.isin(model, group.models))
            problem = group.problem_of(model[own])
            start = sources[group.view].start(problem, source[own])
            good = np.flatnonzero(~start.failed)
            parts.append((model[own][good], start.take(good)))
        return cls(groups, [m for m, _ in parts], [r for _, r in parts])

    def take(self, runs: NDArray) -> Pool:
        """Some of the runs, by indices or a mask."""
        if runs.dtype == bool:
            runs = np.flatnonzero(runs)
        models, results, begin = [], [], 0
        for own, each in zip(self.models, self.results, strict=True):
            chosen = runs[(runs >= begin) & (runs < begin + len(own))] - begin
            models.append(own[chosen])
            results.append(each.take(chosen))
            begin += len(own)
        return Pool(self.groups, models, results)

    @staticmethod
    def joined(pools: Sequence[Pool]) -> Pool:
        """The runs of several pools."""
        return Pool(
            pools[0].groups,
            [np.concatenate(each) for each in zip(*(p.models for p in pools), strict=True)],
            [EMResults.joined(each) for each in zip(*(p.results for p in pools), strict=True)],
        )

    def run(self, plain: bool = False, **options) -> Pool:
        """The pool after EM, without those that failed; ``plain`` EM, or accelerated."""
        results = list(self.results)
        filled = [g for g, models in enumerate(self.models) if len(models)]
        for _, view in groupby(filled, key=lambda g: self.groups[g].view):
            numbers = list(view)
            problems = []
            for g in numbers:
                problem = self.groups[g].problem_of(self.models[g])
                if plain:
                    problem = replace(problem, mstep=problem.mstep.inexact)
                problems.append(problem.with_options(accelerated=not plain, **options))
            stacks = [self.results[g].mixtures for g in numbers]
            for g, found in zip(numbers, lockstep(problems, stacks), strict=True):
                results[g] = found
        found = Pool(self.groups, self.models, results)
        return found.take(~np.concatenate([each.failed for each in results]))

    def best(self, kept: int = 1, least: float = SAME_START) -> NDArray:
        """Indices of the best runs of each model and number of components, at most
        ``kept``, that differ; the best first. Of runs that are the same, the first."""
        key = self.model * (self.size.max(initial=0) + 1) + self.size
        order = np.lexsort((-self.bound, ~self.sound, key))
        key, sound, bound = key[order], self.sound[order], self.bound[order]
        other = np.ones(len(order), dtype=bool)
        other[1:] = key[1:] != key[:-1]
        new = other.copy()
        new[1:] |= (sound[1:] != sound[:-1]) | (bound[:-1] - bound[1:] > least)
        first = np.flatnonzero(new)
        if not first.size:
            return first
        distinct = np.minimum.reduceat(order, first)
        begins = np.flatnonzero(other[first])
        rank = np.arange(len(first)) - np.repeat(
            begins, np.diff(np.append(begins, len(first)))
        )
        return distinct[np.argsort(rank, kind="stable")][: np.sum(rank < kept)]
