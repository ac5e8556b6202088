"""Libraries whose rows are on a device, each as in `peers`, and what a device can do.

A fit ends when the device has done its work, so that its seconds are those of the work.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .cases import Problem
from .clock import message_of
from .machine import best_of, peak_added
from .peers import EMGMM, ENDLESS, Pomegranate, ScikitLearn, start_of, version_of

COPIED = {"cuda": 2**31, "mps": 2**28, "cpu": 2**28}  # bytes, of an array
SIDE = {"cuda": 8192, "mps": 4096, "cpu": 2048}  # of the matrices that are multiplied
RATE_REPEATS = 5
QUICK = 4  # times smaller


@dataclass(frozen=True, eq=False)
class DeviceProblem(Problem):
    """A problem whose rows are on a device, in a type."""

    dtype: str
    device: str

    @cached_property
    def rows(self):
        return self.float32 if self.dtype == "float32" else self.X

    @cached_property
    def tensor(self):
        import torch

        return torch.from_numpy(self.rows).to(self.device)

    def put(self, values, device=None):
        """A copy, which a library may write to."""
        import torch

        own = np.asarray(values, dtype=self.dtype)
        return torch.tensor(own, device=device or self.device)

    def waiting(self, function):
        """A function that returns when the device has done all work."""

        def run():
            result = function()
            synchronize(self.device)
            return result

        return run


def synchronize(device):
    import torch

    if device != "cpu":
        getattr(torch, device).synchronize()


def on_host(value):
    return value.detach().cpu().numpy() if hasattr(value, "detach") else value


class OnDevice:
    """A library of scikit-learn's interface, fitted to the tensor."""

    def prepare(self, problem, max_iter):
        estimator = self.estimator(problem, max_iter)
        return problem.waiting(lambda: estimator.fit(problem.tensor))

    def parameters(self, fitted):
        return tuple(map(on_host, super().parameters(fitted)))


class EMGMMOnDevice(OnDevice, EMGMM):
    requires, note = (), "acceleration=None"


class EMGMMOnHost(EMGMM):
    name, requires = "emgmm, NumPy", ()
    note = "rows of NumPy on the CPU; acceleration=None"

    def prepare(self, problem, max_iter):
        estimator = self.estimator(problem, max_iter)
        return lambda: estimator.fit(problem.rows)


class ScikitLearnOnDevice(OnDevice, ScikitLearn):
    note = "array_api_dispatch=True"

    def estimator(self, problem, max_iter):
        from sklearn.mixture import GaussianMixture

        start = start_of(problem)
        given = {name: problem.put(start[name]) for name in start if "_init" in name}
        random = {"init_params": "random_from_data", "random_state": 0}
        return GaussianMixture(**{**start, **given, **random, "max_iter": max_iter})


class TorchGMM:
    """The successor of PyCave, on PyTorch Lightning; it takes means alone to start."""

    name, requires = "torchgmm", ("torchgmm", "torch")
    models, threads, own_start = ("full", "diag"), None, True
    note = "starts from the same means, with weights and covariances of its own"

    def prepare(self, problem, max_iter):
        from torchgmm.bayes import GaussianMixture

        for name in ("lightning.pytorch", "pytorch_lightning"):
            logging.getLogger(name).setLevel(logging.ERROR)
        trainer = {
            "max_epochs": max_iter,
            "enable_progress_bar": False,
            "accelerator": {"cuda": "gpu"}.get(problem.device, problem.device),
            "devices": 1,
            "precision": 64 if problem.dtype == "float64" else "32-true",
        }
        model = GaussianMixture(
            problem.n_components,
            covariance_type=problem.model,
            init_means=problem.put(problem.means, "cpu"),
            convergence_tolerance=0.0,
            trainer_params=trainer,
        )
        return problem.waiting(lambda: model.fit(problem.tensor))

    def parameters(self, fitted):
        model = fitted.model_
        return tuple(
            map(on_host, (model.component_probs, model.means, model.covariances))
        )


class PomegranateOnDevice(Pomegranate):
    note = "nothing added to variances"

    def prepare(self, problem, max_iter):
        import torch
        from pomegranate.distributions import Normal
        from pomegranate.gmm import GeneralMixtureModel

        usual = torch.get_default_dtype()
        torch.set_default_dtype(getattr(torch, problem.dtype))  # that of its buffers
        try:
            components = [
                Normal(mean, covariance, covariance_type=problem.model)
                for mean, covariance in zip(
                    problem.put(problem.means, "cpu"),
                    problem.put(problem.covariances, "cpu"),
                    strict=True,
                )
            ]
            weights = problem.put(problem.weights, "cpu")
            model = GeneralMixtureModel(
                components, priors=weights, max_iter=max_iter, tol=ENDLESS
            ).to(problem.device)
        finally:
            torch.set_default_dtype(usual)
        return problem.waiting(lambda: model.fit(problem.tensor))

    def parameters(self, fitted):
        return super().parameters(fitted.cpu())


DEVICE_PEERS = [
    peer()
    for peer in (
        EMGMMOnDevice,
        EMGMMOnHost,
        ScikitLearnOnDevice,
        TorchGMM,
        PomegranateOnDevice,
    )
]


def missing(peer, model):
    """Why a library cannot do a case; None where it can."""
    absent = [name for name in peer.requires if version_of(name) == "absent"]
    if absent:
        return f"not installed: {', '.join(absent)}"
    return None if model in peer.models else f"has no model {model!r}"


def peak_megabytes(function, device):
    """Megabytes by which the device's memory in use rose meanwhile; None if unknown."""
    import torch

    if device == "cpu":
        return peak_added(function)[1]
    if device != "cuda":
        return None
    synchronize(device)
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    function()
    return (torch.cuda.max_memory_allocated() - before) / 2**20


def device_rates(device, quick):
    """Floating-point operations a second of a product of large matrices in each type,
    and bytes a second, read and written, of a large copy."""
    import torch

    torch.set_float32_matmul_precision("highest")  # no TF32
    operations, failed = {}, {}
    for dtype in ("float64", "float32"):
        try:
            operations[dtype] = product_rate(device, dtype, quick)
        except Exception as error:
            failed[dtype] = message_of(error)
    size = COPIED[device] // (QUICK if quick else 1)
    source = torch.zeros(size // 4, dtype=torch.float32, device=device)
    out = torch.empty_like(source)
    seconds = timed_on(device, lambda: out.copy_(source))
    return {"operations": operations, "bytes": 2 * size / seconds, "failed": failed}


def product_rate(device, dtype, quick):
    import torch

    side = SIDE[device] // (QUICK if quick else 1)
    A = torch.ones((side, side), dtype=getattr(torch, dtype), device=device)
    out = torch.empty_like(A)
    return 2 * side**3 / timed_on(device, lambda: torch.matmul(A, A, out=out))


def timed_on(device, function):
    """The least seconds of a call, the first of which is not counted."""

    def run():
        function()
        synchronize(device)

    run()
    return best_of(run, RATE_REPEATS)


def device_description(device):
    import torch

    found = {"device": device, "torch": torch.__version__}
    if device == "cuda":
        properties = torch.cuda.get_device_properties(0)
        found["name"] = properties.name
        found["gigabytes"] = properties.total_memory / 2**30
        found["cuda"] = torch.version.cuda
    else:
        found["threads"] = torch.get_num_threads()
    return found
