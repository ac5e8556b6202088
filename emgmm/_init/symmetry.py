"""Starts whose components are equal, moved apart: EM would keep them equal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from emgmm._data.arrays import ArrayBlocks
from emgmm._em.problem import EMProblem
from emgmm._em.progress import Progress
from emgmm._estep.predict import responsibilities_of
from emgmm._model.parameters import Parameters, equal_components
from emgmm._utils.threads import BLAS

from .cuts import standardized
from .kmeans import kmeans_from_axes
from .subsample import completed, with_subsample


def break_symmetry(
    problem: EMProblem,
    start: Callable[[Progress], Parameters],
    progress: Progress,
) -> Parameters:
    """A start whose equal components are moved to k-means centers of their rows, where
    their means are not fixed.

    LinAlgError if the start is singular.
    """
    mixture = start(progress)
    means = mixture.means.copy()
    for equal in equal_components(mixture):
        with BLAS.single_threaded(), np.errstate(all="ignore"):
            means[equal] = _centers(problem, mixture, equal)
    return problem.mstep.imposed(replace(mixture, means=means))


def _centers(problem: EMProblem, mixture: Parameters, equal: NDArray) -> NDArray:
    """Centers of k-means for equal components, from a subsample of their rows."""
    sample = with_subsample(problem, len(mixture.weights))
    rows = completed(sample)
    shares = responsibilities_of(sample.sample, mixture)[:, equal].sum(axis=1)
    own = ArrayBlocks(rows.X, rows.weights * shares)
    standard = standardized(own, problem.mstep.scale.rounding)
    labels = kmeans_from_axes(standard, len(equal), np.random.RandomState(0))
    labels = labels.astype(np.intp)
    weights = np.eye(len(equal))[:, labels] * own.weights
    counts = weights.sum(axis=1, keepdims=True)
    centers = mixture.means[equal]
    np.divide(weights @ own.X, counts, out=centers, where=counts > 0)
    return centers
