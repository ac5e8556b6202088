"""A mixture for each class, and rows without a label
==================================================

Bayes' rule needs the density of each class. One Gaussian for each, as in quadratic
discriminant analysis, has no room for a bent class; several components have, and BIC
says how many. In the last picture 12 of 300 rows have a label. The others (grey) take
part by their probabilities of belonging to the classes (`semi_supervised=True`): then
the boundaries lie between the clusters, which the labelled rows alone do not show.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons

from emgmm import GaussianMixtureClassifier

X, y = make_moons(600, noise=0.2, random_state=0)
fits = [GaussianMixtureClassifier(K, covariance_type="full") for K in (1, [1, 2, 3, 4])]
wrong = [100 - 100 * fit.fit(X[:300], y[:300]).score(X[300:], y[300:]) for fit in fits]
K = [mixture.n_components for mixture in fits[1].mixtures_]
print(f"one Gaussian each: {wrong[0]:.1f}% of new rows wrong")
print(f"{K} components, chosen by BIC: {wrong[1]:.1f}% of new rows wrong")

rng, truth = np.random.default_rng(5), np.repeat([0, 1, 2], 100)
rows = rng.normal(scale=[2, 0.35], size=(300, 2)) + 1.6 * np.c_[np.zeros(300), truth]
rows = rows @ np.array([[0.8, 0.6], [-0.6, 0.8]])
few = np.where(np.arange(300) % 25 == 0, truth, -1)  # -1: no label
fits += [GaussianMixtureClassifier(covariance_type="tied", semi_supervised=True)]
for name, some in {"12 rows with a label": few >= 0, "all 300": few > -2}.items():
    wrong.append(100 - 100 * fits[2].fit(rows[some], few[some]).score(rows, truth))
    print(f"{name}: {wrong[-1]:.1f}% of all rows wrong")

titles = [
    "One Gaussian each",
    f"{K[0]} and {K[1]} components",
    "12 of 300 rows labelled",
]
colors = ["#0072B2", "#E69F00", "#882255"]
fig, axes = plt.subplots(1, 3, figsize=(10, 3.5), layout="constrained")
for ax, fit, title, share in zip(
    axes, fits, titles, wrong[:2] + wrong[3:], strict=True
):
    data, labels, size = (rows, few, 60) if fit is fits[2] else (X[300:], y[300:], 16)
    ends = np.c_[data.min(axis=0) - 0.3, data.max(axis=0) + 0.3]
    grid = np.meshgrid(*(np.linspace(*end, 300) for end in ends))
    classes = fit.predict(np.stack(grid, axis=-1).reshape(-1, 2)).reshape(300, 300)
    ax.contourf(*grid, classes, [-0.5, 0.5, 1.5, 2.5], colors=colors, alpha=0.3)
    ax.scatter(*data[labels < 0].T, s=4, color="0.45")
    for c, marker in zip(fit.classes_, "os^", strict=False):
        style = dict(s=size, marker=marker, edgecolor="white", linewidth=0.5)
        ax.scatter(*data[labels == c].T, color=colors[c], **style)
    ax.set(title=f"{title}: {share:.1f}% wrong", xticks=[], yticks=[])
folder = Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parent / "output"
folder.mkdir(parents=True, exist_ok=True)
fig.savefig(folder / "classifier.png", dpi=150)
