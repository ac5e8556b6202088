"""A mixture that drifts, batch by batch
=====================================

The means of two clusters move while batches of 200 rows arrive one after the other.
With a number as `step`, old rows are forgotten and the means follow. By default all
rows count equally, as they should if the mixture does not change; here its means lag
behind.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from emgmm import GaussianMixtureEM

N_BATCHES, SIZE = 200, 200
rng = np.random.default_rng(0)
time = np.arange(N_BATCHES)
truth = np.column_stack([np.sin(time / 30), 4 + time / 60 - np.sin(time / 30)])
streams = {
    "step=0.1": GaussianMixtureEM(2, step=0.1),
    'step="decreasing"': GaussianMixtureEM(2),
}
means = {name: np.empty((N_BATCHES, 2)) for name in streams}

fig, axes = plt.subplots(figsize=(8, 4), layout="constrained")
for t in time:
    rows = rng.normal(truth[t, rng.integers(2, size=SIZE)], 0.6)
    axes.scatter(np.full(SIZE // 4, t), rows[::4], s=1, color="0.8")
    for name, gmm in streams.items():
        gmm.partial_fit(rows[:, None])
        means[name][t] = np.sort(gmm.means_.ravel())
axes.plot(time, truth, "k--", lw=1, label=["means of the clusters", None])
for name, color in zip(streams, ["#0072B2", "#D55E00"], strict=True):
    axes.plot(time, means[name], color=color, lw=2, label=[name, None])
    error = np.abs(means[name] - truth)[50:].mean()
    print(f"{name}: means are off by {error:.2f} on average after batch 50")
axes.set(xlabel="batch", ylabel="feature", title="Two clusters that drift")
axes.legend(loc="upper left", frameon=False)
folder = Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parent / "output"
folder.mkdir(parents=True, exist_ok=True)
fig.savefig(folder / "stream.png", dpi=150)
