"""Versions of the package, of what it uses, and of the machine, for reports of bugs."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import packages_distributions, version
from typing import Any

from ._version import __version__

REQUIRED = ("numpy", "scipy", "sklearn", "threadpoolctl", "matplotlib")
BROUGHT = ("joblib", "narwhals")  # by scikit-learn
OPTIONAL = (
    *("dask", "distributed", "pandas", "polars", "pyarrow"),
    *("torch", "cupy", "dpnp", "array_api_compat", "array_api_strict", "shtab"),
)
"""Packages that extras bring, or whose rows are taken."""
OF_POOLS = (
    *("user_api", "internal_api", "version", "architecture", "threading_layer"),
    *("num_threads", "filepath"),
)


def show_versions() -> None:
    """Print the versions that a report of a bug should have.

    These are of Python, of this package, of the packages it needs and of the optional
    ones that are installed; then the libraries that start threads, as `threadpoolctl`
    finds them: for the BLAS of NumPy and SciPy its version, the processor that its
    kernels were chosen for, its threading layer and how many threads it uses.

    See Also
    --------
    sklearn.show_versions : The same for scikit-learn, with its build dependencies.

    Examples
    --------
    >>> from emgmm import show_versions
    >>> show_versions()  # doctest: +ELLIPSIS
    System:
               python: ...
    Packages:
                emgmm: ...
                numpy: ...
    Threads:
        ...
    """
    print(_section("System", _system()))
    print(_section("Packages", {"emgmm": __version__, **_packages()}))
    print("\n\n".join(_section("Threads", pool) for pool in _pools()))


show_versions.__module__ = "emgmm"


def _section(title: str, values: Mapping[str, Any]) -> str:
    """A title and a line for each value."""
    lines = [f"{name:>17}: {value}" for name, value in values.items()]
    return "\n".join([f"{title}:", *lines])


def _system() -> dict[str, Any]:
    """The interpreter and the machine."""
    usable = getattr(os, "sched_getaffinity", None)
    return {
        "python": " ".join(sys.version.split()),
        "executable": sys.executable,
        "machine": platform.platform(),
        "processors": len(usable(0)) if usable else os.cpu_count(),
    }


def _packages() -> dict[str, str]:
    """Versions by the names of distributions; of optional packages if installed."""
    return dict(_versions((*REQUIRED, *BROUGHT, *OPTIONAL)))


def _versions(modules: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The distributions that have the modules, some under several names (CuPy)."""
    distributions = packages_distributions()
    for module in modules:
        for name in sorted(set(distributions.get(module, ()))):
            yield name, version(name)


def _pools() -> list[dict[str, Any]]:
    """What is known of each library that starts threads."""
    import numpy  # noqa: F401  (these load the libraries)
    import scipy.linalg  # noqa: F401
    import sklearn.cluster  # noqa: F401
    from threadpoolctl import threadpool_info

    found = threadpool_info()
    return [{name: pool[name] for name in OF_POOLS if name in pool} for pool in found]
