"""Outliers: the detector beside those of scikit-learn and scikit-lego.

Rows of one or more classes are usual, others are outliers. Either all rows to fit are
usual ("clean"), and other usual rows and outliers are scored; or a share of the rows to
fit are outliers ("mixed"), and the same rows are scored. Features are standardised.
"""

from __future__ import annotations

import time

import numpy as np
from sklearn.covariance import EllipticEnvelope
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.neighbors import LocalOutlierFactor
from sklearn.preprocessing import StandardScaler

from emgmm import GaussianMixtureEM, GaussianMixtureOutlierDetector

from .more_problems import exported
from .problems import breast_cancer, digits, draw, wine

SHARE = 0.05  # outliers among the rows to fit, if there are any
SIZE = 3  # components, the same for scikit-lego
LEAST = 5  # outliers


def of_classes(problem, usual):
    """Usual rows and outliers of a data set, by the labels of the usual ones."""

    def rows(seed):
        X, labels = problem(seed)
        is_usual = np.isin(labels, usual)
        return X[is_usual], X[~is_usual]

    return rows


def one_digit(seed):
    """Nine digits, and the one that the seed says."""
    return of_classes(digits, np.delete(np.arange(10), seed % 10))(seed)


def simulated(seed, n=1000, d=5, K=5):
    """Clusters of unequal spread, and rows that are uniform in their box."""
    rng = np.random.default_rng(seed)
    scales = rng.uniform(0.3, 1.5, K)
    factors = scales[:, None, None] * rng.standard_normal((K, d, 2 * d)) / np.sqrt(d)
    usual, _ = draw(rng, n, rng.uniform(-6, 6, (K, d)), factors @ factors.mT)
    return usual, rng.uniform(usual.min(axis=0), usual.max(axis=0), (n // 5, d))


def r_data(name):
    return lambda seed: exported(seed, name)


ROWS = {
    "simulated": simulated,
    "wine": of_classes(wine, [1, 2]),
    "breast cancer": of_classes(breast_cancer, [1]),
    "thyroid": of_classes(r_data("thyroid"), [1]),
    "banknote": of_classes(r_data("banknote"), [1]),
    "diabetes": of_classes(r_data("diabetes"), [2]),
    "digits": one_digit,
}


def of_lego(seed):
    from sklego.mixture import GMMOutlierDetector

    return GMMOutlierDetector(n_components=SIZE, random_state=seed)


def of_size(n_components):
    gmm = GaussianMixtureEM(n_components)
    return lambda seed: GaussianMixtureOutlierDetector(gmm)


def of_default(**settings):
    return lambda seed: GaussianMixtureOutlierDetector(**settings)


WAYS = {
    "emgmm": of_default(),
    "emgmm, `mahalanobis`": of_default(method="mahalanobis"),
    "emgmm, K = 1": of_size(1),
    "emgmm, K = 3": of_size(SIZE),
    "scikit-lego, K = 3": of_lego,
    "IsolationForest": lambda seed: IsolationForest(random_state=seed),
    "LocalOutlierFactor": lambda seed: LocalOutlierFactor(novelty=True),
    "EllipticEnvelope": lambda seed: EllipticEnvelope(random_state=seed),
}


def outliers(one):
    """Figures of every way, for each kind of fit and each seed."""
    runs = []
    for seed in range(one["seeds"]):
        for kind, split in SPLITS.items():
            train, scored, is_outlier = split(seed, *ROWS[one["data"]](seed))
            for way, make in WAYS.items():
                figures = figures_of(make, seed, train, scored, is_outlier)
                runs.append({"seed": seed, "fit": kind, "way": way, **figures})
    return {"n": len(train), "d": train.shape[1], "runs": runs}


def figures_of(make, seed, train, scored, is_outlier):
    """How well the scores of a detector tell outliers apart, and its seconds."""
    began = time.perf_counter()
    try:
        scores = make(seed).fit(train).score_samples(scored)
    except (ImportError, ValueError) as error:
        return {"error": repr(error)[:200]}
    return {
        "auc": roc_auc_score(is_outlier, -scores),
        "precision": average_precision_score(is_outlier, -scores),
        "seconds": time.perf_counter() - began,
    }


def clean(seed, usual, unusual):
    """Half of the usual rows, to fit; the other half and the outliers, to score."""
    order = np.random.default_rng(seed).permutation(len(usual))
    half = len(usual) // 2
    scored = np.concatenate([usual[order[half:]], unusual])
    is_outlier = np.repeat([0, 1], [len(usual) - half, len(unusual)])
    return standardised(usual[order[:half]], scored, is_outlier)


def mixed(seed, usual, unusual):
    """All usual rows with some outliers among them, to fit and to score."""
    number = max(round(SHARE / (1 - SHARE) * len(usual)), LEAST)
    rows = np.random.default_rng(seed).choice(len(unusual), number, replace=False)
    scored = np.concatenate([usual, unusual[rows]])
    return standardised(scored, scored, np.repeat([0, 1], [len(usual), number]))


def standardised(train, scored, is_outlier):
    scaler = StandardScaler().fit(train)
    return scaler.transform(train), scaler.transform(scored), is_outlier


SPLITS = {"clean": clean, "mixed": mixed}
