"""The libraries: each fits a problem for a number of iterations, and returns results.

``prepare(problem, max_iter)`` does what is not timed and returns the fit, a function
without arguments; ``parameters`` turns what that returns into weights, means and
covariances. A library that is not installed, or cannot do a case, is left out of it.
"""

from __future__ import annotations

from contextlib import nullcontext
from importlib.metadata import PackageNotFoundError, version

import numpy as np

from .onedal import OneDAL

ENDLESS = -np.inf  # a tolerance that never stops
MAIN = ("emgmm", "scikit-learn", "scikit-learn, one thread")
OWN = (*MAIN, "emgmm, float32")  # timed in turn, in one process


class EMGMM:
    """This library."""

    name, requires = "emgmm", ("emgmm",)
    models = ("full", "tied", "diag", "spherical")
    dtype, threads, note = "float64", None, ""
    acceleration = None  # where iterations are compared; times to a likelihood have it

    def estimator(self, problem, max_iter):
        from emgmm import GaussianMixtureEM

        settings = {**start_of(problem), "acceleration": self.acceleration}
        return GaussianMixtureEM(**settings, max_iter=max_iter)

    def prepare(self, problem, max_iter):
        estimator, X = self.estimator(problem, max_iter), rows(problem, self.dtype)
        return lambda: estimator.fit(X)

    def parameters(self, fitted):
        return fitted.weights_, fitted.means_, fitted.covariances_


class EMGMMFloat32(EMGMM):
    name, dtype = "emgmm, float32", "float32"
    note = "parameters of the start and sums in float64"


class ScikitLearn(EMGMM):
    name, requires = "scikit-learn", ("scikit-learn",)

    def estimator(self, problem, max_iter):
        from sklearn.mixture import GaussianMixture

        return GaussianMixture(**start_of(problem), max_iter=max_iter)


class ScikitLearnOneThread(ScikitLearn):
    name, threads = "scikit-learn, one thread", 1
    note = "BLAS and OpenMP limited to one thread"


class Pomegranate:
    """PyTorch; it has no `reg_covar`."""

    name, requires = "pomegranate", ("pomegranate", "torch")
    models, dtype, threads = ("full", "diag"), "float64", None
    note = "no common covariance; no start for spheres; nothing added to variances"

    def prepare(self, problem, max_iter):
        import torch
        from pomegranate.distributions import Normal
        from pomegranate.gmm import GeneralMixtureModel

        torch.set_default_dtype(torch.float64)  # its buffers are of the default
        components = [
            Normal(mean.copy(), covariance, covariance_type=problem.model)
            for mean, covariance in zip(problem.means, problem.covariances, strict=True)
        ]
        model = GeneralMixtureModel(
            components, priors=problem.weights, max_iter=max_iter, tol=ENDLESS
        )
        X = torch.from_numpy(problem.X)
        return lambda: model.fit(X)

    def parameters(self, fitted):
        components = fitted.distributions
        return (
            fitted.priors.numpy(),
            np.array([component.means.numpy() for component in components]),
            np.array([component.covs.numpy() for component in components]),
        )


class Gmmx:
    """JAX; it refuses arrays of float64."""

    name, requires = "gmmx", ("gmmx", "jax")
    models, dtype, threads = ("full", "diag"), "float32", None
    note = "float32 only; compiled before it is timed"

    def __init__(self):
        self._compiled = {}

    def prepare(self, problem, max_iter):
        import jax
        from gmmx import EMFitter, GaussianMixtureModelJax

        start = GaussianMixtureModelJax.from_squeezed(
            means=problem.means.astype("float32"),
            covariances=problem.covariances.astype("float32"),
            weights=problem.weights.astype("float32"),
            covariance_type=problem.model,
        )
        arguments = EMFitter(max_iter=max_iter, tol=0.0), problem.float32, start
        key = problem.X.shape, problem.n_components, problem.model, max_iter
        if key not in self._compiled:
            self._compiled[key] = EMFitter.fit.lower(*arguments).compile()
        fit = self._compiled[key]
        return lambda: jax.block_until_ready(fit(*arguments))

    def parameters(self, fitted):
        mixture = fitted.gmm
        covariances = mixture.covariances.values_numpy
        return mixture.weights_numpy, mixture.means_numpy, covariances


class Mlpack:
    """C++; its Python function makes its own start."""

    name, requires = "mlpack", ("mlpack",)
    models, dtype, threads = ("full",), "float64", None
    note = "starts from its own k-means: it has no way to be given a start"
    own_start = True

    def prepare(self, problem, max_iter):
        from mlpack import gmm_train

        def fit():  # its count begins at one, before the first iteration
            return gmm_train(
                gaussians=problem.n_components,
                input_=problem.X,
                max_iterations=max_iter + 1,
                tolerance=0.0,
                kmeans_max_iterations=1,
                seed=1,
            )

        return fit

    def parameters(self, fitted):
        mixture = fitted["output_model"].get_cpp_params()["GMM"]
        components = mixture["dists"]
        return (
            np.ravel(mixture["weights"]),
            np.array([np.ravel(component["mean"]) for component in components]),
            np.array([component["covariance"] for component in components]),
        )


PEERS = [
    peer()
    for peer in (
        EMGMM,
        ScikitLearn,
        ScikitLearnOneThread,
        EMGMMFloat32,
        Pomegranate,
        Gmmx,
        Mlpack,
        OneDAL,
    )
]


def start_of(problem):
    """Arguments that the two libraries of one interface share."""
    return {
        "n_components": problem.n_components,
        "covariance_type": problem.model,
        "weights_init": problem.weights,
        "means_init": problem.means,
        "precisions_init": problem.covariances,
        "tol": 0.0,
        "reg_covar": 1e-6,
    }


def rows(problem, dtype):
    return problem.float32 if dtype == "float32" else problem.X


def version_of(distribution):
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "absent"


def is_installed(peer):
    elsewhere = getattr(peer, "is_installed", lambda: True)
    return "absent" not in map(version_of, peer.requires) and elsewhere()


def peers_for(one, names=None):
    """The installed libraries that fit the case's model, those named alone."""
    names = names or one.get("libraries", OWN)
    return [
        peer
        for peer in PEERS
        if peer.name in names and is_installed(peer) and one["model"] in peer.models
    ]


def others_for(one):
    """Installed libraries of other kinds for a case, each timed in its own process.

    Their threads then disturb nobody, and one that hangs is stopped alone.
    """
    same_start = one["group"] == "quality"
    return [
        peer.name
        for peer in PEERS
        if peer.name not in OWN
        and is_installed(peer)
        and one["model"] in peer.models
        and not (same_start and getattr(peer, "own_start", False))
    ]


def thread_limit(peer):
    from threadpoolctl import threadpool_limits

    return threadpool_limits(peer.threads) if peer.threads else nullcontext()


def mean_log_likelihood(peer, fitted, problem):
    """Of a row, in nats: by one function, for the parameters of every library."""
    from emgmm import GaussianMixtureEM

    parameters = [np.asarray(value, float) for value in peer.parameters(fitted)]
    weights, means, covariances = parameters
    if problem.model in ("full", "tied"):  # sums of float32 leave them unsymmetric
        covariances = (covariances + np.swapaxes(covariances, -1, -2)) / 2
    gmm = GaussianMixtureEM.from_parameters(
        weights / weights.sum(), means, covariances, problem.model
    )
    return float(gmm.score(problem.X))
