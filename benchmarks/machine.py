"""The machine: what it is, how fast numpy is on it, and the memory of a process."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

from .peers import PEERS, version_of

SELF = Path("/proc/self")
DISTRIBUTIONS = (
    *("emgmm", "numpy", "scipy", "scikit-learn", "threadpoolctl", "joblib"),
    "distributed",
)


def description():
    """Machine and versions, as every file of results has them."""
    required = [name for peer in PEERS for name in peer.requires]
    names = sorted({*DISTRIBUTIONS, *required})
    return {
        "machine": {
            "processor": processor(),
            "cpus": usable_cpus(),
            "system": f"{platform.system()} {platform.machine()}",
            "blas": blas(),
        },
        "versions": {
            "python": platform.python_version(),
            **{name: version_of(name) for name in names},
        },
        "notes": {peer.name: peer.note for peer in PEERS if peer.note},
    }


def processor():
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":")[1].strip() for line in lines if "model name" in line]
    return names[0] if names else platform.machine()


def usable_cpus():
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def blas():
    """Libraries of linear algebra, without where they lie."""
    import numpy  # noqa: F401  (loads its BLAS, so that it is seen)
    from threadpoolctl import threadpool_info

    keys = ("internal_api", "version", "architecture", "num_threads")
    return [
        {key: info.get(key) for key in keys}
        for info in threadpool_info()
        if info["user_api"] == "blas"
    ]


def best_of(function, repeats):
    """The least time of a call, in seconds."""
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        function()
        times.append(time.perf_counter() - began)
    return min(times)


def rates():
    """Seconds of a multiply-add, an exponential and a logarithm on one thread."""
    import numpy as np
    from threadpoolctl import threadpool_limits

    size, length = 1000, 4000
    A = np.random.default_rng(0).random((size, size))
    product, x = np.empty_like(A), np.linspace(-20, 0, length)
    positive, out = -x + 0.5, np.empty(length)
    with threadpool_limits(1):
        matmul = best_of(lambda: np.matmul(A, A, out=product), 7) / size**3
    exp = best_of(lambda: np.exp(x, out=out), 500) / length
    log = best_of(lambda: np.log(positive, out=out), 500) / length
    return {"multiply_add": matmul, "exp": exp, "log": log}


def limit(one):
    """What an iteration would take if only its arithmetic did, at numpy's rates."""
    threads = max([library["num_threads"] for library in blas()], default=1)
    n, d, K = one["n"], one["d"], one["K"]
    multiply_adds = {
        "full": n * K * d * (d + 1),
        "tied": n * (d * d + 2 * K * d),
        "diag": n * K * 4 * d,
        "spherical": n * K * 4 * d,
    }[one["model"]]
    rate = rates()
    seconds = multiply_adds * rate["multiply_add"] + n * K * rate["exp"]
    seconds += n * rate["log"]
    return {"seconds": seconds / threads, "threads": threads, **rate}


def status(field):
    """A number of /proc/self/status; None where there is none."""
    try:
        lines = (SELF / "status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(ln.split()[1]) for ln in lines if ln.startswith(field)), None)


def peak_added(function):
    """What the function returns, and the megabytes by which memory rose meanwhile.

    The kernel's high-water mark is reset first; None where that cannot be.
    """
    try:
        (SELF / "clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return function(), None
    before = status("VmRSS")
    result = function()
    return result, (status("VmHWM") - before) / 1024
