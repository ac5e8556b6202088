"""The default start: components split where that raises the likelihood most.

From one component to as many as asked: the next to be split is the one whose rows are
described best by two instead. Beside that a k-means of standardised features; after
some iterations of EM the better of the two goes on. All of it on a sample of the rows
where there are many, always the same one, and without random numbers otherwise. Where
they are very many, EM goes on with a larger sample before it visits all of them.

Verbeek, Vlassis & Krose 2003 (doi:10.1162/089976603762553004) add components one by
one, too; Biernacki, Celeux & Govaert 2003 (doi:10.1016/S0167-9473(02)00163-9) compare
starts by short runs of EM.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._blocks import ArrayBlocks, Blocks, RowBlocks
from ._conditional import imputed
from ._covariances import Diagonal, Full, Spherical, Tied
from ._em import EMResult, Progress
from ._estep import responsibilities_of
from ._families import MODELS
from ._initialize import INITIALIZERS, Start, kmeans, kmeans_from_axes
from ._parameters import Parameters
from ._products import squares
from ._runs import Problem, ProblemOf
from ._threads import BLAS
from ._ties import TIE, first_of_greatest, ranks, settled

SAMPLE_ROWS = 2**12  # of a sample, at least, ...
ROWS_PER_MEAN = 32  # ... for each component and feature, ...
SAMPLE_NUMBERS = 2**20  # ... but not more numbers in it than these
MEMBER = 1e-2  # least responsibility of rows that a split of a component looks at
CUTS = 2  # of four ways to cut a component, those that are tried by EM
SPLIT_ITER = 4  # iterations of EM with two components
GROW_ITER = 3  # iterations with all components after each split
LAST_ITER = 5  # iterations before the better start is chosen
VERY_MANY = 2**24  # numbers in rows beyond which EM goes on with a larger sample, ...
MORE_ITER = 100  # ... for so many iterations at most
COMPLETING_ITER = 10  # iterations with one component, by which rows are completed
EQUAL_GAINS = 1e-6  # share of a gain within which the first split is as good
RIDGE = 1e-6  # share of variances added where halves of rows are compared

# The family with a short M-step by which components are split, for each storage.
FREE = {
    Spherical: MODELS["VII"],
    Diagonal: MODELS["VVI"],
    Tied: MODELS["EEE"],
    Full: MODELS["VVV"],
}


def split(
    problem: ProblemOf[Blocks], n_components: int, rng: np.random.RandomState
) -> Parameters:
    """The better, after some iterations of EM, of splitting and of k-means."""
    return _best(problem, n_components, rng, kmeans_from_axes, _grown)


def split_again(
    problem: ProblemOf[Blocks], n_components: int, rng: np.random.RandomState
) -> Parameters:
    """Another start: from k-means of standardised features, seeded by k-means++."""
    return _best(problem, n_components, rng, kmeans)


def from_rows(
    start: Start,
    problem: ProblemOf[Blocks],
    n_components: int,
    rng: np.random.RandomState,
) -> Parameters:
    """The mixture of the labels or responsibilities of all rows, or of many."""
    with BLAS.held():
        sample = problem.of(many_of(problem.blocks, n_components))
        rows = start(completed(sample), n_components, rng)
        return sample.start(rows, n_components)


Begin = Callable[[ProblemOf[Blocks], int, np.random.RandomState], Parameters]
Run = Callable[[Problem, int], EMResult]

STARTS: dict[str, tuple[Begin, Begin]] = {
    "split": (split, split_again),
    **{
        name: (partial(from_rows, first), partial(from_rows, again))
        for name, (first, again) in INITIALIZERS.items()
    },
}
"""Names of ``init_params``: the start of the first run, and that of further ones."""


def _best(
    problem: ProblemOf[Blocks],
    n_components: int,
    rng: np.random.RandomState,
    clustering: Start,
    *others: Run,
) -> Parameters:
    """The best start of a clustering of standardised features and of others."""
    blocks = problem.blocks
    if blocks.n_weighted * blocks.n_features <= VERY_MANY:
        return _best_of_sample(problem, n_components, rng, clustering, *others)
    many = problem.of(many_of(blocks, n_components))
    start = _best_of_sample(many, n_components, rng, clustering, *others)
    return _gone_on(many, start)


def _gone_on(problem: Problem, start: Parameters) -> Parameters:
    """Where EM leads to, unless a component loses its width there."""
    options = replace(problem.options, max_iter=MORE_ITER)
    with suppress(np.linalg.LinAlgError):
        problem = replace(problem, options=options)
        reached = problem.run(start, Progress(0, 1)).mixture
        if not problem.options.scale.degenerate(reached).any():
            return reached
    return start


def _best_of_sample(
    problem: ProblemOf[Blocks],
    n_components: int,
    rng: np.random.RandomState,
    clustering: Start,
    *others: Run,
) -> Parameters:
    with BLAS.held(), np.errstate(all="ignore"):
        sample = problem.of(sample_of(problem.blocks, n_components))
        if n_components == 1:
            return sample.start(np.zeros(sample.blocks.n_samples, dtype=np.intp), 1)
        labels = clustering(standardized(completed(sample)), n_components, rng)
        results = []
        runs: list[Run] = [partial(_clustered, labels), *others]
        for run in runs:
            with suppress(np.linalg.LinAlgError):
                results.append(run(sample, n_components))
        if not results:
            raise np.linalg.LinAlgError("every start is singular")
        return sample.best(results).mixture


def completed(problem: Problem) -> ArrayBlocks:
    """The rows, with what is missing where one Gaussian of all rows expects it."""
    blocks = problem.blocks
    if isinstance(blocks, ArrayBlocks):
        return blocks
    alone = replace(problem, family=FREE[problem.family.storage])
    rows = np.zeros(blocks.n_samples, dtype=np.intp)
    mixture = _short_run(alone, rows, 1, COMPLETING_ITER).mixture
    return ArrayBlocks(imputed(blocks.X, mixture), blocks.sample_weight)


def sample_of(
    blocks: Blocks, n_components: int, n_rows: int = SAMPLE_ROWS
) -> RowBlocks:
    """All rows that have a weight, or some (so many at least) where they are more."""
    n_features = blocks.n_features
    limit = max(n_rows, ROWS_PER_MEAN * n_components * (n_features + 1))
    limit = max(min(limit, SAMPLE_NUMBERS // n_features), 4 * n_components)
    return blocks.sample(limit)


def many_of(blocks: Blocks, n_components: int) -> RowBlocks:
    """All rows that have a weight, or as many as a sample may have."""
    return sample_of(blocks, n_components, SAMPLE_NUMBERS)


def standardized(blocks: ArrayBlocks) -> ArrayBlocks:
    """The rows with every feature at mean 0 and variance 1, or 0 if it is constant."""
    deviations = np.sqrt(np.diagonal(blocks.scatter) / blocks.weight)
    scales = np.where(deviations > 0, deviations, 1.0)
    return ArrayBlocks((blocks.X - blocks.center) / scales, blocks.sample_weight)


def _clustered(labels: NDArray, problem: Problem, n_components: int) -> EMResult:
    """Components that begin as clusters."""
    return _short_run(problem, labels, n_components, LAST_ITER)


def _short_run(
    problem: Problem, rows: NDArray, n_components: int, n_iter: int
) -> EMResult:
    """Some iterations of EM from labels or responsibilities."""
    options = replace(problem.options, max_iter=n_iter, tol=0.0)
    start = problem.start(rows, n_components)
    return replace(problem, options=options).run(start, Progress(0, 1))


class Split(NamedTuple):
    """What a component gains in log-likelihood by a split, and the new one's share."""

    component: int
    gain: float
    share: NDArray


