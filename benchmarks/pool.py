"""Many fits in processes of one thread each, which have imported what they need."""

from __future__ import annotations

import multiprocessing
import os
import sys
import warnings

PROCESSES = 2
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def run_all(function, tasks):
    """Results of a function on every task, in their order."""
    os.environ.update(dict.fromkeys(THREADS, "1"))  # before they load their BLAS
    context = multiprocessing.get_context("spawn")
    with context.Pool(PROCESSES, warm_up, (sys.path,)) as pool:
        return list(pool.imap(function, tasks))


def warm_up(path):
    """Import the two libraries and fit once with each."""
    sys.path[:] = path
    warnings.simplefilter("ignore")
    import numpy as np
    from sklearn.mixture import GaussianMixture

    from emgmm import GaussianMixtureEM

    X = np.random.default_rng(0).standard_normal((100, 2))
    for kind in (GaussianMixture, GaussianMixtureEM):
        kind(2, random_state=0).fit(X)
