"""Three components from a bad start, step by step
===============================================

For 200 iterations plain EM lies beside a saddle, with two components across the same
two clusters; then each finds its own. See also :doc:`plot_a_lucky_error`.
"""

import sys
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.animation import PillowWriter

from emgmm import GaussianMixtureEM
from emgmm.datasets import make_three_components

SHOWN = 0, 1, 2, 5, 10, 50, 100, 200, 208, 212, 214, 220
X, _ = make_three_components(n_samples=10000, random_state=42)
x, y = np.meshgrid(np.linspace(-5, 14, 100), np.linspace(-5, 14, 100))


def draw(ax, i):
    """Every eighth row by most probable component, and contours of the density."""
    ax.clear()
    for k, color in enumerate(["#0072B2", "#E69F00", "#882255"] if i else ["0.4"] * 3):
        rows = X[::8][gmm.labels_[::8] == k]
        ax.scatter(*rows.T, s=3, color=color, linewidth=0, label=f"component {k}")
    density = np.exp(gmm.score_samples(np.c_[x.ravel(), y.ravel()])).reshape(x.shape)
    levels = density.max() * np.geomspace(0.003, 0.8, 7)
    ax.contour(x, y, density, levels, colors="0.2", linewidths=0.7)
    ax.set(xlim=(-5, 14), ylim=(-5, 14), aspect="equal", xlabel="x1", ylabel="x2")
    ax.label_outer()
    ax.set_title(f"iteration {i}: log-likelihood {gmm.score(X) * len(X):.0f}", size=10)


start = dict(weights_init=[0.1, 0.1, 0.8], means_init=[[-2, -2], [10, 0], [0, 10]])
gmm = GaussianMixtureEM(3, **start, precisions_init=[np.eye(2)] * 3, warm_start=True)
gmm.set_params(max_iter=0, tol=0, reg_covar=0, acceleration=None)  # plain EM
folder = Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parent / "output"
folder.mkdir(parents=True, exist_ok=True)
fig, panels = plt.subplots(3, 4, figsize=(11, 8.8), layout="constrained")
movie, screen = plt.subplots(figsize=(5, 5), layout="constrained")
writer = PillowWriter(fps=2)
np.set_printoptions(precision=4, suppress=True)
warnings.simplefilter("ignore")  # one iteration at a time does not converge
with writer.saving(movie, folder / "three_components.gif", dpi=80):
    for i in range(SHOWN[-1] + 1):
        gmm.fit(X).set_params(max_iter=1)
        print(f"iteration {i}: log-likelihood {gmm.lower_bound_ * len(X):.3f}")
        print("weights", gmm.weights_, "means", gmm.means_, "covariances", sep="\n")
        print(*gmm.covariances_, sep="\n")
        if i in SHOWN:
            for ax in (panels.flat[SHOWN.index(i)], screen):
                draw(ax, i)
            screen.legend(loc="lower right", markerscale=4).set_visible(i > 0)
            for _ in range(5 if i == SHOWN[-1] else 1):
                writer.grab_frame()
plt.close(movie)
fig.legend(handles=ax.get_legend().legend_handles, loc="outside lower center", ncols=3)
fig.savefig(folder / "three_components.png", dpi=150)
print("Default start:", round(GaussianMixtureEM(3).fit(X).score(X) * len(X)))
