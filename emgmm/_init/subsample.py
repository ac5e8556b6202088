"""The rows on which starts are found: a subsample without missing values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from emgmm._data.arrays import ArrayBlocks
from emgmm._data.base import RowBlocks, RowSource
from emgmm._em.problem import EMProblem
from emgmm._em.progress import Progress
from emgmm._em.result import EMResult
from emgmm._estep.conditional import imputed
from emgmm._model.covariances import Diagonal, Full, Spherical, Tied
from emgmm._model.families import MODELS

SAMPLE_ROWS = 2**12  # of a sample, at least, ...
ROWS_PER_MEAN = 32  # ... for each component and feature, ...
SAMPLE_NUMBERS = 2**20  # ... but not more numbers in it than these
COMPLETING_ITER = 10  # iterations with one component, by which rows are completed

# The family with a short M-step by which components are split, for each storage.
FREE = {
    Spherical: MODELS["VII"],
    Diagonal: MODELS["VVI"],
    Tied: MODELS["EEE"],
    Full: MODELS["VVV"],
}


def completed(problem: EMProblem) -> ArrayBlocks:
    """The rows, with what is missing where one Gaussian of all rows expects it."""
    blocks = problem.sample
    if isinstance(blocks, ArrayBlocks):
        return blocks
    alone = problem.of_family(FREE[problem.family.storage])
    rows = np.zeros(len(blocks.X), dtype=np.intp)
    mixture = _short_run(alone, rows, 1, COMPLETING_ITER).mixture
    return ArrayBlocks(imputed(blocks.X, mixture), blocks.sample_weight)


def subsample(
    blocks: RowSource, n_components: int, n_rows: int = SAMPLE_ROWS
) -> RowBlocks:
    """All rows that have a weight, or some (so many at least) where they are more."""
    n_features = blocks.summary.n_features
    limit = max(n_rows, ROWS_PER_MEAN * n_components * (n_features + 1))
    limit = max(min(limit, SAMPLE_NUMBERS // n_features), 4 * n_components)
    return blocks.sample(limit)


def large_subsample(blocks: RowSource, n_components: int) -> RowBlocks:
    """All rows that have a weight, or as many as a sample may have."""
    return subsample(blocks, n_components, SAMPLE_NUMBERS)


def _short_run(
    problem: EMProblem, rows: NDArray, n_components: int, n_iter: int
) -> EMResult:
    """Some iterations of EM from labels or responsibilities."""
    options = replace(problem.options, max_iter=n_iter, tol=0.0)
    start = problem.start(rows, n_components)
    return replace(problem, options=options).run(start, Progress(0, 1))
