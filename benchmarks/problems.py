"""The problems on which starts of EM are compared: rows, labels and what is hard."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from zlib import crc32

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.decomposition import PCA

ROOT = Path(__file__).parent.parent
FOLDERS = (ROOT / "tests" / "data", Path(__file__).parent / "data")
UNASSIGNED = -1  # the label of a row that belongs to no cluster


@dataclass(frozen=True)
class Problem:
    """Rows and true labels (or None) from a seed, to be split into n_components."""

    name: str
    hard_for: str
    n_components: int
    rows: Callable
    fixed: bool = False  # the rows do not depend on the seed
    reference: str | None = None  # the name under which mclust's figures are kept
    most_seeds: int | None = None  # where fits are slow

    def make(self, seed):
        """Rows and labels; no two problems have the same random numbers."""
        return self.rows(seed + crc32(self.name.encode()))

    @property
    def mclust(self):
        """The best log-likelihood that mclust has for full covariances, or None."""
        return mclust_log_likelihood(self.reference, self.n_components)


# Real rows


def read(name):
    """Contents of the first file of this name, or None."""
    paths = [folder / name for folder in FOLDERS if (folder / name).exists()]
    return json.loads(paths[0].read_text(encoding="utf-8")) if paths else None


def mclust_log_likelihood(reference, n_components):
    """The best of mclust's fits from its own start and from k-means."""
    table = read(f"search_{reference}.json") or {"models": [], "G": []}
    fits = read(f"me_{reference}.json") or {"me_tight": []}
    found = [
        fit["loglik"]
        for fit in fits["me_tight"]
        if fit["model"] in ("V", "VVV") and fit["G"] == n_components
        if fit.get("trusted")
    ]
    for model in {"V", "VVV"} & set(table["models"]):
        if n_components in table["G"]:
            row = table["loglik"][table["G"].index(n_components)]
            found.append(row[table["models"].index(model)])
    return max((value for value in found if value is not None), default=None)


def stored(seed, name):
    return np.array(read(f"me_{name}.json")["data"], dtype=np.float64), None


def iris(seed, n_species=3):
    """The species; setosa and the others for two."""
    X, _ = stored(seed, "iris")
    return X, np.minimum(np.repeat(np.arange(3), 50), n_species - 1)


def wine(seed):
    return load_wine(return_X_y=True)


def breast_cancer(seed):
    return load_breast_cancer(return_X_y=True)


def digits(seed):
    X, labels = load_digits(return_X_y=True)
    rows = PCA(15, svd_solver="full").fit_transform(X)
    return np.ascontiguousarray(rows), labels


def demonstration(seed):
    """Every second row of the three components of the demonstration."""
    rows = np.loadtxt(FOLDERS[0] / "seed_data.csv", delimiter=",", skiprows=1)[::2]
    return np.ascontiguousarray(rows[:, 1:]), rows[:, 0].astype(int) - 1


# Simulated rows


def draw(rng, n, means, covariances, weights=None):
    """Rows of a mixture, and the component of each."""
    means = np.asarray(means, dtype=np.float64)
    K, d = means.shape
    factors = np.linalg.cholesky(np.broadcast_to(covariances, (K, d, d)))
    labels = rng.choice(K, n, p=weights)
    X = rng.standard_normal((n, d))
    for k in range(K):
        X[labels == k] = X[labels == k] @ factors[k].T
    return X + means[labels], labels


def spheres(deviations, d):
    return np.square(deviations)[:, None, None] * np.eye(d)


def simplex(K, d):
    """K points in d dimensions, each at distance one from every other."""
    corners = np.eye(K) - 1 / K
    axes = np.linalg.svd(corners)[2][: K - 1]
    points = np.zeros((K, d))
    points[:, : K - 1] = corners @ axes.T / np.sqrt(2)
    return points


def turn(degrees, d):
    """The rotation in the plane of the first two features."""
    angle, rotation = np.deg2rad(degrees), np.eye(d)
    rotation[:2, :2] = [
        [np.cos(angle), -np.sin(angle)],
        [np.sin(angle), np.cos(angle)],
    ]
    return rotation


