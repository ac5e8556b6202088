"""Regression with two branches: the elbow from the hand
=====================================================

The distance of the hand from the shoulder follows from the angle of the elbow, but the
same distance has two angles, elbow up or down. Regression predicts their mean: an arm
that is nearly straight, with the hand far from where it should be (C. M. Bishop,
"Mixture density networks", 1994). A mixture of distance and angle keeps both: its
conditional distribution at a distance has a component on each branch. If you want the
mean, `conditional_mean` returns it.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from emgmm import GaussianMixtureIC

UPPER, FORE = 0.35, 0.30  # lengths of the arm's parts in metres


def reach(angle):
    """Distance of the hand (m) for an angle of the elbow (degrees), 0 if straight."""
    cosine = np.cos(np.radians(angle))
    return np.sqrt(UPPER**2 + FORE**2 + 2 * UPPER * FORE * cosine)


rng = np.random.RandomState(0)
angles = rng.uniform(10, 150, 3000) * np.where(rng.random_sample(3000) < 0.6, 1, -1)
X = np.column_stack([reach(angles) + 0.01 * rng.standard_normal(3000), angles])
search = GaussianMixtureIC(range(4, 15, 2), covariance_type="full").fit(X)

distances, grid = np.linspace(0.2, 0.62, 150), np.linspace(-180, 180, 181)
at_distances = [search.mixture_.conditional(0, distance) for distance in distances]
density = np.exp([each.log_density(grid[:, None]) for each in at_distances])
branch = np.array([each.means[each.weights.argmax(), 0] for each in at_distances])
mean, std = search.conditional_mean(distances[:, None], given=0, return_std=True)
mean, std = mean[:, 0], std[:, 0]
print(f"components: {search.best_params_['n_components']}")
for name, chosen in (("mean angle", mean), ("probable branch", branch)):
    miss = 100 * np.abs(reach(chosen) - distances)
    print(f"{name}: the hand misses by {miss.mean():.1f} cm")

fig, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained", sharey=True)
axes[0].pcolormesh(distances, grid, np.sqrt(density.T), cmap="Blues")
for each, distance in zip(at_distances, distances, strict=True):
    likely = each.means[each.weights > 0.1, 0]
    axes[0].plot(np.full_like(likely, distance), likely, ".k", markersize=2)
axes[0].set(title="The mixture: two branches", ylabel="angle of the elbow (degrees)")
axes[0].text(0.21, 0, "blue: density of the angle\nblack: means of components")
axes[1].plot(*X[::3].T, ".", color="0.7", markersize=3, label="a third of the rows")
axes[1].plot(distances, mean, color="#D55E00", label="conditional mean")
band = {"color": "#D55E00", "alpha": 0.2, "label": "one standard deviation"}
axes[1].fill_between(distances, mean - std, mean + std, **band)
axes[1].set(title="The mean: on neither of them", xlim=axes[0].get_xlim())
axes[1].legend(loc="lower right")
fig.supxlabel("distance of the hand (m)", fontsize="medium")
folder = Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parent / "output"
folder.mkdir(parents=True, exist_ok=True)
fig.savefig(folder / "regression.png", dpi=150)
