"""What a fitted search offers: the methods and attributes of the mixture selected."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from sklearn.utils.validation import check_is_fitted

from ._gaussian_mixture import GaussianMixtureEM
from ._mixture import Mixture

P = ParamSpec("P")
R = TypeVar("R")


def _of_best(
    method: Callable[Concatenate[GaussianMixtureEM, P], R],
) -> Callable[Concatenate[Selected, P], R]:
    """A method of the mixture selected, as one of the search."""

    @wraps(method)
    def of_best(self: Selected, /, *args: P.args, **kwargs: P.kwargs) -> R:
        result: R = getattr(self._best(), method.__name__)(*args, **kwargs)
        return result

    return of_best


def _attribute_of_best(name: str) -> property:
    """An attribute of the mixture selected, as one of the search."""
    doc = f"`{name}` of `best_estimator_`."
    return property(lambda self: getattr(self._best(), name), doc=doc)


class Selected:
    """The part of a search that asks its `best_estimator_`."""

    best_estimator_: GaussianMixtureEM

    predict = _of_best(GaussianMixtureEM.predict)
    predict_proba = _of_best(GaussianMixtureEM.predict_proba)
    score_samples = _of_best(GaussianMixtureEM.score_samples)
    score = _of_best(GaussianMixtureEM.score)
    bic = _of_best(GaussianMixtureEM.bic)
    aic = _of_best(GaussianMixtureEM.aic)
    icl = _of_best(GaussianMixtureEM.icl)
    sample = _of_best(GaussianMixtureEM.sample)
    impute = _of_best(GaussianMixtureEM.impute)
    conditional_mean = _of_best(GaussianMixtureEM.conditional_mean)
    save = _of_best(GaussianMixtureEM.save)

    weights_ = _attribute_of_best("weights_")
    means_ = _attribute_of_best("means_")
    covariances_ = _attribute_of_best("covariances_")
    precisions_ = _attribute_of_best("precisions_")
    precisions_cholesky_ = _attribute_of_best("precisions_cholesky_")
    converged_ = _attribute_of_best("converged_")
    lower_bound_ = _attribute_of_best("lower_bound_")
    lower_bounds_ = _attribute_of_best("lower_bounds_")
    lower_bounds_of_starts_ = _attribute_of_best("lower_bounds_of_starts_")
    n_samples_seen_ = _attribute_of_best("n_samples_seen_")

    @property
    def mixture_(self) -> Mixture:
        """The mixture selected as a distribution, a `Mixture`; see there."""
        return self._best().mixture_

    def _best(self) -> GaussianMixtureEM:
        """The mixture selected; NotFittedError if there is none."""
        check_is_fitted(self)
        return self.best_estimator_