def _grown(problem: Problem, n_components: int) -> EMResult:
    """Components split one after the other; LinAlgError if none can be."""
    free = replace(problem, family=FREE[problem.family.storage])
    *_, responsibilities = growth(free, n_components)
    return _short_run(problem, responsibilities, n_components, LAST_ITER)


def growth(problem: Problem, n_components: int) -> Iterator[NDArray]:
    """Responsibilities of 2 components, 3, ...; LinAlgError if none can be split."""
    responsibilities = np.ones((len(problem.blocks.X), 1))
    splits: dict[int, Split] = {}
    for size in range(2, n_components + 1):
        # Only the parts of what was split last are new; others have hardly changed.
        for k in set(range(size - 1)).difference(splits):
            splits[k] = _best_split(problem, k, responsibilities[:, k])
        candidates = [splits[k] for k in range(size - 1)]
        gains = [split.gain for split in candidates]
        chosen = candidates[first_of_greatest(gains, EQUAL_GAINS)]
        if chosen.gain == -np.inf:
            raise np.linalg.LinAlgError("no component has enough rows to be split")
        del splits[chosen.component]
        part = chosen.share * responsibilities[:, chosen.component]
        responsibilities[:, chosen.component] -= part
        responsibilities = np.column_stack([responsibilities, part])
        yield responsibilities
        if size < n_components:
            grown = _short_run(problem, responsibilities, size, GROW_ITER)
            responsibilities = responsibilities_of(problem.blocks, grown.mixture)


