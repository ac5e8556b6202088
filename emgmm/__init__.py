"""Gaussian mixtures by expectation-maximisation, for people who use scikit-learn.

GaussianMixtureEM           a mixture with so many components, fitted to rows by EM
GaussianMixtureIC           how many components, and which covariance model
Mixture                     a mixture as a distribution, fitted or made by hand
MixtureDisplay              pictures of a mixture,
ConvergenceDisplay          of how EM came to it,
CriterionDisplay            and of a search's criterion
DegenerateComponentWarning  the warning of components whose densities mean little
emgmm.datasets              rows for examples
emgmm.typing                types for annotations

The two estimators have the methods of `sklearn.mixture.GaussianMixture`, and more;
`help(emgmm.GaussianMixtureEM)` describes their parameters, attributes and methods. For
files there is a command: `emgmm --help`, or `python -m emgmm --help`.

Examples
--------
>>> from sklearn.datasets import load_iris
>>> from emgmm import GaussianMixtureEM, GaussianMixtureIC
>>> X = load_iris().data
>>> gmm = GaussianMixtureEM(n_components=3).fit(X)
>>> gmm.predict_proba(X).shape
(150, 3)
>>> GaussianMixtureIC(n_components=[1, 2, 3]).fit(X).best_params_
{'n_components': 2, 'covariance_type': 'VEV'}
"""

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ._version import __version__ as __version__

if TYPE_CHECKING:
    from . import datasets as datasets
    from . import typing as typing
    from ._gaussian_mixture import GaussianMixtureEM
    from ._mixture import Mixture
    from ._model_selection import GaussianMixtureIC
    from ._plotting.fit_displays import ConvergenceDisplay, CriterionDisplay
    from ._plotting.mixture_display import MixtureDisplay
    from ._utils.exceptions import DegenerateComponentWarning

__all__ = [
    "ConvergenceDisplay",
    "CriterionDisplay",
    "DegenerateComponentWarning",
    "GaussianMixtureEM",
    "GaussianMixtureIC",
    "Mixture",
    "MixtureDisplay",
]
_MODULES = ("datasets", "typing")
# Imported when first asked for: an error of the command need not wait for scikit-learn,
# nor a fit for matplotlib.
_LATER = {
    "ConvergenceDisplay": "._plotting.fit_displays",
    "CriterionDisplay": "._plotting.fit_displays",
    "DegenerateComponentWarning": "._utils.exceptions",
    "GaussianMixtureEM": "._gaussian_mixture",
    "GaussianMixtureIC": "._model_selection",
    "Mixture": "._mixture",
    "MixtureDisplay": "._plotting.mixture_display",
}
# Where pickles of version 0.1 look for the estimators.
for _old_name in ("_estimator", "_selection"):
    sys.modules[f"{__name__}.{_old_name}"] = sys.modules[__name__]


def __getattr__(name: str) -> Any:
    """A public name, from the module that defines it, or a public module."""
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value = getattr(import_module(_LATER[name], __name__), name)
    return value


def __dir__() -> list[str]:
    """What users may use, whether or not it is imported yet."""
    return sorted([*__all__, *_MODULES, "__version__"])
