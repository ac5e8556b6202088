"""Gaussian mixtures by expectation-maximisation, for people who use scikit-learn.

GaussianMixtureEM               fits a mixture to rows, by EM
GaussianMixtureIC               selects the model and the number of components
GaussianMixtureClassifier       a mixture for each class, and Bayes' rule
GaussianMixtureOutlierDetector  finds rows that are improbable under a mixture
Mixture                         a mixture as a distribution, fitted or from parameters
MixtureDisplay                  plots of a mixture
ConvergenceDisplay              plots of the iterations of EM
CriterionDisplay                plots of the criterion of a search
BootstrapDisplay                plots of what a bootstrap finds
LikelihoodRatioDisplay          plots of tests of the number of components
bootstrap                       standard errors and intervals of parameters
BootstrapResult                 what it returns
likelihood_ratio_test           tests of the number of components
LikelihoodRatioResult           what it returns
MixtureSummary                  what `summary` returns of a mixture
SearchSummary                   what `summary` returns of a search
merge_components                merges components into clusters
MergedComponents                clusters that it makes, from many to one
MergingDisplay                  plots of them
DegenerateComponentWarning      the warning of components that may be due to chance
show_versions                   prints versions, for reports of bugs
emgmm.datasets                  data for examples
emgmm.typing                    types for annotations

Both estimators have the methods of `sklearn.mixture.GaussianMixture`, and more;
`help(emgmm.GaussianMixtureEM)` describes them. There is a command for CSV files:
`emgmm --help`, or `python -m emgmm --help`.

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
    from ._after.bootstrap import bootstrap
    from ._after.bootstrap_result import BootstrapResult
    from ._after.likelihood_ratio import likelihood_ratio_test
    from ._after.likelihood_ratio_result import LikelihoodRatioResult
    from ._after.merging import MergedComponents, merge_components
    from ._classifier import GaussianMixtureClassifier
    from ._gaussian_mixture import GaussianMixtureEM
    from ._mixture import Mixture
    from ._model_selection import GaussianMixtureIC
    from ._outliers import GaussianMixtureOutlierDetector
    from ._plotting.fit_displays import ConvergenceDisplay, CriterionDisplay
    from ._plotting.merging_display import MergingDisplay
    from ._plotting.mixture_display import MixtureDisplay
    from ._plotting.resampling_displays import BootstrapDisplay, LikelihoodRatioDisplay
    from ._show_versions import show_versions
    from ._summary.objects import MixtureSummary, SearchSummary
    from ._utils.exceptions import DegenerateComponentWarning

__all__ = [
    "BootstrapDisplay",
    "BootstrapResult",
    "ConvergenceDisplay",
    "CriterionDisplay",
    "DegenerateComponentWarning",
    "GaussianMixtureClassifier",
    "GaussianMixtureEM",
    "GaussianMixtureIC",
    "GaussianMixtureOutlierDetector",
    "LikelihoodRatioDisplay",
    "LikelihoodRatioResult",
    "MergedComponents",
    "MergingDisplay",
    "Mixture",
    "MixtureDisplay",
    "MixtureSummary",
    "SearchSummary",
    "bootstrap",
    "likelihood_ratio_test",
    "merge_components",
    "show_versions",
]
_MODULES = ("datasets", "typing")
# Imported on first use: errors of the command do not wait for scikit-learn, and fits do
# not wait for matplotlib.
_LATER = {
    "BootstrapDisplay": "._plotting.resampling_displays",
    "BootstrapResult": "._after.bootstrap_result",
    "bootstrap": "._after.bootstrap",
    "likelihood_ratio_test": "._after.likelihood_ratio",
    "ConvergenceDisplay": "._plotting.fit_displays",
    "CriterionDisplay": "._plotting.fit_displays",
    "DegenerateComponentWarning": "._utils.exceptions",
    "GaussianMixtureClassifier": "._classifier",
    "GaussianMixtureEM": "._gaussian_mixture",
    "GaussianMixtureIC": "._model_selection",
    "GaussianMixtureOutlierDetector": "._outliers",
    "LikelihoodRatioDisplay": "._plotting.resampling_displays",
    "LikelihoodRatioResult": "._after.likelihood_ratio_result",
    "MergedComponents": "._after.merging",
    "MergingDisplay": "._plotting.merging_display",
    "Mixture": "._mixture",
    "MixtureDisplay": "._plotting.mixture_display",
    "MixtureSummary": "._summary.objects",
    "SearchSummary": "._summary.objects",
    "merge_components": "._after.merging",
    "show_versions": "._show_versions",
}
# Where pickles of version 0.1 look for the estimators.
for _old_name in ("_estimator", "_selection"):
    sys.modules[f"{__name__}.{_old_name}"] = sys.modules[__name__]


def __getattr__(name: str) -> Any:
    """A public class or function from its module, or a public module."""
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value = getattr(import_module(_LATER[name], __name__), name)
    return value


def __dir__() -> list[str]:
    """The public names, imported or not."""
    return sorted([*__all__, *_MODULES, "__version__"])
