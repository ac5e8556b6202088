"""Starts that agree with what is known of the rows' components."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from emgmm._data.arrays import ArrayBlocks
from emgmm._em.problem import EMProblem
from emgmm._estep.memberships import Memberships
from emgmm._estep.predict import responsibilities_of
from emgmm._model.parameters import Parameters

LLOYD_ITER = 20  # of constrained k-means


def all_agreeing(
    assignments: Sequence[NDArray],
    memberships: Memberships | None,
    weights: NDArray,
    n_components: int,
) -> list[NDArray]:
    """The assignments of the same rows as they agree with what is known of these, if
    anything is."""
    if memberships is None:
        return list(assignments)
    return [agreeing(each, memberships, weights, n_components) for each in assignments]


def agreeing(
    assignment: NDArray, memberships: Memberships, weights: NDArray, n_components: int
) -> NDArray:
    """Labels (n,), or responsibilities (n, K), with the clusters numbered as the
    components that their rows are known to belong to, and rows where they may belong:
    if their cluster is not allowed, in the only component that is, or else in none."""
    labels = assignment if assignment.ndim == 1 else assignment.argmax(axis=1)
    numbers = _numbers(labels, memberships, weights, n_components)
    if assignment.ndim == 1:
        return within(np.where(labels >= 0, numbers[labels], -1), memberships)
    return within(assignment[:, np.argsort(numbers)], memberships)


def within(assignment: NDArray, memberships: Memberships) -> NDArray:
    """Labels (n,) or responsibilities (n, K), changed where rows may not belong."""
    kinds = memberships.kinds
    n_components = int(max(memberships.n_known, assignment.max(initial=0) + 1))
    if assignment.ndim == 2:
        n_components = assignment.shape[1]
        prior = memberships.weights(n_components)
        shares = assignment * prior
        total = shares.sum(axis=1, keepdims=True)
        alone = prior / prior.sum(axis=1, keepdims=True)
        return np.where(total > 0, shares / np.where(total > 0, total, 1.0), alone)
    possible = np.isfinite(memberships.table.of_size(n_components))
    single = np.where(possible.sum(axis=1) == 1, possible.argmax(axis=1), -1)
    assigned = np.where(assignment >= 0, assignment, 0)
    allowed = possible[kinds, assigned] & (assignment >= 0)
    return np.where(allowed, assignment, single[kinds])


def in_known_order(problem: EMProblem, stack: Parameters) -> Parameters:
    """The mixtures of a stack with their components in the order that agrees best with
    what is known of the rows."""
    known = problem.memberships
    if known is None or not len(stack.segments):
        return stack
    rows, ordered = problem.sample, []
    for b in range(len(stack.segments)):
        mixture = stack.mixture(b)
        n_components = len(mixture.weights)
        shares = of_known_rows(known, n_components)
        some = np.flatnonzero(shares.any(axis=1))
        own = rows.take(some, rows.weights[some])
        found = responsibilities_of(own, mixture)
        counts = (found * own.weights[:, None]).T @ shares[some]
        order = np.argsort(_assigned(counts))
        covariances = mixture.covariances.ordered(order)
        weights, means = mixture.weights[order], mixture.means[order]
        ordered.append(Parameters(weights, means, covariances, mixture.noise))
    return Parameters.joined(ordered)


def _numbers(
    labels: NDArray, memberships: Memberships, weights: NDArray, n_components: int
) -> NDArray:
    """The components (K,) of the clusters, so that they agree best with what is
    known."""
    shares = of_known_rows(memberships, n_components)
    counts = np.zeros((n_components, n_components))
    some = labels >= 0
    np.add.at(counts, labels[some], (weights[:, None] * shares)[some])
    return _assigned(counts)


def _assigned(counts: NDArray) -> NDArray:
    """The components (K,) of clusters, by optimal assignment, from the weights (K, K)
    of the rows of each cluster that are known to belong to each component."""
    clusters, components = linear_sum_assignment(counts, maximize=True)
    numbers = np.empty(len(counts), dtype=np.intp)
    numbers[clusters] = components
    return numbers


def _shares(memberships: Memberships, n_components: int) -> NDArray:
    """Prior probabilities (P, K) of the kinds of rows, zero of those of which nothing
    is known."""
    log_prior = memberships.table.of_size(n_components)
    prior = np.exp(log_prior)
    prior /= prior.sum(axis=1, keepdims=True)
    equal = (log_prior == log_prior[:, :1]).all(axis=1, keepdims=True)
    return np.where(equal, 0.0, prior)


def of_known_rows(memberships: Memberships, n_components: int) -> NDArray:
    """Responsibilities (n, K) of the rows of which something is known; zeros of the
    others."""
    return _shares(memberships, n_components)[memberships.kinds]


def constrained_kmeans(
    rows: ArrayBlocks,
    memberships: Memberships,
    starts: Sequence[NDArray],
    n_components: int,
) -> NDArray:
    """Labels (n,) of k-means in which rows stay where they may belong, from the means
    of the rows of which something is known, or, of components that have none, of the
    rows of a clustering.

    Basu, Banerjee & Mooney 2002, "Semi-supervised clustering by seeding", ICML.
    """
    known = of_known_rows(memberships, n_components) * rows.weights[:, None]
    members = np.eye(n_components + 1)[:, :-1][starts[0]] * rows.weights[:, None]
    shares = np.where(known.sum(axis=0) > 0, known, members)
    labels = starts[0]
    for _ in range(LLOYD_ITER):
        counts = shares.sum(axis=0)
        centers = (shares.T @ rows.X) / np.where(counts > 0, counts, 1.0)[:, None]
        scores = rows.X @ centers.T - 0.5 * np.vecdot(centers, centers)
        nearest = within(
            np.where(counts > 0, scores, -np.inf).argmax(axis=1), memberships
        )
        if np.array_equal(nearest, labels):
            break
        labels = nearest
        shares = np.eye(n_components + 1)[:, :-1][labels] * rows.weights[:, None]
    return labels
