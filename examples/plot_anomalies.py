"""Anomaly scores: digits that the mixture has never seen
======================================================

`score_samples` returns the log-density of each row: the lower, the more unusual. Use a
quantile of the scores of usual rows as the threshold, but of rows that were left out of
the fit: the mixture lies closer to the rows of the fit than to new ones, so a threshold
from those flags too many. Each digit in turn is left out. IsolationForest, with its
defaults, is drawn for comparison: it splits one feature at a time, but what is unusual
in a digit is how its features combine.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

from emgmm import GaussianMixtureEM

X, y = load_digits(return_X_y=True)
models = GaussianMixtureEM(10), IsolationForest(random_state=0)
aucs, flagged = [], []
for digit in range(10):
    train, other = train_test_split(X[y != digit], test_size=0.5, random_state=0)
    pca = PCA(15, random_state=0).fit(train)
    train, other, unseen = map(pca.transform, (train, other, X[y == digit]))
    kept, usual = other[::2], other[1::2]
    fits = [model.fit(train) for model in models]
    scores = [[fit.score_samples(rows) for rows in (usual, unseen)] for fit in fits]
    is_unseen = np.repeat([0, 1], [len(usual), len(unseen)])
    aucs.append([roc_auc_score(is_unseen, -np.concatenate(s)) for s in scores])
    cuts = [np.quantile(fits[0].score_samples(rows), 0.05) for rows in (train, kept)]
    flagged.append([[np.mean(s < cut) for s in scores[0]] for cut in cuts])
    print(f"without {digit}: AUC {aucs[-1][0]:.3f}, IsolationForest {aucs[-1][1]:.3f}")
for name, shares in zip(("in", "kept from"), np.mean(flagged, axis=0), strict=True):
    print(f"5% quantile of rows {name} the fit:", end=" ")
    print("flags {:.1%} of usual rows, {:.1%} of unseen digits".format(*shares))

fig, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
style = dict(bins=np.linspace(-100, -30, 36), alpha=0.7, edgecolor="black")
axes[0].hist(scores[0][0], color="#88CCEE", label="known, not in the fit", **style)
axes[0].hist(scores[0][1], color="#D55E00", label="9, never seen", hatch="//", **style)
axes[0].axvline(cuts[1], color="black", ls="--", label="5% of known are below")
axes[0].set(xlabel="log-density", ylabel="rows", title="Scores of a mixture without 9")
axes[0].legend(loc="upper left", fontsize="small")
mixture, forest = zip(*aucs, strict=True)
axes[1].plot(mixture, "o-", color="#0072B2", label="GaussianMixtureEM")
axes[1].plot(forest, "s--", color="#D55E00", label="IsolationForest")
axes[1].axhline(0.5, color="0.5", ls=":", label="guessing")
axes[1].set(xticks=range(10), xlabel="digit left out", ylabel="area under ROC curve")
axes[1].set_title("The mixture notices every digit it has not seen")
axes[1].legend(loc="lower left", fontsize="small")
folder = Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parent / "output"
folder.mkdir(parents=True, exist_ok=True)
fig.savefig(folder / "anomalies.png", dpi=150)
