"""Which clusters are merged next: by entropy, or by probabilities of errors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emgmm._data.base import RowSource
from emgmm._estep.overlap import (
    sums_of_clusters,
    weights_and_errors,
    weights_and_gains,
)
from emgmm._model.parameters import Parameters
from emgmm._utils.ties import first_of_greatest

from .two_lines import best_two_lines


class Step(NamedTuple):
    """Two clusters, by their places among those before, that become one in the place
    of the first."""

    first: int
    second: int
    score: float
    """By how much it decreases the entropy, or how much the two overlap."""
    weight: float
    """Weight of the rows that were assigned to them."""


class Latest(NamedTuple):
    """What is known from the steps before: scores (C, C) of pairs, and the cluster
    whose scores are not."""

    scores: NDArray
    union: int


@dataclass(frozen=True)
class Pass:
    """A pass over rows, for clusters of components of a mixture."""

    rows: RowSource
    mixture: Parameters

    def __call__(
        self, members: NDArray, function: Callable[[NDArray, NDArray], NDArray]
    ) -> NDArray:
        """Sums of function(probabilities, weights) for clusters of the components that
        ``members`` (C, K) marks."""
        return sums_of_clusters(self.rows, self.mixture, members, function)


Overlap = Callable[[Pass, NDArray, Latest | None], tuple[NDArray, NDArray]]
"""Weights (C,) of the rows assigned to clusters, and scores (C, C) of pairs, of which
those above the diagonal count."""


def merge_steps(overlap: Overlap, passes: Pass) -> list[Step]:
    """The steps from a cluster for each component to one cluster."""
    members = np.eye(len(passes.mixture.weights))
    latest, steps = None, []
    while len(members) > 1:
        weights, scores = overlap(passes, members, latest)
        pairs = np.transpose(np.triu_indices(len(members), 1))
        first, second = pairs[first_of_greatest(scores[tuple(pairs.T)])].tolist()
        weight = float(weights[first] + weights[second])
        steps.append(Step(first, second, float(scores[first, second]), weight))
        members = merged(members, first, second)
        left = np.delete(np.delete(scores, second, axis=0), second, axis=1)
        latest = Latest(left, first)
    return steps


def members_of(steps: Sequence[Step], n_clusters: int) -> NDArray:
    """Which components (C, K) belong to which of so many clusters: ones."""
    members = np.eye(len(steps) + 1)
    for step in steps[: len(members) - n_clusters]:
        members = merged(members, step.first, step.second)
    return members


def merged(members: NDArray, first: int, second: int) -> NDArray:
    """The clusters, the second of two added to the first."""
    left = np.delete(members, second, axis=0)
    left[first] += members[second]
    return left


def linkage(steps: Sequence[Step], heights: NDArray) -> NDArray:
    """The steps (K - 1, 4) in the form of `scipy.cluster.hierarchy`."""
    names = list(range(len(steps) + 1))
    sizes = [1] * len(names)
    rows: list[list[float]] = []
    for new, step in enumerate(steps, len(names)):
        sizes[step.first] += sizes.pop(step.second)
        pair = sorted([names[step.first], names.pop(step.second)])
        names[step.first] = new
        rows.append([*pair, heights[len(rows)], sizes[step.first]])
    return np.array(rows, dtype=np.float64)


def pairs_to_score(size: int, latest: Latest | None) -> tuple[NDArray, NDArray]:
    """Pairs (P,), (P,) of clusters whose scores are not known."""
    first, second = np.triu_indices(size, 1)
    if latest is None:
        return first, second
    new = (first == latest.union) | (second == latest.union)
    return first[new], second[new]


def with_scores(
    size: int, latest: Latest | None, pairs: tuple[NDArray, NDArray], scores: NDArray
) -> NDArray:
    """Scores (C, C) of all pairs, from those before and those of some pairs (P,)."""
    whole = np.zeros((size, size)) if latest is None else latest.scores.copy()
    whole[pairs] = scores
    return whole


def entropy_overlap(
    passes: Pass, members: NDArray, latest: Latest | None
) -> tuple[NDArray, NDArray]:
    """Scores are decreases of the entropy."""
    size, pairs = len(members), pairs_to_score(len(members), latest)
    found = passes(members, partial(weights_and_gains, pairs=pairs))
    gains = found[-len(pairs[0]) :]
    return found[:size], with_scores(size, latest, pairs, gains)


def error_overlap(
    passes: Pass, members: NDArray, latest: Latest | None
) -> tuple[NDArray, NDArray]:
    """Scores are probabilities that of two clusters the wrong one is more probable."""
    size, pairs = len(members), pairs_to_score(len(members), latest)
    found = passes(members, partial(weights_and_errors, pairs=pairs))
    wrong = found[-2 * len(pairs[0]) :].reshape(2, -1)
    totals = found[: -wrong.size].reshape(2, -1)[1, np.array(pairs)]
    shares = np.divide(wrong, totals, out=np.zeros_like(wrong), where=totals > 0)
    return found[:size], with_scores(size, latest, pairs, shares.max(axis=0))


def entropies(steps: Sequence[Step], passes: Pass) -> NDArray:
    """Entropies (K,) with 1 to K clusters.

    With one cluster it is zero, or what the noise makes it; from there the decreases
    are added, so that no digits cancel and entropies never fall.
    """
    last = 0.0
    if passes.mixture.noise:
        pair = np.array([0]), np.array([1])
        everything = np.ones((1, len(steps) + 1))
        last = passes(everything, partial(weights_and_gains, pairs=pair))[-1]
    gains = [step.score for step in reversed(steps)]
    return np.cumsum([last, *gains])


def greatest_errors(steps: Sequence[Step], passes: Pass) -> NDArray:
    """The greatest probabilities of errors (K,) with 1 to K clusters."""
    return np.array([np.nan, *(step.score for step in reversed(steps))])


def removed(steps: Sequence[Step]) -> NDArray:
    """Heights (K - 1,) of the steps: the entropy that has been removed."""
    return np.cumsum([step.score for step in steps])


def separations(steps: Sequence[Step]) -> NDArray:
    """Heights (K - 1,) of the steps: one less the probability, or the height before."""
    return np.maximum.accumulate([1 - step.score for step in steps])


def at_elbow(values: NDArray, threshold: float) -> int:
    """The number of clusters at the elbow of the entropies."""
    return best_two_lines(np.arange(1.0, len(values) + 1), values).n_clusters


def below_threshold(values: NDArray, threshold: float) -> int:
    """The number of clusters at which the probabilities first are below."""
    apart = np.flatnonzero(values[1:] < threshold)
    return int(apart[-1]) + 2 if apart.size else 1


@dataclass(frozen=True)
class Method:
    """How clusters are merged: scores of pairs, what they come to for each number of
    clusters, heights of the steps, and the number of clusters to suggest."""

    overlap: Overlap
    values: Callable[[Sequence[Step], Pass], NDArray]
    heights: Callable[[Sequence[Step]], NDArray]
    suggested: Callable[[NDArray, float], int]


METHODS = {
    "entropy": Method(entropy_overlap, entropies, removed, at_elbow),
    "demp": Method(error_overlap, greatest_errors, separations, below_threshold),
}
