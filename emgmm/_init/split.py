"""Components split one after the other, each time where the likelihood gains most.

These are the splits of split-and-merge EM (Ueda et al. 2000,
doi:10.1162/089976600300015088) from a single component on. Greedy EM also adds
components one by one (Verbeek, Vlassis & Krose 2003, doi:10.1162/089976603762553004).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emgmm._em.defects import defective_components
from emgmm._em.lockstep import run_in_lockstep
from emgmm._em.problem import HALF_A_ROW, EMProblem
from emgmm._em.result import EMResults
from emgmm._estep.predict import responsibilities_of
from emgmm._model.parameters import Parameters
from emgmm._utils.ties import first_of_greatest

from .cuts import Cut, halves
from .short_runs import run_from
from .subsample import completed

MEMBER = 1e-2  # least responsibility of the rows that a trial split uses
SPLIT_ITER = 4  # iterations of EM with two components
SHARE_AT_ONCE = 4  # one of so many components is split in a round, one at least
CHEAP = 2**26  # rows times squared components up to which one is split at a time
COMPARABLE = 0.5  # least share of the greatest gain, of components split in a round
GROW_ITER = 3  # iterations with all components after each split
# Densities of a pass, up to which trials that need few rows see all of them together.
CHEAP_PASS = 2**15
EQUAL_GAINS = 1e-6  # share of a gain within which the first split is as good


class PartOfRows(NamedTuple):
    """Rows by their indices; the problem of these rows, with the shares of a component
    in them as weights; and their most promising cuts in two."""

    members: NDArray
    problem: EMProblem
    cuts: list[Cut]


class Trial(NamedTuple):
    """A component to be split: the problem of its rows, by their indices, with their
    shares in it as weights; and the stack of it alone and of its halves."""

    component: int
    members: NDArray
    part: EMProblem
    starts: Parameters


class Split(NamedTuple):
    """The gain in log-likelihood of splitting a component in two, and the two."""

    trial: Trial
    gain: float
    pair: Parameters

    def share(self) -> NDArray:
        """The share of the new component in the responsibilities of the members."""
        return responsibilities_of(self.trial.part.sample, self.pair)[:, 1]


def growth(problem: EMProblem, n_components: int) -> Iterator[NDArray]:
    """Responsibilities (n, K) of K = 2, 3, ... components, in a buffer that changes.

    LinAlgError if no component can be split. In each round one is split if that is
    cheap, or else a share of them, so that all rounds together cost about as much as a
    fixed number of iterations with all components.
    """
    shape = (len(problem.sample.X), n_components)
    responsibilities = np.zeros(shape, order="F")
    responsibilities[:, 0] = 1.0
    splits: dict[int, Split | None] = {}
    at_once = len(problem.sample.X) * n_components**2 > CHEAP
    size = 1
    while size < n_components:
        # Only components that were split last are new; others have hardly changed.
        new = [k for k in range(size) if k not in splits]
        splits |= _best_splits(problem, responsibilities, new)
        most = max(size // SHARE_AT_ONCE, 1) if at_once else 1
        chosen = _chosen(splits, min(most, n_components - size))
        if not chosen:
            raise np.linalg.LinAlgError("no component has enough rows to be split")
        for split in chosen:
            _move(split, responsibilities, size)
            size += 1
            yield responsibilities[:, :size]
        if size < n_components:
            grown = run_from(problem, responsibilities[:, :size], size, GROW_ITER)
            found = responsibilities_of(problem.sample, grown.mixture)
            responsibilities[:, :size] = found


def _move(split: Split, responsibilities: NDArray, new: int) -> None:
    """Write the share of the new component in the rows of the one that is split."""
    old, members = split.trial.component, split.trial.members
    share = np.full(len(responsibilities), 0.5)
    share[members] = split.share()
    responsibilities[:, new] = share * responsibilities[:, old]
    responsibilities[:, old] -= responsibilities[:, new]


def _chosen(splits: dict[int, Split | None], most: int) -> list[Split]:
    """The best splits, taken out of all: at most so many, and only those that gain
    about as much as the best, as others may halve what is one cluster."""
    chosen: list[Split] = []
    while len(chosen) < most:
        candidates = [split for _, split in sorted(splits.items()) if split]
        if not candidates:
            break
        gains = [split.gain for split in candidates]
        best = candidates[first_of_greatest(gains, EQUAL_GAINS)]
        if chosen and not best.gain > COMPARABLE * chosen[0].gain:
            break
        chosen.append(best)
        del splits[best.trial.component]
    return chosen


def _best_splits(
    problem: EMProblem, responsibilities: NDArray, components: list[int]
) -> dict[int, Split | None]:
    """The best split of each component, None where too few rows belong to it."""
    splits: dict[int, Split | None] = dict.fromkeys(components)
    made = (_trial(problem, responsibilities[:, k], k) for k in components)
    trials = [trial for trial in made if trial]
    for group in _groups(trials, len(responsibilities)):
        runs = _run_together(problem, responsibilities, group)
        for trial, results in zip(group, runs, strict=True):
            splits[trial.component] = _best_split(trial, results)
    return splits


def _trial(problem: EMProblem, shares: NDArray, component: int) -> Trial | None:
    """The trial of a component with shares (n,) in the rows, if there are enough."""
    part = part_of(problem, shares)
    if part is None:
        return None
    short = part.problem.with_options(accelerated=False, max_iter=SPLIT_ITER, tol=0.0)
    ways = [cut.labels for cut in part.cuts]
    assignments = [np.zeros(len(part.members), dtype=np.intp), *ways]
    alone, *pairs = short.starts(assignments, [1] + [2] * (len(assignments) - 1))
    if not isinstance(alone, Parameters):
        raise alone
    regular = [pair for pair in pairs if isinstance(pair, Parameters)]
    starts = Parameters.joined([alone, *regular])
    return Trial(component, part.members, short, starts)


def part_of(problem: EMProblem, shares: NDArray) -> PartOfRows | None:
    """The rows in which a component has shares (n,), if there are enough; their weights
    are numbers of rows."""
    blocks, members = problem.sample, np.flatnonzero(shares > MEMBER)
    counts = blocks.weights[members] * (problem.n_rows / blocks.summary.weight)
    if counts.sum() < 2 * (blocks.X.shape[1] + 1) - HALF_A_ROW:
        return None
    rows = blocks.take(members, counts * shares[members])
    part = problem.with_rows(rows)
    of_squares = problem.family.storage.moment_kind.of_squares
    found = halves(completed(part), part.mstep.scale.rounding, of_squares)
    return PartOfRows(members, part, list(found))


def _groups(trials: list[Trial], n_rows: int) -> list[list[Trial]]:
    """All trials together where passes over all rows cost little, else one by one."""
    if n_rows * sum(len(trial.starts.weights) for trial in trials) <= CHEAP_PASS:
        return [trials] if trials else []
    return [[trial] for trial in trials]


def _run_together(
    problem: EMProblem, responsibilities: NDArray, trials: list[Trial]
) -> list[EMResults]:
    """The results of the trials' stacks."""
    if len(trials) == 1:
        return run_in_lockstep([trials[0].part], [trials[0].starts])
    sizes = [len(trial.starts.segments) for trial in trials]
    shares = np.zeros((len(responsibilities), len(trials)))
    for column, trial in enumerate(trials):
        own = responsibilities[trial.members, trial.component]
        shares[trial.members, column] = own
    (results,) = run_in_lockstep(
        [replace(trials[0].part, rows=problem.rows)],
        [Parameters.joined([trial.starts for trial in trials])],
        [np.repeat(shares, sizes, axis=1)],
    )
    parts = np.split(np.arange(len(results)), np.cumsum(sizes)[:-1])
    return [results.take(part) for part in parts]


def _best_split(trial: Trial, results: EMResults) -> Split | None:
    """The best of the splits of a component, if there is one without defects."""
    best, weight = None, trial.part.rows.summary.weight
    alone, bounds = results.histories[0][0], results.lower_bound
    for run in (np.flatnonzero(~results.failed[1:]) + 1).tolist():
        gain = weight * (bounds[run] - alone)
        gains = [best.gain if best else -np.inf, gain]
        if first_of_greatest(gains, EQUAL_GAINS) == 1:
            pair = results.mixtures.mixture(run)
            if not defective_components(trial.part, pair).any:
                best = Split(trial, gain, pair)
    return best
