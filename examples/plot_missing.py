"""Missing values: gaps need not be filled
=======================================

Two long clusters cross. The greater a is, the more often b is missing, and otherwise at
random. Dropping rows with gaps drops rows of large a: one cluster gets too little
weight, and both are cut off. Filling gaps with means draws a line that is not a
cluster, and a mixture finds it. Leaving NaN in place gives nearly the clusters of the
complete data, as every row counts with the values that it has: rows without b still say
something about a.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.impute import SimpleImputer
from sklearn.mixture import GaussianMixture

from emgmm import GaussianMixtureEM, MixtureDisplay

truth = GaussianMixtureEM.from_parameters(
    weights=[0.5, 0.5],
    means=[[0, 0], [2, 1]],
    covariances=[[[4, 3.8], [3.8, 4]], [[4, -3.8], [-3.8, 4]]],
)
X, _ = truth.sample(800, random_state=0)
new, _ = truth.sample(10_000, random_state=1)
chance = 1 / (1 + np.exp(1.5 - 1.5 * X[:, 0]))
missing = np.random.RandomState(0).random_sample(len(X)) < chance
gaps = X.copy()
gaps[missing, 1] = np.nan
filled = SimpleImputer().fit_transform(gaps)
print(f"b is missing in {missing.sum()} of {len(X)} rows")

ours, theirs = GaussianMixtureEM(2), GaussianMixture(2, n_init=10, random_state=0)
panels = {
    "No gaps": (ours, X),
    "Rows with gaps dropped": (ours, X[~missing]),
    "Means in gaps, scikit-learn": (theirs, filled),
    "Gaps left as NaN": (ours, gaps),
}
fig, axes = plt.subplots(2, 2, figsize=(9, 8.4), layout="constrained")
for ax, (name, (gmm, rows)) in zip(axes.flat, panels.items(), strict=True):
    score, of_a = gmm.fit(rows).score(new), gmm.weights_ @ gmm.means_[:, 0]
    print(f"{name}: log-density of new rows {score:.3f}, mean of a {of_a:.2f}")
    display = MixtureDisplay.from_estimator(gmm, rows, ax=ax)
    display.note_.set_visible(ax in axes[0])  # it is the same for all
    title = f"{name}\nlog-density of new rows {score:.2f}"
    ax.set(xlim=(-7, 9), ylim=(-7, 9), xlabel="a", ylabel="b", title=title)
ax.scatter(gaps[missing, 0], np.full(missing.sum(), -6.8), color="0.4", marker="|")
ax.text(8.7, -6.3, "rows without b", color="0.4", ha="right")
print(f"the last picture draws {display.n_missing_[0, 0]} rows by their a alone")
folder = Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parent / "output"
folder.mkdir(parents=True, exist_ok=True)
fig.savefig(folder / "missing.png", dpi=150)
