"""What a pass costs: seconds of a core, from which a model predicts those of any size.

A pass is an E-step with the statistics of all rows. Its seconds in one thread are taken
for many numbers of features and components; the model's parameters are the least
squares, of relative errors, over all of them.
"""

from __future__ import annotations

import time

import numpy as np
from scipy.optimize import nnls
from threadpoolctl import threadpool_limits

from .cases import make_problem

TERMS = ("multiplications", "features", "exponentials", "rows")
"""Of which there are so many for each row (see ``terms``): nanoseconds of one each."""


def terms(model, d, K):
    """Numbers of each term for one row, K components and d features.

    Quadratic features of a row times coefficients, and features times responsibilities:
    two matrix products; tied matrices whiten the rows first.
    """
    features = {"full": (d + 1) * (d + 2) // 2, "tied": 2 + d, "diag": 1 + 2 * d}[model]
    whitening = d * d if model == "tied" else 0
    return np.array([2 * K * features + whitening, features, K, 1.0])


def cost(one):
    """Nanoseconds of a core for each term, and how well they predict it."""
    measured = []
    with threadpool_limits(1):
        for d in one["d"]:
            for K in one["K"]:
                problem = make_problem({**one, "d": d, "K": K})
                seconds = seconds_of_row(problem, one["repeats"])
                measured.append({"d": d, "K": K, "nanoseconds": 1e9 * seconds})
    numbers = np.array([terms(one["model"], m["d"], m["K"]) for m in measured])
    times = np.array([m["nanoseconds"] for m in measured])
    parameters, _ = nnls(numbers / times[:, None], np.ones(len(times)))
    ratios = numbers @ parameters / times
    return {
        "parameters": dict(zip(TERMS, parameters.tolist(), strict=True)),
        "measured": measured,
        "ratios": ratios.tolist(),
    }


def seconds_of_row(problem, repeats):
    """Of a core, in a pass over rows in memory: the median of some."""
    from emgmm import GaussianMixtureEM
    from emgmm._data.arrays import ArrayBlocks
    from emgmm._estep.estep import expectation

    n = len(problem.X)
    gmm = GaussianMixtureEM.from_parameters(
        problem.weights, problem.means, 4 * problem.covariances, problem.model
    )
    mixture, blocks = gmm._mixture(), ArrayBlocks(problem.X)
    times = []
    for _ in range(1 + 2 * repeats):
        began = time.perf_counter()
        expectation(blocks, mixture)
        times.append(time.perf_counter() - began)
    return float(np.median(times[1:])) / n
