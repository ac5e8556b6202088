"""What the candidates of a search begin from that others have found.

A mixture begins from the responsibilities of the mixtures of other models, and from its
own model's mixture of one component more, without any one of them. Starts from mixtures
of one component more or less are those of Baudry & Celeux 2015
(doi:10.1007/s11222-015-9561-x).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emgmm._em.race import HOPE
from emgmm._em.result import EMResults
from emgmm._model.parameters import Parameters, are_near

from .pool import SAME_START, Group, Part, Pool, of_batches
from .sources import Sources, View, stored_as

OF_OTHERS = 1  # starts of a candidate from other models
LESS_ONE = 2  # starts of a candidate from its model's mixture of one component more


def starts_from(
    donors: Pool, best: Pool, groups: Sequence[Group], views: Sequence[View]
) -> Pool:
    """New starts of the candidates, of each of which the best run is known, from some
    of these runs."""
    if not len(donors):
        return donors
    return Pool.joined(
        [_of_other_models(donors, best, groups, views), _less_one(donors, best)]
    )


def _of_other_models(
    donors: Pool, best: Pool, groups: Sequence[Group], views: Sequence[View]
) -> Pool:
    """The most promising starts from responsibilities of other models.

    They have a lower bound of their likelihoods, so that no pass over the rows is
    needed to compare them.
    """
    sources = [Sources.of_mixtures(view, _in_view(donors, view)) for view in views]
    same_size = best.n_components[:, None] == donors.n_components
    wanted = same_size & (best.candidate[:, None] != donors.candidate)
    target, source = np.nonzero(wanted)
    n_numbers = best.n_components[target] * views[0].n_numbers_of_component

    def of_batch(own: NDArray) -> Pool:
        """The most promising of some of the starts."""
        model = best.model[target[own]]
        starts, pairs = Pool.begin(groups, sources, source[own], model)
        ahead = starts.bound - best.bound[target[own][pairs]]
        starts = starts.take((ahead > SAME_START) | ~near_to_best(starts, best))
        return starts.take(starts.best(OF_OTHERS))

    rows = [view.rows for view in views]
    return of_batches(of_batch, best.candidate[target], n_numbers, rows)


def _in_view(pool: Pool, view: View) -> Parameters:
    """The mixtures of a pool in the storage and the units of a view of the rows."""
    stacks = []
    for part in pool.parts:
        stack = part.results.mixtures.in_units(1 / part.group.problem.units)
        stacks.append(stored_as(stack.in_units(view.units), view.storage))
    return Parameters.joined(stacks)


def _less_one(donors: Pool, best: Pool) -> Pool:
    """The best starts from mixtures without one of their components, whose rows go to
    the others; of candidates that are searched."""
    larger = donors.take(np.isin(donors.candidate - 1, best.candidate))

    def of_batch(own: NDArray) -> Pool:
        """The best starts from some of the mixtures."""
        less = Pool([_without_each(part) for part in larger.take(own).parts])
        scored = less.run(max_iter=0, tol=0.0)
        return scored.take(scored.best(LESS_ONE))

    n_numbers = larger.n_numbers * (larger.n_components - 1)
    rows = [part.group.problem.rows for part in larger.parts]
    return of_batches(of_batch, larger.candidate, n_numbers, rows)


def _without_each(part: Part) -> Part:
    """The mixtures without each of their components that may go."""
    memberships = part.group.problem.memberships
    segments = part.results.mixtures.segments
    # Components that rows are known to belong to stay.
    free = segments.places >= (memberships.n_known if memberships else 0)
    runs, removed = segments.mixture[free], segments.places[free]
    mixtures = part.results.mixtures.take(runs)
    kept = np.ones(len(mixtures.weights), dtype=bool)
    kept[mixtures.segments.offsets + removed] = False
    less = EMResults.not_run(mixtures.among(kept))
    return Part(part.group, part.models[runs], less)


def hopeful(pool: Pool, best: Pool) -> NDArray:
    """Which runs (N,) may become better than the best of their candidate."""
    own = pool.own_among(best)
    ahead = pool.bound - best.bound[own]
    alike = pool.sound == best.sound[own]
    return alike & (ahead + HOPE * pool.gain > 0) & ~near_to_best(pool, best)


def near_to_best(pool: Pool, best: Pool) -> NDArray:
    """Which mixtures (N,) match the best one of their candidate."""
    of_groups = {part.group.key: part for part in best.parts}
    found = [np.zeros(0, dtype=bool)]
    for part in pool.parts:
        others = of_groups[part.group.key]
        order = np.argsort(others.candidates)
        own = order[np.searchsorted(others.candidates[order], part.candidates)]
        mixtures = others.results.mixtures.take(own)
        found.append(are_near(part.results.mixtures, mixtures))
    return np.concatenate(found)
