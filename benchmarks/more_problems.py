"""A second suite of problems on which default fits are compared, of other kinds."""

from __future__ import annotations

import csv
from functools import partial

import numpy as np
from sklearn.datasets import load_diabetes, make_moons

from .problems import (
    FOLDERS,
    UNASSIGNED,
    breast_cancer,
    draw,
    fixed,
    simulated,
)

# Real rows


def exported(seed, name):
    """Rows that export.R wrote, and their classes where the set has them."""
    with (FOLDERS[1] / f"{name}.csv").open(encoding="utf-8") as file:
        header, *lines = csv.reader(file)
    X = np.array(lines, dtype=np.float64)
    if header[-1] != "label":
        return X, None
    return np.ascontiguousarray(X[:, :-1]), X[:, -1].astype(int)


def cell_means(seed):
    """The first ten features of the breast cancer set: the means over cells."""
    X, labels = breast_cancer(seed)
    return np.ascontiguousarray(X[:, :10]), labels


def progression(seed):
    """The measurements of scikit-learn's diabetes set, without the sex."""
    return np.delete(load_diabetes(scaled=False).data, 1, axis=1), None


# Simulated rows


def ellipsoids(rng, K, d, condition=100.0):
    """Wishart covariances, their condition numbers at most so large."""
    freedom = 3 * d // 2
    factors = rng.standard_normal((K, d, freedom)) / np.sqrt(freedom)
    values, vectors = np.linalg.eigh(factors @ factors.transpose(0, 2, 1))
    values = np.maximum(values, values[:, -1:] / condition)
    return (vectors * values[:, None]) @ vectors.transpose(0, 2, 1)


def anywhere(rng, K, d, room):
    """Means in a cube with as much room for each, whatever K is."""
    return room * K ** (1 / d) * rng.random((K, d))


def ellipses(seed, n, d, K, room=3.0, weights=None):
    """Ellipses of all shapes, the more overlapping the less room there is."""
    rng = np.random.default_rng(seed)
    means = anywhere(rng, K, d, room)
    return draw(rng, n, means, ellipsoids(rng, K, d), weights)


def unequal(seed, n, d, K, ratio=50.0, room=5.0):
    """Sizes in geometric progression, the largest so many times the smallest."""
    weights = np.geomspace(1.0, ratio, K)
    return ellipses(seed, n, d, K, room, weights / weights.sum())


def heavy_tails(seed, n, d, K, freedom, room=6.0):
    """Multivariate t distributions with so many degrees of freedom."""
    rng = np.random.default_rng(seed)
    means = anywhere(rng, K, d, room)
    X, labels = draw(rng, n, np.zeros((K, d)), ellipsoids(rng, K, d))
    stretch = np.sqrt(freedom / rng.chisquare(freedom, n))
    return stretch[:, None] * X + means[labels], labels


def with_noise(rng, X, labels, share, low, high):
    """A share of the rows anywhere in a box instead."""
    count = round(share * len(X))
    X[:count] = rng.uniform(low, high, (count, X.shape[1]))
    labels[:count] = UNASSIGNED
    return X, labels


def noisy_ellipses(seed, share, n, d, K, room):
    """Ellipses, and noise in the box around them."""
    X, labels = ellipses(seed, n, d, K, room)
    rng = np.random.default_rng([seed, 1])
    return with_noise(rng, X, labels, share, X.min(axis=0), X.max(axis=0))


def noisy_squares(seed, n=2000, K=20, side=24.0, share=0.05):
    """Small round clusters in a square, and noise over it."""
    rng = np.random.default_rng(seed)
    means = side * rng.random((K, 2))
    X, labels = draw(rng, n, means, 0.25 * np.eye(2))
    return with_noise(rng, X, labels, share, 0.0, side)


def lines(seed, n=1600, K=8):
    """Long, thin lines in all directions, across one another."""
    rng = np.random.default_rng(seed)
    angles = 2 * np.pi * rng.random(K)
    along = 6 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    covariances = 0.04 * np.eye(2) + along[:, :, None] * along[:, None]
    return draw(rng, n, 3 * rng.standard_normal((K, 2)), covariances)


def low_rank(seed, n, d, K, rank, spread):
    """A few wide directions in each cluster, and unit variance in the others."""
    rng = np.random.default_rng(seed)
    factors = rng.standard_normal((K, d, rank))
    covariances = factors @ factors.transpose(0, 2, 1) + np.eye(d)
    return draw(rng, n, spread * rng.standard_normal((K, d)), covariances)


def polar(rng, radii, angles, noise):
    """Points in the plane at these radii and angles, with normal noise."""
    X = np.column_stack([radii * np.cos(angles), radii * np.sin(angles)])
    return X + noise * rng.standard_normal(X.shape)


def rings(seed, n=900, radii=(2.0, 5.0, 8.0), noise=0.25):
    """Rings about one centre."""
    rng = np.random.default_rng(seed)
    return polar(rng, rng.choice(radii, n), 2 * np.pi * rng.random(n), noise), None


def moons(seed, n=600, noise=0.08):
    return make_moons(n, noise=noise, random_state=seed)[0], None


