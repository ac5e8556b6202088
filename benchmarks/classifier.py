"""The classifier beside R's MclustDA, and beside scikit-learn's classifiers.

R and this package fit the same rows: a mixture for each class, of 1 to 5 components and
a model that BIC chooses in it ("MclustDA"), or one component for each class and one of
the fourteen models ("EDDA"). R's `loglik` is that of the rows whatever their class; the
estimates maximise the joint log-likelihood of rows and classes. Accuracies are of ten
folds, the same for every classifier.
"""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import numpy as np

from .cases import MODELS
from .checkouts import Mclust, file_of, without_mclust
from .more_problems import exported
from .problems import breast_cancer, digits, iris, wine

SIZES = (1, 2, 3, 4, 5)
FOLDS, INNER_FOLDS = 10, 3
OWN, COMMON = "MclustDA", "EDDA"
ROWS = {
    "iris": iris,
    "wine": wine,
    "breast cancer": breast_cancer,
    "digits": digits,
    **{
        name: lambda seed, name=name: exported(seed, name)
        for name in ("banknote", "thyroid", "diabetes")
    },
}


class MclustClassifier(Mclust):
    """mclust's discriminant analysis; the last column of its file is the class."""

    def __init__(self, threads=None):
        super().__init__(threads, "classifier.R")

    def do(self, task):
        path = Path(task["rows"]).with_suffix(".csv")
        return self.ask(f"{task['type']} {task['model']} {path}")


def classifier(one):
    """Fits beside R's, or accuracies beside scikit-learn's."""
    X, y = ROWS[one["data"]](0)
    about = {"n": len(X), "d": X.shape[1], "classes": len(np.unique(y))}
    return {
        **about,
        **{"mclust": beside_mclust, "accuracy": accuracies}[one["what"]](X, y),
    }


# Beside R


def beside_mclust(X, y):
    """Fits of both, of the two kinds, and of each common model."""
    kinds = [(OWN, "all"), (COMMON, "all"), *((COMMON, model) for model in MODELS)]
    ours = [fitted(X, y, *kind) for kind in kinds]
    without = without_mclust()
    theirs = [None] * len(kinds) if without else mclust(X, y, kinds)
    fits = [
        {"type": kind, "model": model, "emgmm": own, "mclust": other}
        for (kind, model), own, other in zip(kinds, ours, theirs, strict=True)
    ]
    return {"fits": fits, "failed": {"mclust": without} if without else {}}


def fitted(X, y, kind, model):
    """Figures of this package's fit."""
    from emgmm import GaussianMixtureClassifier

    sizes = SIZES if kind == OWN else 1
    began = time.perf_counter()
    found = GaussianMixtureClassifier(sizes, covariance_type=model).fit(X, y)
    seconds = time.perf_counter() - began
    densities = [mixture.score_samples(X) for mixture in found.mixtures_]
    joint = np.stack(densities, axis=1) + np.log(found.class_prior_)
    return {
        "error_rate": 1 - found.score(X, y),
        "log_likelihood": float(found.score_samples(X).sum()),
        "joint": float(
            joint[np.arange(len(X)), np.unique(y, return_inverse=True)[1]].sum()
        ),
        "models": [mixture.covariance_type for mixture in found.mixtures_],
        "sizes": [mixture.n_components for mixture in found.mixtures_],
        "seconds": seconds,
    }


def mclust(X, y, kinds):
    """The same of R's fits; None where it has none."""
    found = []
    with (
        closing(MclustClassifier(1)) as program,
        file_of(np.c_[X, y], text=True) as path,
    ):
        for kind, model in kinds:
            try:
                found.append(program.do({"rows": path, "type": kind, "model": model}))
            except RuntimeError:
                found.append(None)
    return found


# Beside scikit-learn


def classifiers():
    """The classifiers by name."""
    from sklearn.discriminant_analysis import (
        LinearDiscriminantAnalysis,
        QuadraticDiscriminantAnalysis,
    )
    from sklearn.model_selection import GridSearchCV
    from sklearn.naive_bayes import GaussianNB
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from emgmm import GaussianMixtureClassifier

    grid = {"n_components": [1, 2], "covariance_type": ["full", "tied", "diag"]}
    return {
        "emgmm": GaussianMixtureClassifier(),
        "emgmm, by cross-validation": GridSearchCV(
            GaussianMixtureClassifier(), grid, cv=INNER_FOLDS
        ),
        "QDA": QuadraticDiscriminantAnalysis(),
        "LDA": LinearDiscriminantAnalysis(),
        "naive Bayes": GaussianNB(),
        "5 neighbours": make_pipeline(StandardScaler(), KNeighborsClassifier()),
    }


def accuracies(X, y):
    """Mean accuracy of each classifier over the folds, its error, and seconds."""
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    found, failed = {}, {}
    for name, each in classifiers().items():
        began = time.perf_counter()
        try:
            scores = cross_val_score(each, X, y, cv=folds, error_score="raise")
        except (ValueError, np.linalg.LinAlgError) as error:
            failed[name] = str(error)[:100]
            continue
        found[name] = {
            "accuracy": float(scores.mean()),
            "error": float(scores.std(ddof=1) / np.sqrt(FOLDS)),
            "seconds": time.perf_counter() - began,
        }
    return {"accuracies": found, "failed": failed}
