"""Outliers between clusters
=========================

Three long clusters, and rows between them that belong to none. The detector selects a
mixture by BIC and scores each row by how often the mixture generates one as improbable.
As some of the rows to fit are outliers, both detectors get their share; for a fit to
usual rows alone, the default threshold, a p-value of 0.01, needs none. The forest
splits one feature at a time: rows beside a slanted cluster look usual to it, and those
at the ends of a cluster do not.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score, roc_auc_score

from emgmm import GaussianMixtureOutlierDetector

rng = np.random.default_rng(1)
usual = []
for mean, degrees in [((0, 0), 40), ((9, 1), 130), ((3, 8), -10)]:
    a = np.deg2rad(degrees)
    rotation = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    usual.append(mean + rng.normal(size=(300, 2)) * [2.5, 0.35] @ rotation.T)
X = np.concatenate([*usual, rng.uniform((-6, -5), (14, 11), (45, 2))])
is_outlier = np.repeat([0, 1], [900, 45])

share = is_outlier.mean()
detector = GaussianMixtureOutlierDetector(contamination=share).fit(X)
forest = IsolationForest(contamination=share, random_state=0).fit(X)
grid = np.meshgrid(np.linspace(-7, 16, 300), np.linspace(-6, 11, 300))
points = np.stack([axis.ravel() for axis in grid], axis=1)
fig, axes = plt.subplots(1, 2, figsize=(10, 4.4), sharey=True, layout="constrained")
for name, model, ax in zip(
    ("mixture", "forest"), (detector, forest), axes, strict=True
):
    scores, found = model.score_samples(X), model.predict(X) == -1
    auc = roc_auc_score(is_outlier, -scores)
    precision = average_precision_score(is_outlier, -scores)
    print(f"{name}: AUC {auc:.3f}, average precision {precision:.3f}, flags", end=" ")
    print(f"{found[:900].sum()} of 900 usual rows, {found[900:].sum()} of 45 others")
    inside = model.decision_function(points).reshape(grid[0].shape)
    ax.contourf(*grid, inside >= 0, levels=1, cmap=ListedColormap(["white", "#CFE8F5"]))
    ax.contour(*grid, inside, levels=[0], colors="#0072B2", linewidths=1)
    ax.scatter(*X[:900].T, s=5, color="0.35", label="usual row")
    ax.scatter(*X[900:].T, s=22, color="#D55E00", marker="^", label="outlier")
    ring = dict(facecolors="none", edgecolors="black", linewidths=0.8)
    ax.scatter(*X[found].T, s=70, label="flagged", **ring)
    title = f"{type(model).__name__}: average precision {precision:.2f}"
    ax.set(xlabel="x", title=title)
row = np.array([[np.nan, 20.0], [3.0, np.nan], [np.nan, np.nan]])
print("p-values of rows with missing values:", detector.p_values(row).round(4))
axes[0].set_ylabel("y")
fig.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
folder = Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parent / "output"
folder.mkdir(parents=True, exist_ok=True)
fig.savefig(folder / "outliers.png", dpi=150)
