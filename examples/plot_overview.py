"""The library in one picture
==========================

178 Italian wines by two of their measurements; their three cultivars are not used. BIC
compares fourteen covariance models with one to five components, and selects three
components with ellipses parallel to the axes (VVI). The mixture then gives the cluster
of each wine, how certain that is, and how probable any other wine would be.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
from sklearn.datasets import load_wine
from sklearn.metrics import adjusted_rand_score

from emgmm import CriterionDisplay, GaussianMixtureIC, MixtureDisplay

wine = load_wine()
X = wine.data[:, [wine.feature_names.index(name) for name in ("alcohol", "flavanoids")]]
search = GaussianMixtureIC(n_components=range(1, 6)).fit(X)
n_components, model = search.best_params_.values()
agreement = adjusted_rand_score(wine.target, search.labels_)
print(f"BIC selects {n_components} components of the model {model}")
print(f"adjusted Rand index of clusters and cultivars: {agreement:.2f}")

fig, axes = plt.subplots(1, 3, figsize=(10, 3.8), layout="constrained")
CriterionDisplay.from_estimator(search, ax=axes[0])
axes[0].set_title(f"Selected by BIC: {n_components}, {model}")
MixtureDisplay.from_estimator(search, X, ax=axes[1])
axes[1].set_title("Clusters")
MixtureDisplay.from_estimator(search, X, ax=axes[2], kind="density")
axes[2].set_title("Density")
for ax in axes[1:]:
    ax.set(xlabel="alcohol (%)", ylabel="flavanoids", ylim=(-0.4, 5.9))
folder = Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parent / "output"
folder.mkdir(parents=True, exist_ok=True)
fig.savefig(folder / "overview.png", dpi=150)
