"""The rows on which starts are found: subsamples, with missing values filled in."""

from __future__ import annotations

import numpy as np

from emgmm._data.arrays import ArrayBlocks
from emgmm._em.problem import EMProblem
from emgmm._estep.conditional import imputed
from emgmm._model.covariances import Diagonal, Full, Spherical, Tied
from emgmm._model.families import MODELS

from .cuts import standardized, whitened
from .short_runs import run_from

SUBSAMPLE_ROWS = 2**12  # least number of rows of a subsample
ROWS_PER_MEAN = 32  # its least number of rows for each component and feature
SUBSAMPLE_NUMBERS = 2**20  # its greatest number of values
COMPLETING_ITER = 10  # iterations with one component, by which rows are completed

# The family by which components are split, for each storage: its M-step is short.
SPLIT_FAMILIES = {
    Spherical: MODELS["VII"],
    Diagonal: MODELS["VVI"],
    Tied: MODELS["EEE"],
    Full: MODELS["VVV"],
}


def with_subsample(
    problem: EMProblem, n_components: int, n_rows: int = SUBSAMPLE_ROWS
) -> EMProblem:
    """The problem with a subsample of its rows: all of positive weight, or a systematic
    sample of at least so many."""
    n_features = problem.rows.summary.n_features
    limit = max(n_rows, ROWS_PER_MEAN * n_components * (n_features + 1))
    limit = max(min(limit, SUBSAMPLE_NUMBERS // n_features), 4 * n_components)
    return problem.with_sample(limit)


def with_large_subsample(problem: EMProblem, n_components: int) -> EMProblem:
    """The problem with as many of its rows as a subsample may have."""
    return with_subsample(problem, n_components, SUBSAMPLE_NUMBERS)


def completed(problem: EMProblem) -> ArrayBlocks:
    """The rows, in which missing values are their means under one Gaussian of all."""
    blocks = problem.sample
    if isinstance(blocks, ArrayBlocks):
        return blocks
    alone = problem.with_family(SPLIT_FAMILIES[problem.family.storage])
    together = np.zeros(len(blocks.X), dtype=np.intp)
    mixture = run_from(alone, together, 1, COMPLETING_ITER).mixture
    return ArrayBlocks(imputed(blocks.X, mixture), blocks.sample_weight)


def rows_to_cluster(problem: EMProblem, of_matrices: bool) -> list[ArrayBlocks]:
    """Rows with standardised features, and whitened rows."""
    rows, rounding = completed(problem), problem.mstep.scale.rounding
    sets = [standardized(rows, rounding)]
    # Few rows, whitened, are all as far from each other: rounding would choose.
    if of_matrices and rows.X.shape[1] > 1:
        # There all axes are principal: the first to be cut across is the rows'.
        white = whitened(rows, rounding)[1][:, ::-1]
        if white.shape == rows.X.shape:
            sets.append(ArrayBlocks(white, rows.sample_weight))
    return sets