def elongated(ratio, d, degrees=0.0):
    """A covariance with one long axis, turned."""
    rotation = turn(degrees, d)
    return rotation @ np.diag([ratio**2] + [1.0] * (d - 1)) @ rotation.T


def equidistant(seed, n, d, K, gap, weights=None, deviations=None):
    """Spheres whose means are equally far from one another."""
    deviations = np.ones(K) if deviations is None else deviations
    rng = np.random.default_rng(seed)
    return draw(rng, n, gap * simplex(K, d), spheres(deviations, d), weights)


def cigars(seed, n=600, d=2, count=2, ratio=10.0, gap=5.0, degrees=0.0):
    """Long and thin, side by side."""
    means = np.zeros((count, d))
    means[:, 1] = gap * np.arange(count)
    means = means @ turn(degrees, d).T
    rng = np.random.default_rng(seed)
    return draw(rng, n, means, elongated(ratio, d, degrees))


def with_irrelevant(seed, scale, n=600):
    """Three clusters in two features, and a wide feature without clusters."""
    X, labels = equidistant(seed, n, 2, 3, 6.0)
    more = scale * np.random.default_rng([seed, 1]).standard_normal(n)
    return np.column_stack([X, more]), labels


def in_small_feature(seed, n=600, deviation=0.01):
    """Three clusters along a narrow feature beside three wide ones."""
    rng = np.random.default_rng(seed)
    means = np.zeros((3, 4))
    means[:, 3] = 6 * deviation * np.arange(3)
    return draw(rng, n, means, np.diag([1.0, 1.0, 1.0, deviation**2]))


def in_units(seed, n=800, d=5, K=4):
    """Clusters in features whose units differ by orders of magnitude."""
    X, labels = random_mixture(seed, n, d, K, 2.5)
    return X * np.logspace(-2, 3, d), labels


def nested(seed, d, ratios, n=800):
    """One about another, with the same mean."""
    rng = np.random.default_rng(seed)
    means = np.zeros((len(ratios), d))
    return draw(rng, n, means, spheres(np.array(ratios, dtype=float), d))


def ring(seed, n=800, K=7, radius=7.0):
    """Clusters in a circle about a larger one."""
    angles = 2 * np.pi * np.arange(K - 1) / (K - 1)
    means = radius * np.column_stack([np.cos(angles), np.sin(angles)])
    weights = [0.4] + [0.6 / (K - 1)] * (K - 1)
    deviations = np.array([1.5] + [1.0] * (K - 1))
    rng = np.random.default_rng(seed)
    return draw(rng, n, np.vstack([[0, 0], means]), spheres(deviations, 2), weights)


def crossing(seed, count=2, ratio=10.0, n=800):
    """Cigars with the same mean, as the hands of a clock."""
    turns = 20 + 180 * np.arange(count) / count
    covariances = np.stack([elongated(ratio, 2, degrees) for degrees in turns])
    return draw(np.random.default_rng(seed), n, np.zeros((count, 2)), covariances)


def with_outliers(seed, label=UNASSIGNED, n=800, share=0.02, side=60.0):
    """Three clusters, and rows anywhere in a far larger square."""
    X, labels = equidistant(seed, n, 2, 3, 6.0)
    rng = np.random.default_rng([seed, 1])
    count = round(share * n)
    X[:count], labels[:count] = side * (rng.random((count, 2)) - 0.5), label
    return X, labels


def with_far_rows(seed, label=UNASSIGNED, n=800, count=6, distance=100.0):
    """Three clusters, and a few rows a hundred standard deviations away."""
    X, labels = equidistant(seed, n, 2, 3, 6.0)
    angles = 2 * np.pi * np.random.default_rng([seed, 1]).random(count)
    X[:count] = distance * np.column_stack([np.cos(angles), np.sin(angles)])
    labels[:count] = label
    return X, labels


