"""How many components, and of which shape? BIC on irises
======================================================

A criterion weighs the likelihood of a fit against its number of parameters; lower is
better. GaussianMixtureIC fits every covariance model with every number of components,
and selects the best fit that is not degenerate. Look at more than the first row of its
table: here two components are as good as three, as differences below two mean little.
Two of the species overlap; if you know that there are three, ask for three, and you
find the species.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_iris
from sklearn.metrics import adjusted_rand_score

from emgmm import (
    CriterionDisplay,
    GaussianMixtureEM,
    GaussianMixtureIC,
    MixtureDisplay,
)

iris = load_iris()
search = GaussianMixtureIC(n_components=range(1, 5)).fit(iris.data)
table = search.results_
print("components  model  parameters  log-likelihood      BIC      ICL")
eligible = np.flatnonzero(table["eligible"])
for i in eligible[np.argsort(table["bic"][eligible])][:5]:
    print(
        f"{table['n_components'][i]:10d}  {table['covariance_type'][i]:>5s}"
        f"{table['n_parameters'][i]:12d}{table['log_likelihood'][i]:16.1f}"
        f"{table['bic'][i]:9.1f}{table['icl'][i]:9.1f}"
    )
three = GaussianMixtureEM(3, covariance_type="VEV").fit(iris.data)
agreement = adjusted_rand_score(iris.target, three.labels_)
behind = three.bic(iris.data) - search.criterion_[search.best_index_]
print(f"selected: {search.best_params_}")
print(f"three components: BIC {behind:.1f} more, ARI with the species {agreement:.2f}")

fig = plt.figure(figsize=(12, 5.5), layout="constrained")
left, right = fig.subfigures(1, 2, width_ratios=[2, 3])
criterion = CriterionDisplay.from_estimator(search, ax=left.subplots())
criterion.ax_.set_title("Two components are as good as three")
pairs = MixtureDisplay.from_estimator(three, iris.data, ax=right.subplots())
pairs.axes_[0, 0].set_title("", loc="left")
right.suptitle(f"Three components (VEV) are the species: ARI {agreement:.2f}")
for feature, name in enumerate(iris.feature_names):
    pairs.axes_[-1, feature].set_xlabel(name, fontsize="small")
    pairs.axes_[feature, 0].set_ylabel(name if feature else "", fontsize="small")
folder = Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parent / "output"
folder.mkdir(parents=True, exist_ok=True)
fig.savefig(folder / "selection.png", dpi=150)