def spirals(seed, n=1000, turns=1.5, noise=0.15):
    """Two arms about each other."""
    rng = np.random.default_rng(seed)
    outwards = np.sqrt(rng.random(n))
    angles = 2 * np.pi * turns * outwards + np.pi * rng.integers(2, size=n)
    return polar(rng, 1 + 6 * outwards, angles, noise), None


def rounded(seed, decimals, **parameters):
    """Ellipses of which only so many decimals are kept."""
    X, labels = ellipses(seed, **parameters)
    return np.round(X, decimals), labels


def point_mass(seed, n, d, K, share=0.1):
    """Ellipses, and many rows that are equal: one cluster more."""
    X, labels = ellipses(seed, n, d, K, room=4.0)
    count = round(share * n)
    X[:count], labels[:count] = X.mean(axis=0), K
    return X, labels


def mixed_scales(seed, n=1000, d=5, K=4):
    """Units from 1e-3 to 1e4, a lognormal feature, and one of whole numbers."""
    X, labels = ellipses(seed, n, d, K, room=4.0)
    X[:, 1] = np.exp(X[:, 1] / 2)
    X *= np.geomspace(1e-3, 1e4, d)
    X[:, 3] = np.round(X[:, 3] / 100)
    return X, labels


def from_r(name, K):
    return fixed("real", name, K, partial(exported, name=name))


def overlapping(d, K, n):
    name = f"ellipses {d}-d {K}"
    return simulated("ellipses", name, K, ellipses, n=n, d=d, K=K, room=ROOM[d])


def noisy(percent, d, K, n):
    """One component more than clusters, for the noise."""
    name, room = f"noise {percent}%", 1.5 * ROOM[d]
    parameters = {"n": n, "d": d, "K": K, "room": room, "share": percent / 100}
    return simulated("noise", name, K + 1, noisy_ellipses, **parameters)


# The side of the cube of the means of one component, by dimension
ROOM = {2: 4.0, 3: 3.5, 5: 2.5, 8: 1.6, 10: 1.4, 15: 1.0, 20: 0.8}

MORE_TABLE = [
    from_r("swiss", 2),
    from_r("quakes", 4),
    from_r("rock", 2),
    from_r("attitude", 2),
    from_r("trees", 2),
    from_r("diabetes", 3),
    from_r("banknote", 2),
    from_r("thyroid", 3),
    fixed("real", "wdbc means", 2, cell_means),
    from_r("chevron", 2),
    from_r("cross", 2),
    from_r("gvhd", 6),
    from_r("unemployment", 2),
    from_r("ex4.1", 6),
    from_r("ex4.2", 4),
    from_r("ex4.3", 3),
    from_r("ex4.4.1", 4),
    from_r("ex4.4.2", 4),
    from_r("test1d", 8),
    fixed("real", "progression", 3, progression),
    overlapping(2, 5, 500),
    overlapping(2, 10, 1000),
    overlapping(2, 20, 1500),
    overlapping(2, 30, 4000),
    overlapping(3, 4, 400),
    overlapping(3, 8, 1000),
    overlapping(3, 15, 2000),
    overlapping(5, 3, 300),
    overlapping(5, 6, 1000),
    overlapping(5, 12, 2000),
    overlapping(8, 3, 500),
    overlapping(8, 8, 2000),
    overlapping(10, 4, 800),
    overlapping(15, 3, 900),
    overlapping(20, 3, 1000),
    overlapping(20, 5, 2000),
    simulated("sizes", "sizes 1:50 2-d", 8, unequal, n=2000, d=2, K=8),
    simulated("sizes", "sizes 1:50 6-d", 6, unequal, n=2000, d=6, K=6),
    simulated("tails", "t3 2-d", 4, heavy_tails, n=800, d=2, K=4, freedom=3),
    simulated("tails", "t4 5-d", 3, heavy_tails, n=1000, d=5, K=3, freedom=4),
    simulated("tails", "t5 3-d", 6, heavy_tails, n=1200, d=3, K=6, freedom=5),
    noisy(5, 2, 6, 1000),
    noisy(10, 3, 4, 1000),
    noisy(20, 5, 4, 1200),
    simulated("noise", "noisy squares", 21, noisy_squares),
    simulated("shapes", "rings", 12, rings),
    simulated("shapes", "moons", 8, moons),
    simulated("shapes", "spirals", 16, spirals),
    simulated("ties", "one decimal", 5, rounded, decimals=1, n=1000, d=2, K=5),
    simulated("ties", "whole numbers", 4, rounded, decimals=0, n=1000, d=3, K=4),
    simulated("ties", "point mass 2-d", 4, point_mass, n=600, d=2, K=3),
    simulated("ties", "point mass 5-d", 4, point_mass, n=800, d=5, K=3),
    simulated("scale", "mixed scales", 4, mixed_scales),
    simulated("crossing", "eight lines", 8, lines),
    simulated("dimension", "50-d few rows", 3, ellipses, n=500, d=50, K=3, room=1.0),
    simulated(
        "dimension", "low rank 50-d", 3, low_rank, n=500, d=50, K=3, rank=3, spread=0.6
    ),
    simulated(
        "dimension", "low rank 20-d", 5, low_rank, n=400, d=20, K=5, rank=2, spread=1.0
    ),
]
MORE_PROBLEMS = {problem.name: problem for problem in MORE_TABLE}
