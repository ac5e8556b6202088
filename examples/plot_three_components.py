"""Three components from a bad start: EM drawn as it goes, and what the start was worth.

EM only climbs: this start ends far below the maximum. See also plot_a_lucky_error.py.
"""

import sys
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.animation import PillowWriter

from emgmm import GaussianMixtureEM
from emgmm.datasets import make_three_components

COLORS = ["#0072B2", "#E69F00", "#009E73"]  # told apart by colour-blind eyes
X, _ = make_three_components(n_samples=10000, random_state=42)


def draw(ax, gmm, title, colors=COLORS):
    """Rows, coloured by most probable component, and contours of the density."""
    ax.clear()
    for k, color in enumerate(colors):
        ax.scatter(*X[gmm.labels_ == k].T, s=1, color=color, label=f"Cluster {k + 1}")
    x, y = np.meshgrid(np.linspace(-5, 14, 150), np.linspace(-5, 14, 150))
    density = np.exp(gmm.score_samples(np.c_[x.ravel(), y.ravel()])).reshape(x.shape)
    levels = density.max() * np.geomspace(0.003, 0.8, 8)
    ax.contour(x, y, density, levels, colors="0.2", linewidths=0.7)
    ax.set(xlim=(-5, 14), ylim=(-5, 14), aspect="equal")
    ax.set_title(f"{title}: log-likelihood {gmm.lower_bound_ * len(X):.0f}")
    if colors is COLORS:
        ax.legend(loc="lower right", markerscale=6)


start = dict(weights_init=[0.1, 0.1, 0.8], means_init=[[-2, -2], [10, 0], [0, 10]])
gmm = GaussianMixtureEM(3, **start, precisions_init=[np.eye(2)] * 3, warm_start=True)
gmm.set_params(max_iter=0, tol=0, reg_covar=0)  # and each fit goes on from the last
best = GaussianMixtureEM(3).fit(X)
folder = Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parent / "output"
folder.mkdir(parents=True, exist_ok=True)
figure, panels = plt.subplots(3, 4, figsize=(16, 12), layout="constrained")
movie, screen = plt.subplots(figsize=(5, 5), layout="constrained")
writer = PillowWriter(fps=2)
np.set_printoptions(precision=4, suppress=True)
warnings.simplefilter("ignore")  # one iteration at a time does not converge
with writer.saving(movie, folder / "three_components.gif", dpi=80):
    for i in range(51):
        gmm.fit(X).set_params(max_iter=1)
        print(f"iteration {i}: log-likelihood {gmm.lower_bound_ * len(X):.3f}")
        print("weights", gmm.weights_, "means", gmm.means_, "covariances", sep="\n")
        print(*gmm.covariances_, sep="\n")
        if i % 5 == 0:
            for ax in (panels.flat[i // 5], screen):
                draw(ax, gmm, f"iteration {i}", COLORS if i else ["black"] * 3)
            writer.grab_frame()
draw(panels.flat[-1], best, "default start")
figure.savefig(folder / "three_components.png", dpi=80)
worth = len(X) * (best.lower_bound_ - gmm.lower_bound_)
print(f"The default start ends {worth:.0f} higher; see the figures in {folder}.")
