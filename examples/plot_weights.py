"""Weights: a histogram is enough to fit a mixture
===============================================

A weight of 2 means that a row occurs twice. A million values, counted in bins, become a
few dozen bin centres with counts as `sample_weight`: the fit takes a fraction of the
time and gives the same answer, except for the rounding. Bins of width h add h^2 / 12 to
variances (Sheppard's correction), if h is less than about a standard deviation.
"""

import sys
from pathlib import Path
from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np

from emgmm import GaussianMixtureEM, MixtureDisplay

source = np.repeat([[0, 3, 7], [1, 0.7, 1.4]], [500_000, 300_000, 200_000], axis=1)
values = np.random.RandomState(0).normal(*source)[:, None]


def fit(X, counts=None):
    """Three components in the order of their means, and the seconds of the fit."""
    start, gmm = perf_counter(), GaussianMixtureEM(3, covariance_type="VII", tol=1e-6)
    gmm.fit(X, sample_weight=counts)
    order = gmm.means_[:, 0].argsort()
    return gmm, gmm.means_[order, 0], gmm.covariances_[order], perf_counter() - start


def binned(X, width):
    """Centres of the bins that contain values, and the number of values in each."""
    centres, counts = np.unique(np.round(X / width), return_counts=True)
    return centres[:, None] * width, counts


few, counts = binned(values[::1000], 0.5)
gap = abs(fit(few, counts)[1] - fit(np.repeat(few, counts, axis=0))[1]).max()
print(f"weights or repeated rows: means differ by {gap:.0e}")
_, means, variances, seconds = fit(values)
widths = np.linspace(0.1, 1.0, 10)
fits = [fit(*binned(values, width)) for width in widths]
added = np.array([fitted[2] - variances for fitted in fits])
excess = abs(added - widths[:, None] ** 2 / 12).max()
X, counts = binned(values, widths[4])
print(f"{len(values)} values {seconds:.3f} s, {len(X)} bins {fits[4][3]:.3f} s")
print(f"means differ by {abs(fits[4][1] - means).max():.4f}")
print(f"variances grow by h^2 / 12, but for {excess:.4f} at most")

fig, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
MixtureDisplay.from_estimator(fits[4][0], X, sample_weight=counts, ax=axes[0])
axes[0].set(title=f"{len(X)} bins suffice for {len(values)} values", xlabel="value")
axes[1].set_prop_cycle(color=["#0072B2", "#E69F00", "#882255"])
for growth, mean, marker in zip(added.T, (0, 3, 7), "os^", strict=True):
    axes[1].plot(widths, growth, marker, label=f"component with mean {mean}")
axes[1].plot(widths, widths**2 / 12, "k--", label="$h^2/12$")
axes[1].set(xlabel="width $h$ of the bins", ylabel="variance that bins add")
axes[1].legend()
folder = Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parent / "output"
folder.mkdir(parents=True, exist_ok=True)
fig.savefig(folder / "weights.png", dpi=150)
