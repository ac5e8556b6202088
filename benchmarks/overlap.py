"""The problems on which accelerations of EM are compared: from few passes to many."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from .cases import MODELS
from .problems import blobs, cigars, crossing, equidistant, random_mixture, stored

EASY, MODERATE, OVERLAPPING = "easy", "moderate", "overlapping"
DRAWS = 30


@dataclass(frozen=True)
class Problem:
    """Rows from a seed, and the labels that every variant of EM starts from."""

    name: str
    kind: str
    covariance_type: str
    n_components: int
    rows: Callable

    def make(self, seed):
        """The rows alone."""
        return self.rows(seed)[0]

    def start(self, seed):
        """Labels of the nearest of random rows, in features of unit variance.

        The best of some draws by k-means' criterion, so that easy problems are easy.
        """
        X = self.make(seed)
        rng = np.random.default_rng([seed, 2])
        Z = np.unique(X / X.std(axis=0), axis=0)
        draws = [rng.choice(Z, self.n_components, replace=False) for _ in range(DRAWS)]
        best = min(draws, key=lambda centers: nearest(Z, centers)[1].sum())
        return nearest(X / X.std(axis=0), best)[0]


def nearest(Z, centers):
    """The index of the nearest center of each row, and the squared distance."""
    distances = np.stack([((Z - center) ** 2).sum(axis=1) for center in centers])
    return distances.argmin(axis=0), distances.min(axis=0)


def case(kind, name, model, K, make, /, **parameters):
    """A problem; the name ends with the model."""
    rows = partial(make, **parameters)
    return Problem(f"{name} {model}", kind, model, K, rows)


def one_for_each(models, kind, name, make, /, **parameters):
    """The same rows for several models."""
    K = parameters["K"]
    return [case(kind, name, model, K, make, **parameters) for model in models]


FAR = {"n": 2000, "K": 3, "gap": 6.0}
NEAR = {"n": 2000, "K": 3, "gap": 4.0}
CLOSE = {"n": 1500, "d": 3, "K": 3, "gap": 1.8}
MIXED = {"n": 1500, "d": 3, "K": 4, "spread": 0.5}
SOME = ("VVV", "EEE", "VVI", "VII")

TABLE = [
    *one_for_each(SOME, EASY, "far 2-d", equidistant, d=2, **FAR),
    *one_for_each(("VVV", "EVE", "EEV"), EASY, "far 4-d", equidistant, d=4, **FAR),
    case(EASY, "far 3-d", "EEI", 3, equidistant, d=3, **FAR),
    *one_for_each(SOME, MODERATE, "near 3-d", equidistant, d=3, **NEAR),
    *one_for_each(
        ("VVV", "EVV", "VEE", "VVE", "EVI"),
        MODERATE,
        "near 5-d",
        equidistant,
        d=5,
        **NEAR,
    ),
    case(MODERATE, "cigars", "VVV", 2, cigars, n=1000),
    case(MODERATE, "cigars", "EEE", 2, cigars, n=1000, gap=3.0),
    case(MODERATE, "iris", "VVV", 3, stored, name="iris"),
    *one_for_each(MODELS, OVERLAPPING, "close 3-d", equidistant, **CLOSE),
    *one_for_each(MODELS, OVERLAPPING, "mixed 3-d", random_mixture, **MIXED),
    case(OVERLAPPING, "blobs 20-d", "VVV", 5, blobs, n=2000, d=20, K=5, gap=5.0),
    case(OVERLAPPING, "five 5-d", "VVV", 5, blobs, n=3000, d=5, K=5, gap=3.0),
    case(
        OVERLAPPING, "eight 2-d", "VVV", 8, random_mixture, n=3000, d=2, K=8, spread=2
    ),
    case(OVERLAPPING, "one more", "VVV", 4, equidistant, n=2000, d=2, K=3, gap=3.0),
    case(OVERLAPPING, "one more", "EEE", 4, equidistant, n=2000, d=2, K=3, gap=3.0),
    case(OVERLAPPING, "crossing", "VVV", 3, crossing, n=1000, count=3, ratio=4.0),
    case(OVERLAPPING, "sim_d2_n5000_k8", "VVV", 8, stored, name="sim_d2_n5000_k8"),
    case(OVERLAPPING, "faithful", "VVV", 3, stored, name="faithful"),
    case(OVERLAPPING, "acidity", "VVV", 3, stored, name="acidity"),
]
PROBLEMS = {problem.name: problem for problem in TABLE}
