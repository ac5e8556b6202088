"""A mixture in a pipeline, tuned by held-out likelihood
=====================================================

GridSearchCV fits on some rows and scores others by their mean log-likelihood, which is
what `score` returns: higher is better. Use it to predict new rows, but tune only the
mixture: densities of rows that were transformed differently cannot be compared. BIC
asks which mixture the rows come from; use it where components have a meaning. It uses
all rows at once and needs no folds, as its penalty stands in for held-out rows. With
BIC as its score, GridSearchCV would penalise parameters twice.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_wine
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import GridSearchCV, RepeatedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from emgmm import CriterionDisplay, GaussianMixtureEM, GaussianMixtureIC

X, cultivar = load_wine(return_X_y=True)
sizes, models = list(range(1, 6)), ["diag", "full"]
prefix = "gaussianmixtureem__"
pipeline = make_pipeline(StandardScaler(), PCA(4), GaussianMixtureEM())
grid = {f"{prefix}covariance_type": models, f"{prefix}n_components": sizes}
folds = RepeatedKFold(n_splits=5, n_repeats=4, random_state=0)
held_out = GridSearchCV(pipeline, grid, cv=folds).fit(X)
shape = len(models), len(sizes)
score = held_out.cv_results_["mean_test_score"].reshape(shape)
error = held_out.cv_results_["std_test_score"].reshape(shape) / np.sqrt(20 - 1)
Z = held_out.best_estimator_[:-1].transform(X)
bic = GaussianMixtureIC(sizes, covariance_type=models).fit(Z)
best = ", ".join(str(value) for value in held_out.best_params_.values())
for model, means, errors in zip(models, score, error, strict=True):
    print(model, *(f"{m:.2f} ({e:.2f})" for m, e in zip(means, errors, strict=True)))
agreement = adjusted_rand_score(cultivar, held_out.predict(X))
print(f"held-out rows: {best}")
print(f"ARI of the pipeline's components with the cultivars: {agreement:.2f}")
print(f"BIC: {bic.best_params_['covariance_type']}, {bic.best_params_['n_components']}")

fig, axes = plt.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
criterion = CriterionDisplay.from_estimator(bic, ax=axes[1])
criterion.legend_.remove()
shared = ("color", "marker", "linestyle", "label")
for line, means, errors in zip(criterion.lines_, score, error, strict=True):
    style = {name: getattr(line, f"get_{name}")() for name in shared}
    axes[0].errorbar(sizes, means, errors, capsize=3, **style)
axes[0].legend(title="mean, standard error", loc="lower right")
axes[0].set(xlabel="number of components", ylabel="held-out log-likelihood")
axes[0].set_xticks(sizes)
axes[0].set_title(f"Predicts new rows best: {best}")
axes[1].set_title("BIC, on all rows, asks where they came from")
folder = Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parent / "output"
folder.mkdir(parents=True, exist_ok=True)
fig.savefig(folder / "pipeline.png", dpi=150)
