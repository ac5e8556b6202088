"""The search over models and numbers of components, beside mclust's and beside grids.

Log-likelihoods are compared with those that mclust reaches from its own start with a
small tolerance. Times are of the search, of the same fits made one by one, and of
scikit-learn's grid search over its four models.
"""

from __future__ import annotations

import warnings

import numpy as np

from .cases import MODELS, SKLEARN_MODELS
from .clock import in_turn, seconds, summary
from .problems import read, stored

SIZES = range(1, 10)
FOLDS = 5
ONE_FEATURE = {"E": "EII", "V": "VII"}  # mclust's names there, and this package's
ORIENTATION = "VVE"  # whose update of the common orientation mclust has wrong


def selection(one):
    """Fits of the search beside mclust's, and times of every way to select."""
    X, _ = stored(0, one["data"])
    found, times, failed = timed(X, one["repeats"])
    table = read(f"search_{one['data']}.json")
    if "emgmm" in failed:
        return {"failed": failed}
    search = found["emgmm"]
    ways = {
        way: {"seconds": summary(times[way]), **selected(fitted, X)}
        for way, fitted in found.items()
        if way in times
    }
    separate = found.pop("separate fits", [])
    return {
        "n": len(X),
        "d": X.shape[1],
        "cells": cells(search, separate, table, len(X)),
        "ways": ways,
        "mclust": best_of(table),
        "failed": failed,
    }


def timed(X, repeats):
    """What each way fitted, its times, and what failed."""
    found = {}

    def run(way, fit):
        return seconds(lambda: found.update({way: fit(X)}))

    functions = {
        way: lambda way=way, fit=fit: run(way, fit) for way, fit in WAYS.items()
    }
    return found, *in_turn(functions, repeats)


# Ways to select


def search(X):
    from emgmm import GaussianMixtureIC

    return GaussianMixtureIC().fit(X)


def separate_fits(X):
    """Every model with every number of components, from its own start."""
    models = MODELS if X.shape[1] > 1 else ONE_FEATURE.values()
    return [separate_fit(X, model, size) for size in SIZES for model in models]


def separate_fit(X, model, size):
    """A fit, and whether it is one that nobody is warned of."""
    from emgmm import DegenerateComponentWarning, GaussianMixtureEM

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", DegenerateComponentWarning)
        gmm = GaussianMixtureEM(size, covariance_type=model).fit(X)
    degenerate = (one.category is DegenerateComponentWarning for one in caught)
    return gmm, not any(degenerate)


def cross_validated(X):
    """As `GridSearchCV` does by default: by the likelihood of rows held out."""
    return grid(cv=FOLDS).fit(X)


def scored_by_bic(X):
    """On all rows, where BIC belongs."""
    rows = np.arange(len(X))
    return grid(scoring=bic_score, cv=[(rows, rows)]).fit(X)


def grid(**options):
    from sklearn.mixture import GaussianMixture
    from sklearn.model_selection import GridSearchCV

    candidates = {"n_components": SIZES, "covariance_type": SKLEARN_MODELS}
    return GridSearchCV(GaussianMixture(random_state=0), candidates, **options)


def bic_score(estimator, X, y=None):
    return -estimator.bic(X)


def in_one_thread(fit):
    def limited(X):
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1):
            return fit(X)

    return limited


ONE_THREAD = ", one thread"
GRIDS = {
    "scikit-learn's grid by BIC": scored_by_bic,
    "scikit-learn's grid, cross-validated": cross_validated,
}
WAYS = {
    "emgmm": search,
    "separate fits": separate_fits,
    **GRIDS,
    **{way + ONE_THREAD: in_one_thread(fit) for way, fit in GRIDS.items()},
}


# What they found


def selected(fitted, X):
    """How many fits there were, and the one of the least BIC or the grid's choice."""
    sound = True
    if isinstance(fitted, list):
        best, sound = min(fitted, key=lambda fit: fit[0].bic(X))
        fits = len(fitted)
    elif hasattr(fitted, "cv_results_"):
        best = fitted.best_estimator_
        fits = len(fitted.cv_results_["params"]) * fitted.n_splits_ + 1
    else:
        best, fits = fitted.best_estimator_, len(fitted.criterion_)
    name = named(best.covariance_type, best.n_components, best.bic(X))
    return {"fits": fits, "sound": sound, **name}


def named(model, size, bic):
    return {"model": str(model), "K": int(size), "bic": float(bic)}


def best_of(table):
    """mclust's choice, by this package's names and with its sign of BIC."""
    best = table["best_bic"]
    return named(ONE_FEATURE.get(best["model"], best["model"]), best["G"], -best["bic"])


def cells(search, separate, table, n_samples):
    """Log-likelihoods of all rows in each cell of mclust's table; None for no fit."""
    alone = {
        (gmm.covariance_type, gmm.n_components): gmm.lower_bound_ * n_samples
        for gmm, _ in separate
    }
    theirs = {
        (ONE_FEATURE.get(model, model), size): value
        for size, row in zip(table["G"], table["loglik"], strict=True)
        for model, value in zip(table["models"], row, strict=True)
    }
    columns = [
        search.results_[name]
        for name in ("covariance_type", "n_components", "log_likelihood", "bic")
    ]
    eligible = search.results_["eligible"].tolist()
    return [
        {
            **named(model, size, bic),
            "search": float(value) if np.isfinite(value) else None,
            "separate": alone.get((model, size)),
            "mclust": theirs[model, size],
            "wrong_there": model == ORIENTATION and bool(size > 1),
            "eligible": ok,
        }
        for model, size, value, bic, ok in zip(*columns, eligible, strict=True)
    ]
