"""GaussianMixtureIC: selects the covariance model and the number of components."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from numbers import Integral
from time import perf_counter
from typing import Any, Literal, Self, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_scalar
from sklearn.utils.validation import check_is_fitted

from ._data.arrays import RowBlocks
from ._data.base import RowSource
from ._data.sources import check_blocks, refuse_blocks
from ._data.validation import check_numbers, check_rows, numbers_refused
from ._em.known_labels import memberships_of
from ._em.noise import noise_of
from ._em.problem import SINGULAR, EMProblem
from ._estep.memberships import Memberships
from ._gaussian_mixture import GaussianMixtureEM, Prior
from ._mixture_methods import MixtureMethods
from ._model.families import FAMILIES, MODELS
from ._model.validation import check_models
from ._search.candidates import (
    Candidate,
    candidates_of,
    eligible_among,
    table_of,
    too_few,
)
from ._search.search import ModelSearch
from ._summary.making import summary_of_search, with_results
from ._summary.objects import SearchSummary
from ._utils.callbacks import Stage, Stages, Tasks
from ._utils.device import follow
from ._utils.exceptions import warn_of_search
from ._utils.sklearn_private import Interval, fit_context
from ._utils.ties import TIE
from ._utils.validation import Names, check_criterion, restore_on_error
from .typing import CovarianceType, RowsLike, SelectedParams

ALL_IN_ONE_DIMENSION = ("EII", "VII")  # where the other letters mean nothing
REFERENCE_MODEL: CovarianceType = "VVV"  # whose starts serve all models
CRITERIA = ("bic", "icl", "aic")

OF_MIXTURES = "tol reg_covar max_iter random_state verbose prior noise".split()
CovarianceTypes = Literal["all"] | CovarianceType | Sequence[CovarianceType]
Criterion = Callable[[GaussianMixtureEM, NDArray, ArrayLike | None], float]


def names_of_models(wanted: CovarianceTypes, n_features: int) -> list[CovarianceType]:
    """The names of the models to compare."""
    every = list(MODELS if n_features > 1 else ALL_IN_ONE_DIMENSION)
    if isinstance(wanted, str):
        names = {"all": every}.get(wanted, [wanted])
    else:
        names = check_models(wanted)
    return cast(list[CovarianceType], names)


def _of_best(name: str) -> property:
    """A read-only attribute of a search: that of its `best_estimator_`."""
    doc = f"`{name}` of `best_estimator_`."
    return property(lambda search: getattr(search._fitted(), name), doc=doc)


class GaussianMixtureIC(MixtureMethods):
    """Gaussian mixture whose model and size are selected by an information criterion.

    Fits every covariance model with every number of components to all rows, and keeps
    the mixture with the lowest criterion. The fits share passes over the rows and their
    starts, and continue from one another, which finds higher likelihoods than separate
    fits do.

    A fitted search predicts, scores, samples, imputes and is saved like its
    `best_estimator_`. The user guide is at https://emgmm.github.io/emgmm/guide.html.

    Parameters
    ----------
    n_components : int or array-like of int, default=(1, 2, ..., 9)
        Numbers of components to compare.
    covariance_type : "all", str or list of str, default="all"
        Covariance models to compare, by their names in `GaussianMixtureEM`. "all" means
        the fourteen models of three letters; for a single feature, "EII" and "VII",
        because there the others are the same.
    criterion : {"bic", "icl", "aic"} or callable, default="bic"
        "bic" [1]_ for the distribution of the rows, "icl" for clusters, "aic" for more
        components. A function `(estimator, X, sample_weight)` returns a number for a
        fitted `GaussianMixtureEM`; lower is better.
    tol : float, default=1e-5
        As in `GaussianMixtureEM`. Lower by default, so that candidates are not ranked
        by where their fits stop.
    reg_covar : float or "scale", default="scale"
        As in `GaussianMixtureEM`.
    max_iter : int, default=1000
        Maximum number of EM iterations of a candidate's last run.
    random_state : int, RandomState instance or None, default=None
        Seed of `sample`. The search draws no random numbers.
    n_jobs : int or None, default=None
        Has no effect: all candidates share every pass over the rows, in threads if
        there are many rows, and threads share the candidates if matrices are large.
    verbose : int, default=0
        1 prints a line when the starts are found, and for each round of the search.
    prior : {"conjugate"} or dict, default=None
        As in `GaussianMixtureEM`: candidates maximise the posterior, and are compared
        by the criterion of their likelihood, as in R's mclust.
    noise : {"uniform"}, float or None, default=None
        Rows of constant density that belong to no component, as in
        `GaussianMixtureEM`; the same in all candidates.

    Attributes
    ----------
    best_estimator_ : GaussianMixtureEM
        The selected mixture, fitted to all rows.
    best_params_ : dict
        Its `n_components` and `covariance_type`, to be passed to `GaussianMixtureEM`.
    best_index_ : int
        Its index in `criterion_` and in the columns of `results_`.
    criterion_ : ndarray of shape (n_candidates,)
        The criterion of every candidate; NaN if it could not be fitted.
    results_ : dict of ndarray of shape (n_candidates,)
        A table with one row for each candidate, for `pandas.DataFrame(results_)`. Notes
        describe its columns.
    labels_ : ndarray of shape (n_samples,)
        Most probable component of each row of the training data; only if `X` is an
        array.
    n_iter_ : int
        Number of EM iterations of the last run of the selected mixture.
    mixture_ : Mixture
        The selected mixture as a distribution.
    weights_, means_, covariances_, precisions_, precisions_cholesky_ : ndarray
        Parameters of the selected mixture, as in `GaussianMixtureEM`.
    converged_, lower_bound_, lower_bounds_, lower_bounds_of_starts_, n_samples_seen_,
    noise_weight_, noise_box_
        Of the selected mixture, as in `GaussianMixtureEM`.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if `X` has names and all are strings.

    See Also
    --------
    GaussianMixtureEM : One model, with one number of components.
    CriterionDisplay : Plot of the criterion by number of components and model.

    Notes
    -----
    Columns of `results_` are "covariance_type", "n_components", "log_likelihood" (of
    all rows, in nats), "n_parameters", "bic", "icl", "aic", "converged", "n_iter",
    "time" (the share of the seconds of the search that candidates have by their
    components times iterations, as all are fitted together), "failure" and "eligible".

    "failure" says why there is no fit, or why the fit is in doubt, and is empty
    otherwise. A fit is in doubt if a component is degenerate or has fewer rows than its
    covariance needs: a few rows that happen to lie close together have a high
    likelihood, whatever the distribution [2]_. It is eligible only if no other is.

    The first of several candidates with equal criteria is selected. Information
    criteria are computed on the rows of the fit and need no cross-validation; for the
    likelihood of held-out rows, use `GridSearchCV` with `GaussianMixtureEM`.

    If there are many rows, candidates are compared on a sample, which is always the
    same, and each is then fitted to all rows once. A later
    `clone(best_estimator_).fit(X)` uses a start of its own, and may end at a lower
    maximum of the likelihood.

    References
    ----------
    .. [1] C. Fraley and A. E. Raftery, "Model-based clustering, discriminant analysis,
       and density estimation", JASA 97 (2002), 611-631.
       doi:10.1198/016214502760047131
    .. [2] G. McLachlan and D. Peel, "Finite Mixture Models" (2000), chapter 3, on
       spurious local maximizers. doi:10.1002/0471721182

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from emgmm import GaussianMixtureIC
    >>> search = GaussianMixtureIC(n_components=[1, 2, 3]).fit(load_iris().data)
    >>> search.best_params_
    {'n_components': 2, 'covariance_type': 'VEV'}
    >>> round(float(search.criterion_[search.best_index_]), 1)
    561.7
    """

    __module__ = "emgmm"

    _parameter_constraints = {
        "n_components": [Interval(Integral, 1, None, closed="left"), "array-like"],
        "covariance_type": [Names(["all", *FAMILIES]), "array-like"],
        "criterion": [Names(CRITERIA), callable],
        **{
            name: GaussianMixtureEM._parameter_constraints[name] for name in OF_MIXTURES
        },
        "n_jobs": [Integral, None],
    }

    prior: Prior | None = None  # of searches that earlier versions have pickled
    noise: float | Literal["uniform"] | None = None

    weights_ = _of_best("weights_")
    means_ = _of_best("means_")
    covariances_ = _of_best("covariances_")
    precisions_ = _of_best("precisions_")
    precisions_cholesky_ = _of_best("precisions_cholesky_")
    converged_ = _of_best("converged_")
    lower_bound_ = _of_best("lower_bound_")
    lower_bounds_ = _of_best("lower_bounds_")
    lower_bounds_of_starts_ = _of_best("lower_bounds_of_starts_")
    n_samples_seen_ = _of_best("n_samples_seen_")
    noise_weight_ = _of_best("noise_weight_")
    noise_box_ = _of_best("noise_box_")

    def __init__(
        self,
        n_components: int | ArrayLike = (1, 2, 3, 4, 5, 6, 7, 8, 9),
        *,
        covariance_type: CovarianceTypes = "all",
        criterion: Literal["bic", "icl", "aic"] | Criterion = "bic",
        tol: float = 1e-5,
        reg_covar: float | Literal["scale"] = "scale",
        max_iter: int = 1000,
        random_state: int | np.random.RandomState | None = None,
        n_jobs: int | None = None,
        verbose: int = 0,
        prior: Prior | None = None,
        noise: float | Literal["uniform"] | None = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.criterion = criterion
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.prior = prior
        self.noise = noise

    def fit(
        self,
        X: RowsLike,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        known_labels: ArrayLike | None = None,
    ) -> Self:
        """Fit every candidate, and keep the one with the lowest criterion.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or iterable of such
            The rows, at least two; NaN is a missing value. Rows that are not in memory
            are an iterable of blocks, a function that returns one, or a Dask
            collection, as in `GaussianMixtureEM.fit`; or an array on a device. Every
            iteration is one pass over the rows for all candidates. A function as
            `criterion` needs an array in memory.
        y : Ignored
            Present by convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row; a weight of 2 means that the row occurs twice. Criteria
            take the sum of the weights as the number of rows. Must be None if `X` is an
            iterable of blocks.
        known_labels : array-like of shape (n_samples,) or (n_samples, n_known), \
                default=None
            What is known of the components of rows, as in `GaussianMixtureEM.fit`. Of
            candidates with more components than are named, rows of which something is
            known do not belong to the others. Candidates with fewer are not fitted.

        Returns
        -------
        GaussianMixtureIC
            The estimator itself.

        Raises
        ------
        ValueError
            If `X`, `sample_weight` or a parameter is invalid, or if no candidate can be
            fitted.

        Warns
        -----
        DegenerateComponentWarning
            If no candidate is eligible, so that the best of the others is selected; or
            if `X` has no variance in some direction, so that models with full matrices
            are not eligible.
        ConvergenceWarning
            If the selected candidate did not converge.

        Examples
        --------
        >>> from emgmm import GaussianMixtureIC
        >>> X = [[0.0], [1.0], [2.0], [20.0], [21.0], [22.0]]
        >>> GaussianMixtureIC(n_components=[1, 2]).fit(X).labels_
        array([0, 0, 0, 1, 1, 1])
        """
        return self._fit(X, y, sample_weight, known_labels)

    def summary(  # type: ignore[override]
        self,
        X: RowsLike | None = None,
        sample_weight: ArrayLike | None = None,
        top: int = 5,
    ) -> SearchSummary:
        """Summary of the search: the best candidates, and the selected mixture.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or iterable of such, \
                default=None
            The rows that the selected mixture is described for, as in
            `GaussianMixtureEM.summary`. None: those of the fit, without uncertainties.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row.
        top : int, default=5
            Number of candidates in the table.

        Returns
        -------
        SearchSummary
            `best` is the `MixtureSummary` of the selected mixture. `str` returns text,
            `to_frame` the table of candidates, and notebooks show tables.

        Raises
        ------
        NotFittedError
            If the search is not fitted.
        ValueError
            If `top` is not an integer of 1 or more, or as in
            `GaussianMixtureEM.summary`.

        Examples
        --------
        >>> from emgmm import GaussianMixtureIC
        >>> X = [[0.0], [1.0], [2.0], [20.0], [21.0], [22.0]]
        >>> search = GaussianMixtureIC([1, 2], covariance_type="EII").fit(X)
        >>> print(str(search.summary(top=2)).partition("\\n\\n")[0])
        The best of 2 candidates by BIC (lower is better):
        model  K    BIC  difference  log-likelihood  parameters
          EII  2  30.08        0.00          -11.46           4
          EII  1  48.28       18.20          -22.35           2
        """
        check_scalar(top, "top", Integral, min_val=1)
        best = self._summary(X, sample_weight)
        best = with_results(self, best) if X is None else best
        return summary_of_search(self, best, top)

    def _fitted(self) -> GaussianMixtureEM:
        """The selected estimator; NotFittedError if there is none."""
        check_is_fitted(self)
        return self.best_estimator_

    @fit_context(prefer_skip_nested_validation=True)
    def _fit(
        self,
        X: RowsLike,
        y: Any,
        sample_weight: ArrayLike | None,
        known_labels: ArrayLike | None = None,
        report: Callable[[float], None] = lambda share: None,
    ) -> Self:
        """The search, fitted; `report` is called with the share that is done."""
        passed = {"sample_weight": sample_weight, "known_labels": known_labels}
        metadata = {name: value for name, value in passed.items() if value is not None}
        tasks = Tasks(self, X=X, y=y, metadata=metadata or None)
        tasks.begin("fit", None)
        with restore_on_error(self):
            rows = self._rows(X, sample_weight)
            known = memberships_of(known_labels, rows, None)
            began, stages = perf_counter(), Stages(self.verbose, tasks, report)
            candidates = self._candidates(rows, known, stages)
            self.results_ = table_of(candidates, rows, known, perf_counter() - began)
            self.criterion_ = self._criterion(candidates, rows, sample_weight, known)
            eligible = eligible_among(self.criterion_, candidates)
            self.results_["eligible"] = eligible
            self.best_index_ = _least(self.criterion_, eligible)
            best = candidates[self.best_index_]
            self._publish(best, rows, known)
            follow(self.best_estimator_, X)
            follow(self, X)
            tasks.end(dict)
        ineligible = f"{np.sum(~eligible)} of {len(eligible)} candidates"
        flat = any(each.flat for each in candidates)
        warn_of_search(best.doubts, flat, ineligible)
        if not best.converged:
            warnings.warn(
                f"The selected mixture ({best.name}, n_components={best.n_components}) "
                f"did not converge within max_iter={self.max_iter} iterations, so that "
                "its criterion could still fall: increase max_iter or tol.",
                ConvergenceWarning,
                stacklevel=4,
            )
        return self

    def _rows(self, X: RowsLike, sample_weight: ArrayLike | None) -> RowSource:
        """The rows of X; ValueError if a function criterion needs them as an array."""
        if isinstance(self.criterion, str):
            return check_blocks(self, X, sample_weight, reset=True)
        refuse_blocks(X, f"criterion={self.criterion!r:.60}", "a sample of the rows")
        return check_rows(self, cast(ArrayLike, X), sample_weight, reset=True)

    def _publish(
        self, best: Candidate, rows: RowSource, known: Memberships | None
    ) -> None:
        """Set the attributes of the selected mixture."""
        self.best_estimator_ = self._estimator_of(best, rows, known)
        self.best_params_ = SelectedParams(
            n_components=best.n_components, covariance_type=best.name
        )
        if hasattr(self.best_estimator_, "labels_"):
            self.labels_ = self.best_estimator_.labels_
        self.n_iter_ = self.best_estimator_.n_iter_

    def _candidates(
        self, rows: RowSource, known: Memberships | None, stage: Stage
    ) -> list[Candidate]:
        """Every model with every number of components, fitted if rows allow it."""
        numbers = check_numbers(self.n_components)
        refused = too_few(numbers, known) | numbers_refused(numbers, rows)
        possible = [
            n_components for n_components in numbers if n_components not in refused
        ]
        if not possible:
            raise ValueError(refused[min(numbers)])
        n_features = rows.summary.n_features
        names = names_of_models(self.covariance_type, n_features)
        *problems, reference = self._problems([*names, REFERENCE_MODEL], rows, known)
        best = ModelSearch(problems, reference, stage).best(possible)
        fitted = {
            (candidate.name, candidate.n_components): candidate
            for part in best.parts
            for candidate in candidates_of(part, problems, names)
        }
        failures = dict.fromkeys(numbers, SINGULAR) | refused
        return [
            fitted.get((name, size))
            or Candidate(name, size, each.n_parameters(size), doubts=(failures[size],))
            for size in numbers
            for name, each in zip(names, problems, strict=True)
        ]

    def _problems(
        self, names: list[CovarianceType], rows: RowSource, known: Memberships | None
    ) -> list[EMProblem]:
        """The problems of models of such names."""
        views = {flag: rows.in_units(flag) for flag in (True, False)}
        noise = {
            flag: noise_of(view, self.noise, units)
            for flag, (view, units) in views.items()
        }

        def problem(name: CovarianceType) -> EMProblem:
            flag = FAMILIES[name].scale_equivariant
            made = self._unfitted(name)._problem_in_units(*views[flag], noise[flag])
            fixed = known is not None
            return replace(made, memberships=known, order_is_fixed=fixed)

        return [problem(name) for name in names]

    def _unfitted(
        self, name: CovarianceType, n_components: int = 1
    ) -> GaussianMixtureEM:
        """An estimator of the model, with the parameters of the search."""
        return GaussianMixtureEM(
            n_components,
            covariance_type=name,
            tol=self.tol,
            reg_covar=self.reg_covar,
            max_iter=self.max_iter,
            random_state=self.random_state,
            prior=self.prior,
            noise=self.noise,
        )

    def _estimator_of(
        self,
        candidate: Candidate,
        rows: RowSource,
        known: Memberships | None,
    ) -> GaussianMixtureEM:
        """A fitted estimator of the candidate."""
        gmm = self._unfitted(candidate.name, candidate.n_components)
        gmm.n_features_in_ = self.n_features_in_
        if hasattr(self, "feature_names_in_"):
            gmm.feature_names_in_ = self.feature_names_in_
        if candidate.result is not None:
            gmm._publish(candidate.result, rows, known)
        return gmm

    def _criterion(
        self,
        candidates: list[Candidate],
        rows: RowSource,
        sample_weight: ArrayLike | None,
        known: Memberships | None,
    ) -> NDArray:
        """The criterion of every candidate; NaN if it could not be fitted."""
        if isinstance(self.criterion, str):
            return self.results_[self.criterion].copy()
        values, failure = np.full(len(candidates), np.nan), None
        rows = cast(RowBlocks, rows)
        for i, candidate in enumerate(candidates):
            if candidate.result is not None:
                gmm = self._estimator_of(candidate, rows, known)
                try:
                    X = rows.to_input_order(rows.X)
                    values[i] = self.criterion(gmm, X, sample_weight)
                except Exception as error:  # a failed candidate stops no search
                    self.results_["failure"][i] = f"criterion failed: {error!r}"
                    failure = error
        check_criterion(self.criterion, values, failure)
        return values


def _least(values: NDArray, eligible: NDArray) -> int:
    """The index of the lowest criterion; of several that are equal, the first."""
    least = values[eligible].min()
    equal = values <= least + TIE * abs(least)
    return int(np.flatnonzero(eligible & equal)[0])