def grid(seed, n=1200, side=5, gap=5.0):
    """Clusters at the crossings of a square grid."""
    steps = gap * np.arange(side)
    means = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    return draw(np.random.default_rng(seed), n, means, np.eye(2))


def scattered(seed, n, K, d=2, side=7.0):
    """Clusters anywhere in a square with as much room for each, whatever K is."""
    rng = np.random.default_rng(seed)
    return draw(rng, n, side * K ** (1 / d) * rng.random((K, d)), np.eye(d))


def blobs(seed, n, d, K, gap):
    """Spheres at random, a gap apart in the mean square."""
    rng = np.random.default_rng(seed)
    means = gap / np.sqrt(2 * d) * rng.standard_normal((K, d))
    return draw(rng, n, means, np.eye(d))


def random_mixture(seed, n, d, K, spread):
    """Normal means, Wishart covariances, weights of a Dirichlet distribution."""
    rng = np.random.default_rng(seed)
    means = spread * rng.standard_normal((K, d))
    factors = rng.standard_normal((K, d, d + 2)) / np.sqrt(d + 2)
    covariances = factors @ factors.transpose(0, 2, 1)
    return draw(rng, n, means, covariances, rng.dirichlet(np.full(K, 5.0)))


def correlated(seed, n=800, d=10, K=3, correlation=0.98, gap=5.0):
    """Clusters apart in directions that a common factor of all features hides."""
    rng = np.random.default_rng(seed)
    covariance = np.full((d, d), correlation) + (1 - correlation) * np.eye(d)
    means = gap * np.sqrt(1 - correlation) * simplex(K, d)
    return draw(rng, n, means, covariance)


def fixed(hard_for, name, K, make, reference=None, most_seeds=None):
    return Problem(name, hard_for, K, make, True, reference, most_seeds)


def known(hard_for, name, K, most_seeds=None):
    """Stored rows without labels."""
    make = partial(stored, name=name)
    return fixed(hard_for, f"{name} {K}", K, make, name, most_seeds)


def simulated(hard_for, name, K, make, /, **parameters):
    return Problem(name, hard_for, K, partial(make, **parameters))


UNEVEN = (0.95, 0.04, 0.01)
WIDTHS = (0.3, 1.0, 4.0)