def _best_split(problem: Problem, component: int, responsibilities: NDArray) -> Split:
    """The best of some splits in two; no gain where there are too few rows."""
    X, weights = problem.blocks.X, problem.blocks.sample_weight * responsibilities
    members = np.flatnonzero(responsibilities > MEMBER)
    share = np.full(len(X), 0.5)
    best = Split(component, -np.inf, share)
    if len(members) < 2 * (X.shape[1] + 1):
        return best
    rows = problem.blocks.take(members, weights[members])
    options = replace(problem.options, accelerated=False)
    part = replace(problem.of(rows), options=options)
    alone = _short_run(part, np.zeros(len(members), dtype=np.intp), 1, 0)
    for labels in _cuts(completed(part)):
        with suppress(np.linalg.LinAlgError):
            result = _short_run(part, labels, 2, SPLIT_ITER)
            gain = rows.weight * (result.lower_bound - alone.lower_bound)
            better = first_of_greatest([best.gain, gain], EQUAL_GAINS) == 1
            if better and not part.defects(result.mixture):
                share = share.copy()
                share[members] = responsibilities_of(rows, result.mixture)[:, 1]
                best = Split(component, gain, share)
    return best


def _cuts(blocks: ArrayBlocks) -> Iterator[NDArray]:
    """Labels of two halves of the rows: the most promising of four ways to cut them.

    Across the principal axis; across the directions of least and of greatest kurtosis
    (eigenvectors of fourth moments: Cardoso 1989, doi:10.1109/ICASSP.1989.266878),
    which tell clusters apart that are not where variance is; and the inner from the
    outer half.
    """
    weights, white = whitened(blocks)
    if not white.size:  # all rows are equal
        return
    radii = np.vecdot(white, white)
    fourth = white.T @ (white * (weights * radii)[:, None])
    directions = np.column_stack([white[:, -1], white @ _extremes(fourth)])
    order = np.argsort(radii)
    middle = int(np.searchsorted(np.cumsum(weights[order]), 0.5 - TIE))
    inner = radii < (1 - TIE) * radii[order[min(middle, len(order) - 1)]]
    halves = [*(directions > TIE).T, inner]
    gains = [_gain_of_halves(white, weights, half) for half in halves]
    losses = np.array([-gain if np.isfinite(gain) else np.inf for gain in gains])
    for best in np.argsort(ranks(losses, TIE), kind="stable")[:CUTS]:
        if np.isfinite(losses[best]):
            yield halves[best].astype(np.intp)


def _extremes(matrix: NDArray) -> NDArray:
    """Eigenvectors (d, 2) of the least and of the greatest eigenvalue."""
    eigenvalues, axes = np.linalg.eigh(matrix)
    margin = TIE * eigenvalues[-1]
    least = eigenvalues <= eigenvalues[0] + margin
    greatest = eigenvalues >= eigenvalues[-1] - margin
    ends = [settled(eigenvalues[end], axes[:, end]) for end in (least, greatest)]
    return np.column_stack([end[:, -1] for end in ends])


def whitened(blocks: ArrayBlocks) -> tuple[NDArray, NDArray]:
    """Shares of the rows (n,), and the rows at covariance I, principal axis last."""
    weights = blocks.sample_weight / blocks.weight
    standard = standardized(blocks).X.astype(np.float64)
    correlations = standard.T @ (standard * weights[:, None])
    eigenvalues, axes = np.linalg.eigh(correlations)
    kept = eigenvalues > RIDGE * eigenvalues[-1]
    axes = settled(eigenvalues[kept], axes[:, kept])
    return weights, standard @ (axes / np.sqrt(eigenvalues[kept]))


def _gain_of_halves(white: NDArray, weights: NDArray, half: NDArray) -> float:
    """Log-likelihood per row of two Gaussians, each for its half, less that of one;
    minus infinity if a half has not rows enough for a covariance of its own."""
    if not white.shape[1] < np.count_nonzero(half) < len(half) - white.shape[1]:
        return -np.inf
    whole = squares(white, weights)
    first = squares(white[half], weights[half])
    gain = 0.0
    for sums in (first, whole - first):
        share, mean = sums[0, 0], sums[0, 1:] / sums[0, 0]
        covariance = sums[1:, 1:] / share - mean[:, None] * mean
        covariance += RIDGE * np.eye(len(mean))
        gain += share * (np.log(share) - 0.5 * np.linalg.slogdet(covariance)[1])
    return gain
