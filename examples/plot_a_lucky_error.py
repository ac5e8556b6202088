"""An error that led out of a bad start
====================================

The script behind :doc:`plot_three_components` computes ``dat - m`` in R for a matrix
and a vector of two means. R recycles the vector down the columns: odd rows lose the
first mean, even rows the second. Unless both means of a component are equal, as at the
maximum for these data, its covariance is too wide. Wide components reach clusters that
exact EM, from the same start, does not find for 200 iterations. But such steps can also
lower the likelihood, and need not end at a maximum: the script needed a better start.
"""

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

from emgmm import GaussianMixtureEM
from emgmm.datasets import make_three_components

X, _ = make_three_components(n_samples=10000, random_state=42)


def climb(step, n_iter=50):
    """Log-likelihoods from the bad start, with deviations from means by ``step``."""
    weights, covariances = np.array([0.1, 0.1, 0.8]), np.tile(np.eye(2), (3, 1, 1))
    means = np.array([[-2.0, -2.0], [10.0, 0.0], [0.0, 10.0]])
    log_likelihoods = []
    for _ in range(n_iter + 1):
        gmm = GaussianMixtureEM.from_parameters(weights, means, covariances)
        log_likelihoods.append(gmm.score(X) * len(X))
        responsibilities = gmm.predict_proba(X)
        counts = responsibilities.sum(axis=0)
        weights, means = counts / len(X), responsibilities.T @ X / counts[:, None]
        deviations = [step(mean) for mean in means]
        covariances = [
            (r[:, None] * deviation).T @ deviation / count
            for r, deviation, count in zip(
                responsibilities.T, deviations, counts, strict=True
            )
        ]
    return log_likelihoods


exact = climb(lambda mean: X - mean)
lucky = climb(lambda mean: X - np.resize(mean, len(X))[:, None])
default = GaussianMixtureEM(3).fit(X).lower_bound_ * len(X)
ends = f"with the error {lucky[-1]:.0f}, default {default:.0f}"
print(f"exact EM {exact[-1]:.0f}, {ends}")

fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.plot(exact, "-", color="#0072B2", label="exact EM from the bad start")
ax.plot(lucky, "--", color="#D55E00", label="the script's error, same start")
ax.axhline(default, ls=":", color="0.2", label="EM from the default start")
ax.set(xlabel="iteration", ylabel="log-likelihood", ylim=(-41000, -37000))
ax.set_title("An error leads out of a bad start")
ax.legend()
folder = Path(sys.argv[1]) if sys.argv[1:] else Path(__file__).parent / "output"
folder.mkdir(parents=True, exist_ok=True)
fig.savefig(folder / "a_lucky_error.png", dpi=150)
