"""Components split one after the other, each time where the likelihood gains most.

These are the splits of split-and-merge EM (Ueda et al. 2000,
doi:10.1162/089976600300015088) from a single component on. Greedy EM also adds
components one by one (Verbeek, Vlassis & Krose 2003, doi:10.1162/089976603762553004).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emgmm._em.defects import defective_components
from emgmm._em.problem import EMProblem
from emgmm._em.progress import Progress
from emgmm._estep.predict import responsibilities_of
from emgmm._utils.ties import first_of_greatest

from .cuts import halves
from .short_runs import run_from
from .subsample import completed

MEMBER = 1e-2  # least responsibility of the rows that a trial split uses
SPLIT_ITER = 4  # iterations of EM with two components
SHARE_AT_ONCE = 4  # one of so many components is split in a round, one at least
CHEAP = 2**26  # rows times squared components up to which one is split at a time
COMPARABLE = 0.5  # least share of the greatest gain, of components split in a round
GROW_ITER = 3  # iterations with all components after each split
EQUAL_GAINS = 1e-6  # share of a gain within which the first split is as good


class Split(NamedTuple):
    """The gain in log-likelihood of splitting a component, and the share (n,) of the
    new one in the responsibilities."""

    component: int
    gain: float
    share: NDArray


def growth(
    problem: EMProblem, n_components: int, progress: Progress | None = None
) -> Iterator[NDArray]:
    """Responsibilities (n, K) of K = 2, 3, ... components, in a buffer that changes.

    LinAlgError if no component can be split. In each round one is split if that is
    cheap, or else a share of them, so that all rounds together cost about as much as a
    fixed number of iterations with all components.
    """
    shape = (len(problem.sample.X), n_components)
    responsibilities = np.zeros(shape, order="F")
    responsibilities[:, 0] = 1.0
    splits: dict[int, Split] = {}
    at_once = len(problem.sample.X) * n_components**2 > CHEAP
    size = 1
    while size < n_components:
        # Only components that were split last are new; others have hardly changed.
        for k in set(range(size)).difference(splits):
            splits[k] = _best_split(problem, k, responsibilities[:, k])
        most = max(size // SHARE_AT_ONCE, 1) if at_once else 1
        chosen = _chosen(splits, min(most, n_components - size))
        if not chosen:
            raise np.linalg.LinAlgError("no component has enough rows to be split")
        for split in chosen:
            part = split.share * responsibilities[:, split.component]
            responsibilities[:, split.component] -= part
            responsibilities[:, size] = part
            size += 1
            yield responsibilities[:, :size]
        if size < n_components:
            grown = run_from(problem, responsibilities[:, :size], size, GROW_ITER)
            if progress:
                progress.grown(grown, n_components)
            found = responsibilities_of(problem.sample, grown.mixture)
            responsibilities[:, :size] = found


def _chosen(splits: dict[int, Split], most: int) -> list[Split]:
    """The best splits, taken out of all: at most so many, and only those that gain
    about as much as the best, as others may halve what is one cluster."""
    chosen: list[Split] = []
    while splits and len(chosen) < most:
        candidates = [splits[k] for k in sorted(splits)]
        gains = [split.gain for split in candidates]
        best = candidates[first_of_greatest(gains, EQUAL_GAINS)]
        least = COMPARABLE * chosen[0].gain if chosen else -np.inf
        if not best.gain > least:
            break
        chosen.append(splits.pop(best.component))
    return chosen


def _best_split(problem: EMProblem, component: int, responsibilities: NDArray) -> Split:
    """The best of some splits in two; no gain if there are too few rows."""
    blocks = problem.sample
    members = np.flatnonzero(responsibilities > MEMBER)
    best = Split(component, -np.inf, np.full(len(blocks.X), 0.5))
    if len(members) < 2 * (blocks.X.shape[1] + 1):
        return best
    rows = blocks.take(members, (blocks.weights * responsibilities)[members])
    part = problem.with_rows(rows).with_options(accelerated=False)
    alone = run_from(part, np.zeros(len(members), dtype=np.intp), 1, 0).lower_bound
    of_squares = problem.family.storage.moment_kind.of_squares
    for labels in halves(completed(part), part.mstep.scale.rounding, of_squares):
        with suppress(np.linalg.LinAlgError):
            result = run_from(part, labels, 2, SPLIT_ITER)
            gain = rows.summary.weight * (result.lower_bound - alone)
            better = first_of_greatest([best.gain, gain], EQUAL_GAINS) == 1
            if better and not defective_components(part, result.mixture).any:
                share = best.share.copy()
                share[members] = responsibilities_of(rows, result.mixture)[:, 1]
                best = Split(component, gain, share)
    return best
