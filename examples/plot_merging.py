"""Clusters that are not Gaussian, of several components each
==========================================================

Two moons, and a disc within a ring. BIC selects as many components as describe the
density, more than there are shapes. Those that overlap are merged, step by step, and
the probabilities of the components of a cluster are added. With the four shapes hardly
any row is in doubt between two clusters: from there on the entropy rises. Its elbow, by
two straight lines, is higher, as the entropy rises in a curve: look at the curve.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons
from sklearn.metrics import adjusted_rand_score

from emgmm import GaussianMixtureIC, MergingDisplay, MixtureDisplay, merge_components

rng = np.random.default_rng(0)
moons, moon = make_moons(300, noise=0.08, random_state=0)
angle = rng.uniform(0, 2 * np.pi, 300)
radius = 1.6 + rng.normal(scale=0.08, size=(300, 1))
ring = radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
disc = rng.normal(scale=0.3, size=(150, 2))
X = np.concatenate([moons, np.concatenate([ring, disc]) + [4.2, 0.25]])
shape = np.concatenate([moon, np.repeat([2, 3], [300, 150])])

sizes = range(1, 19)
search = GaussianMixtureIC(sizes, covariance_type="VVV", random_state=0).fit(X)
merging = merge_components(search, X)
clusters = merging.labels(4)
print(f"{merging.n_components} components, {merging.n_clusters_} clusters suggested")
for name, labels in [("components", search.predict(X)), ("4 clusters", clusters)]:
    print(f"{name}: adjusted Rand index {adjusted_rand_score(shape, labels):.3f}")
for number in (3, 4, 5, 8):
    print(f"entropy of {number} clusters: {merging.entropies_[number - 1]:.1f} nats")

fig, axes = plt.subplots(2, 2, figsize=(10, 6.4), layout="constrained")
MixtureDisplay.from_estimator(search, X, ax=axes[0, 0]).legend_.remove()
colors = np.array(["#0072B2", "#E69F00", "#882255", "#CC79A7"])
for cluster, marker in enumerate("os^D"):
    own = X[clusters == cluster].T
    axes[0, 1].scatter(*own, s=7, color=colors[cluster], marker=marker)
axes[0, 1].set(title="Rows by merged cluster", xlabel="feature 0")
MergingDisplay.from_merging(merging, axes=axes[1], n_clusters=4)
folder = Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parent / "output"
folder.mkdir(parents=True, exist_ok=True)
fig.savefig(folder / "merging.png", dpi=150)