TABLE = [
    fixed("real", "iris 3", 3, iris, "iris"),
    fixed("real", "iris 2", 2, partial(iris, n_species=2), "iris"),
    fixed("real", "wine", 3, wine),
    fixed("real", "breast cancer", 2, breast_cancer),
    fixed("real", "digits", 10, digits),
    known("real", "faithful", 2),
    known("real", "faithful", 3),
    known("real", "acidity", 2),
    known("real", "acidity", 3),
    known("real", "galaxies", 4),
    known("real", "galaxies", 6),
    known("random", "sim_d2_n5000_k8", 8, most_seeds=5),
    fixed("demonstration", "demonstration", 3, demonstration),
    simulated("cigars", "cigars 5:1", 2, cigars, ratio=5.0),
    simulated("cigars", "cigars 10:1", 2, cigars),
    simulated("cigars", "cigars 30:1", 2, cigars, ratio=30.0),
    simulated("cigars", "cigars 100:1", 2, cigars, ratio=100.0),
    simulated("cigars", "cigars turned", 2, cigars, degrees=30.0),
    simulated("cigars", "cigars 5-d", 2, cigars, d=5),
    simulated("cigars", "cigars 5-d turned", 2, cigars, d=5, ratio=30.0, degrees=30.0),
    simulated("cigars", "cigars near", 2, cigars, gap=3.5),
    simulated("cigars", "many rows", 2, cigars, n=2000),
    simulated("cigars", "many rows 5-d", 2, cigars, n=1500, d=5, gap=8.0),
    simulated("cigars", "three cigars", 3, cigars, n=750, count=3),
    simulated(
        "cigars", "three turned", 3, cigars, n=750, count=3, ratio=20.0, degrees=30.0
    ),
    simulated("cigars", "four cigars", 4, cigars, n=800, count=4),
    simulated("scale", "irrelevant 1e3", 3, with_irrelevant, scale=1e3),
    simulated("scale", "irrelevant 1e4", 3, with_irrelevant, scale=1e4),
    simulated("scale", "small feature", 3, in_small_feature),
    simulated("scale", "units", 4, in_units),
    simulated(
        "sizes",
        "sizes 2-d",
        3,
        equidistant,
        n=1500,
        d=2,
        K=3,
        gap=7.0,
        weights=UNEVEN,
    ),
    simulated(
        "sizes",
        "sizes 5-d",
        3,
        equidistant,
        n=1500,
        d=5,
        K=3,
        gap=7.0,
        weights=UNEVEN,
    ),
    simulated(
        "sizes",
        "one small",
        2,
        equidistant,
        n=1000,
        d=2,
        K=2,
        gap=6.0,
        weights=(0.98, 0.02),
    ),
    simulated("nested", "nested 2-d", 2, nested, d=2, ratios=(1, 6)),
    simulated("nested", "nested 5-d", 2, nested, d=5, ratios=(1, 4)),
    simulated("nested", "three nested", 3, nested, d=2, ratios=(1, 6, 36)),
    simulated("nested", "ring", 7, ring),
    simulated("crossing", "crossing", 2, crossing),
    simulated("crossing", "three crossing", 3, crossing, count=3, ratio=20.0),
    simulated("outliers", "outliers", 3, with_outliers),
    simulated("outliers", "outliers apart", 4, with_outliers, label=3),
    simulated("outliers", "far rows", 3, with_far_rows),
    simulated("outliers", "far rows apart", 4, with_far_rows, label=3),
    simulated("many", "fifteen", 15, scattered, n=1000, K=15),
    simulated("many", "fifteen 5-d", 15, scattered, n=1200, K=15, d=5),
    simulated("many", "twenty-five", 25, scattered, n=1200, K=25),
    simulated("many", "grid", 25, grid),
    simulated("dimension", "20-d", 5, blobs, n=1000, d=20, K=5, gap=6.0),
    simulated("dimension", "50-d", 3, blobs, n=1000, d=50, K=3, gap=8.0),
    simulated("overlap", "moderate 2-d", 3, equidistant, n=1000, d=2, K=3, gap=3.0),
    simulated("overlap", "moderate 5-d", 3, equidistant, n=1000, d=5, K=3, gap=3.0),
    simulated("overlap", "strong 2-d", 3, equidistant, n=1000, d=2, K=3, gap=2.0),
    simulated("overlap", "strong 5-d", 3, equidistant, n=1000, d=5, K=3, gap=2.0),
    simulated(
        "variances",
        "variances 2-d",
        3,
        equidistant,
        n=800,
        d=2,
        K=3,
        gap=6.0,
        deviations=WIDTHS,
    ),
    simulated(
        "variances",
        "variances 5-d",
        3,
        equidistant,
        n=800,
        d=5,
        K=3,
        gap=6.0,
        deviations=WIDTHS,
    ),
    simulated("random", "random 2-d", 6, random_mixture, n=900, d=2, K=6, spread=3.0),
    simulated("random", "random 3-d", 4, random_mixture, n=800, d=3, K=4, spread=1.5),
    simulated("random", "random 5-d", 8, random_mixture, n=1200, d=5, K=8, spread=1.5),
    simulated("random", "random 10-d", 5, random_mixture, n=1000, d=10, K=5, spread=1),
    simulated("correlated", "correlated", 3, correlated),
    simulated("correlated", "correlated 2-d", 3, correlated, d=2, correlation=0.99),
    simulated("extra", "one more 2-d", 4, equidistant, n=800, d=2, K=3, gap=6.0),
    simulated("extra", "one more 5-d", 5, random_mixture, n=800, d=5, K=4, spread=2.0),
]
PROBLEMS = {problem.name: problem for problem in TABLE}
