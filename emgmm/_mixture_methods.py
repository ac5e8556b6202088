"""The methods of a fitted mixture, which both estimators inherit."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClusterMixin
from sklearn.utils import Tags, check_random_state
from sklearn.utils.validation import validate_data

from ._data.base import NO_ROWS, RowSource
from ._data.iterables import is_iterable_of_blocks, is_used_up
from ._data.sources import check_blocks, for_rows, refuse_blocks
from ._data.validation import check_map, check_X
from ._estep.conditional import Regression, conditional_moments, imputed
from ._estep.memberships import Memberships
from ._estep.predict import (
    RowwisePredictor,
    classification_score,
    log_density,
    most_probable,
    noise_probability,
    responsibilities,
    sum_over_rows,
)
from ._mixture import Mixture, make_mixture
from ._model.agreement import NOISE_WEIGHT
from ._model.parameters import Parameters
from ._model.published import N_FIXED, Published
from ._persistence import write_model
from ._summary.making import summary_of_mixture
from ._summary.objects import MixtureSummary
from ._utils.device import check_same_namespace, like
from ._utils.features import Features, split_features
from ._utils.inputs import validated
from ._utils.sklearn_private import CallbackSupportMixin
from ._utils.validation import Suggesting, check_n_samples
from .typing import RowsLike


class MixtureMethods(Suggesting, CallbackSupportMixin, ClusterMixin, BaseEstimator):
    """Base class of estimators that fit a mixture, or select one of several."""

    labels_: NDArray

    def fit_predict(
        self,
        X: RowsLike,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        known_labels: ArrayLike | None = None,
    ) -> NDArray:
        """Estimate the parameters and return the labels of the rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows, as in `fit`; NaN is a missing value.
        y : Ignored
            Present by convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row.
        known_labels : array-like of shape (n_samples,) or (n_samples, n_components), \
                default=None
            What is known of the components of rows, as in `fit`.

        Returns
        -------
        ndarray of shape (n_samples,)
            Most probable component of each row: as `predict` gives it, but for rows of
            which something is known.

        Raises
        ------
        ValueError
            As `fit` does.

        Examples
        --------
        >>> from emgmm import GaussianMixtureEM
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> GaussianMixtureEM(n_components=2).fit_predict(X)
        array([0, 0, 0, 1, 1, 1])
        """
        self._fit(X, y, sample_weight, known_labels)
        return self.labels_ if hasattr(self, "labels_") else self.predict(X)

    def predict(self, X: RowsLike) -> NDArray:
        """Most probable component of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or iterable of such
            The rows, as in `fit`; NaN is a missing value. A row is assigned by the
            values that it has.

        Returns
        -------
        ndarray of shape (n_samples,), or iterator of such
            Components, from 0 to n_components - 1, or -1 for noise. For blocks of rows,
            one array for each; for a Dask array, a Dask array.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If `X` is invalid, or has another number of features than in `fit`.

        Examples
        --------
        >>> from emgmm import GaussianMixtureEM
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> gmm = GaussianMixtureEM(n_components=2).fit(X)
        >>> gmm.predict([[1.5], [7.0]])
        array([0, 1])
        """
        predictor = RowwisePredictor(self._mixture(), most_probable, np.int64)
        return self._for_rows(X, predictor, "predict")

    def predict_proba(self, X: RowsLike) -> NDArray:
        """Probability of each component for each row (responsibilities).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or iterable of such
            The rows, as in `fit`; NaN is a missing value. A row without any value has
            the weights of the components as its probabilities.

        Returns
        -------
        ndarray of shape (n_samples, n_components), or iterator of such
            Probabilities, which sum to one in each row, or with noise to one less
            `noise_proba`. For blocks of rows, one array for each; for a Dask array, a
            Dask array.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If `X` is invalid, or has another number of features than in `fit`.

        Examples
        --------
        >>> from emgmm import GaussianMixtureEM
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> gmm = GaussianMixtureEM(n_components=2).fit(X)
        >>> gmm.predict_proba([[1.0], [5.0]]).round(3)
        array([[1. , 0. ],
               [0.5, 0.5]])
        """
        mixture = self._mixture()
        shape = mixture.weights.shape
        predictor = RowwisePredictor(mixture, responsibilities, None, shape)
        return self._for_rows(X, predictor, "predict_proba")

    def noise_proba(self, X: RowsLike) -> NDArray:
        """Probability that a row is noise, and belongs to no component.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or iterable of such
            The rows, as in `fit`; NaN is a missing value.

        Returns
        -------
        ndarray of shape (n_samples,), or iterator of such
            Probabilities; zeros of a mixture that was fitted without `noise`. For
            blocks of rows, one array for each; for a Dask array, a Dask array.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If `X` is invalid, or has another number of features than in `fit`.

        Examples
        --------
        >>> from emgmm import GaussianMixtureEM
        >>> X = [[-9.0], [0.0], [1.0], [2.0], [1.5], [0.5], [1.1], [0.9], [9.0]]
        >>> gmm = GaussianMixtureEM(n_components=1, noise="uniform").fit(X)
        >>> gmm.noise_proba(X).round()
        array([1., 0., 0., 0., 0., 0., 0., 0., 1.])
        """
        predictor = RowwisePredictor(self._mixture(), noise_probability)
        return self._for_rows(X, predictor, "noise_proba")

    def score_samples(self, X: RowsLike) -> NDArray:
        """Log-density of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or iterable of such
            The rows, as in `fit`; NaN is a missing value. The density is that of the
            values that a row has; without any, its logarithm is 0.

        Returns
        -------
        ndarray of shape (n_samples,), or iterator of such
            Logarithms of the mixture's density, in nats. For blocks of rows, one array
            for each; for a Dask array, a Dask array.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If `X` is invalid, or has another number of features than in `fit`.

        Examples
        --------
        >>> from emgmm import GaussianMixtureEM
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> gmm = GaussianMixtureEM(n_components=2).fit(X)
        >>> gmm.score_samples([[1.0], [5.0]]).round(2)
        array([ -1.41, -12.72])
        """
        predictor = RowwisePredictor(self._mixture(), log_density)
        return self._for_rows(X, predictor, "score_samples")

    def score(
        self, X: RowsLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> float:
        """Mean log-density of a row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or iterable of such
            The rows, as in `fit`; NaN is a missing value, as in `score_samples`.
        y : Ignored
            Present by convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row in the mean.

        Returns
        -------
        float
            Mean log-likelihood, in nats; higher is better.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If `X` or `sample_weight` is invalid, or `X` has another number of features
            than in `fit`.

        Examples
        --------
        >>> from emgmm import GaussianMixtureEM
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> gmm = GaussianMixtureEM(n_components=2).fit(X)
        >>> round(gmm.score(X), 2)
        -1.91
        """
        return self._mean_and_weight(X, sample_weight, "score")[0]

    def bic(self, X: RowsLike, sample_weight: ArrayLike | None = None) -> float:
        """Bayesian information criterion on the rows; lower is better.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or iterable of such
            The rows, as in `fit`; NaN is a missing value. Incomplete rows count in full
            in the number of rows.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row; their sum is taken as the number of rows.

        Returns
        -------
        float
            -2 log-likelihood + (free parameters) log(number of rows).

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If `X` or `sample_weight` is invalid, or `X` has another number of features
            than in `fit`.

        Examples
        --------
        >>> from emgmm import GaussianMixtureEM
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> gmm = GaussianMixtureEM(n_components=2).fit(X)
        >>> round(gmm.bic(X), 1)
        31.9
        """
        mean, weight = self._mean_and_weight(X, sample_weight, "bic")
        return _bayesian_criterion(mean, weight, self._n_parameters())

    def aic(self, X: RowsLike, sample_weight: ArrayLike | None = None) -> float:
        """Akaike information criterion on the rows; lower is better.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or iterable of such
            The rows, as in `fit`; NaN is a missing value, as in `score_samples`.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row; a weight of 2 means that the row occurs twice.

        Returns
        -------
        float
            -2 log-likelihood + 2 (free parameters).

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If `X` or `sample_weight` is invalid, or `X` has another number of features
            than in `fit`.

        Examples
        --------
        >>> from emgmm import GaussianMixtureEM
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> gmm = GaussianMixtureEM(n_components=2).fit(X)
        >>> round(gmm.aic(X), 1)
        32.9
        """
        mean, weight = self._mean_and_weight(X, sample_weight, "aic")
        return -2 * mean * weight + 2 * self._n_parameters()

    def icl(self, X: RowsLike, sample_weight: ArrayLike | None = None) -> float:
        """Integrated complete-data likelihood criterion; lower is better.

        BIC plus a penalty for rows that do not clearly belong to one component:
        BIC - 2 sum_i log max_k r_ik, with responsibilities r [1]_.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or iterable of such
            The rows, as in `fit`; NaN is a missing value. Incomplete rows count in full
            in the number of rows.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row; a weight of 2 means that the row occurs twice.

        Returns
        -------
        float
            The criterion. R's mclust calls minus this number ICL.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If `X` or `sample_weight` is invalid, or `X` has another number of features
            than in `fit`.

        References
        ----------
        .. [1] C. Biernacki, G. Celeux and G. Govaert, "Assessing a mixture model for
           clustering with the integrated completed likelihood", IEEE TPAMI 22
           (2000), 719-725. doi:10.1109/34.865189

        Examples
        --------
        >>> from emgmm import GaussianMixtureEM
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> gmm = GaussianMixtureEM(n_components=2).fit(X)
        >>> round(gmm.icl(X), 1)
        31.9
        """
        # log f(x) + log max_k r_k is the largest of the joint log-densities.
        score = classification_score
        mean, weight = self._mean_and_weight(X, sample_weight, "icl", score)
        return _bayesian_criterion(mean, weight, self._n_parameters())

    def summary(
        self, X: RowsLike | None = None, sample_weight: ArrayLike | None = None
    ) -> MixtureSummary:
        """Summary of the mixture: the model, how well it fits, and its clusters.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or iterable of such, \
                default=None
            The rows, as in `fit`; NaN is a missing value. None: what the fitted
            attributes say, without uncertainties and warnings. Blocks are iterated
            over several times.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row; a weight of 2 means that the row occurs twice.

        Returns
        -------
        MixtureSummary
            Its attributes are numbers and arrays, None where they are not known. `str`
            returns text, `to_frame` a pandas DataFrame, and notebooks show tables.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If `X` or `sample_weight` is invalid, if `X` has another number of features
            than in `fit`, or if weights are passed without `X`.

        Notes
        -----
        Without `X`, the log-likelihood is that of `lower_bound_`, unless this has a
        prior in it or is a running mean of `partial_fit`; and sizes are those of
        `labels_`, if the rows had no weights. A search has the criteria of all
        its candidates. With `X`, `known_labels` of the fit are not taken into account.

        Examples
        --------
        >>> from emgmm import GaussianMixtureEM
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> gmm = GaussianMixtureEM(n_components=2, covariance_type="EII").fit(X)
        >>> print(gmm.summary())
        EII with 2 components: equal spheres
        6 rows, 1 feature
        log-likelihood -11.46 (-1.9094 per row)
        BIC 30.08   AIC 30.91   (4 parameters)
        converged after 1 iteration
        <BLANKLINE>
        component  weight  rows
                0  0.5000     3
                1  0.5000     3
        <BLANKLINE>
        means
        component    feature 0
                0            1
                1            9
        <BLANKLINE>
        standard deviations
        component    feature 0
                0       0.8165
                1       0.8165
        """
        return self._summary(X, sample_weight)

    def sample(
        self,
        n_samples: int = 1,
        random_state: int | np.random.RandomState | None = None,
    ) -> tuple[NDArray, NDArray]:
        """Draw rows from the mixture.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows, at least 1.
        random_state : int, RandomState instance or None, default=None
            Seed of this draw. None continues the random numbers that the estimator's
            `random_state` seeds: calls differ from one another, but with an int a
            script that is run again draws the same rows.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            The rows, grouped by component.
        y : ndarray of shape (n_samples,)
            Component of each row.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If `n_samples` is not an integer of 1 or more, or if `covariances_` have
            been assigned that are not positive definite.

        Examples
        --------
        >>> from emgmm import GaussianMixtureEM
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> gmm = GaussianMixtureEM(n_components=2).fit(X)
        >>> rows, components = gmm.sample(100, random_state=0)
        >>> rows.shape, components.shape
        ((100, 1), (100,))
        """
        mixture = self._published().sampled
        n_samples = check_n_samples(n_samples, mixture.means.shape[1])
        drawn = mixture.sample(n_samples, self._sampling_stream(random_state))
        return like(self.means_, drawn[0]), like(self.means_, drawn[1])

    @property
    def mixture_(self) -> Mixture:
        """The fitted mixture as a distribution, a `Mixture`."""
        names = getattr(self, "feature_names_in_", None)
        return make_mixture(self._published().agreed, names)

    def impute(
        self,
        X: ArrayLike,
        *,
        draw: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> NDArray:
        """Fill in missing values, from the other values of their row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows, with NaN where a value is missing. All values of a row may be.
        draw : bool, default=False
            False: conditional means, which minimise the mean squared error. True:
            random draws from the conditional distribution, which vary as the values
            do; use several sets of them for multiple imputation [1]_. They do not
            include the uncertainty of the parameters: for that, impute with fits to
            bootstrap samples of the rows.
        random_state : int, RandomState instance or None, default=None
            Seed of the draws, if `draw=True`. None continues the estimator's random
            numbers, as in `sample`: calls differ from one another.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            The rows, as float32 if `X` is, otherwise as float64. Values that are not
            missing are returned unchanged.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If `X` is invalid or has another number of features than in `fit`, or if
            `random_state` is passed without `draw=True`.

        References
        ----------
        .. [1] D. B. Rubin, "Multiple Imputation for Nonresponse in Surveys", Wiley
           (1987). doi:10.1002/9780470316696

        Examples
        --------
        >>> import numpy as np
        >>> from emgmm import GaussianMixtureEM
        >>> X = [[0, 1], [1, 3], [2, 2], [3, 4], [20, 1], [21, 3], [22, 2], [23, 4]]
        >>> gmm = GaussianMixtureEM(n_components=2).fit(X)
        >>> gmm.impute([[3.0, np.nan], [np.nan, 2.5]]).round(2)
        array([[ 3. ,  3.7],
               [11.5,  2.5]])
        """
        mixture = self._published().agreed
        if random_state is not None and not draw:
            raise ValueError(
                f"random_state={random_state!r} has no effect with draw=False, which "
                "imputes conditional means: pass draw=True, or leave out random_state."
            )
        check_same_namespace(self, X, "impute")
        refuse_blocks(X, "impute")
        check_map(X)
        rows = validated(
            partial(validate_data, self),
            X,
            dtype=[np.float64, np.float32],
            ensure_all_finite="allow-nan",
            reset=False,
        )
        rng = self._sampling_stream(random_state) if draw else None
        return like(X, imputed(rows, mixture, rng))

    def conditional_mean(
        self,
        X: ArrayLike,
        given: Features,
        return_std: bool = False,
        return_cov: bool = False,
    ) -> NDArray | tuple[NDArray, ...]:
        """Predict some features from others: Gaussian mixture regression.

        The conditional mean is the average of the components' linear regressions,
        weighted by the probabilities of the components for the known values [1]_. For
        the whole conditional distribution of one row, use `mixture_.conditional`.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_given)
            Values of the features in `given`, in that order. Where a value is NaN, the
            prediction uses the other values of the row.
        given : int, str, or list of int or str
            The features that the columns of `X` are, by index or by name.
        return_std : bool, default=False
            Whether to return standard deviations too.
        return_cov : bool, default=False
            Whether to return covariances too. At most one of the two.

        Returns
        -------
        mean : ndarray of shape (n_samples, n_features - n_given)
            Conditional means of the other features, in the order of `fit`.
        std : ndarray of shape (n_samples, n_features - n_given)
            Their conditional standard deviations.
        cov : ndarray of shape (n_samples, n_features - n_given, n_features - n_given)
            Their conditional covariances.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        RuntimeError
            If both `return_std` and `return_cov` are true.
        ValueError
            If `given` has an unknown feature, a feature twice, none or all of them, or
            if `X` is invalid or does not have one column for each.

        References
        ----------
        .. [1] Z. Ghahramani and M. I. Jordan, "Supervised learning from incomplete
           data via an EM approach", NIPS 6 (1994), 120-127.

        Examples
        --------
        >>> from emgmm import GaussianMixtureEM
        >>> X = [[0, 1], [1, 3], [2, 2], [3, 4], [20, 1], [21, 3], [22, 2], [23, 4]]
        >>> gmm = GaussianMixtureEM(n_components=2).fit(X)
        >>> mean, std = gmm.conditional_mean([[3.0], [20.0]], given=0, return_std=True)
        >>> mean.round(2)
        array([[3.7],
               [1.3]])
        >>> std.round(2)
        array([[0.67],
               [0.67]])
        """
        if return_std and return_cov:
            raise RuntimeError(
                "At most one of return_std or return_cov can be requested: use "
                "return_cov alone, whose diagonals are squared standard deviations."
            )
        mixture = self._published().agreed
        check_same_namespace(self, X, "conditional_mean")
        refuse_blocks(X, "conditional_mean")
        names = getattr(self, "feature_names_in_", None)
        known, others = split_features(given, mixture.means.shape[1], names, "given")
        columns = None if names is None else names[known]
        rows = check_X(X, columns, len(known))
        moments = Regression.deviations if return_std else Regression.mean_alone
        moments = Regression.covariances if return_cov else moments
        mean, *spread = conditional_moments(rows, mixture, known, others, moments)
        found = tuple(like(X, each) for each in (mean, *spread))
        return found if spread else found[0]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted mixture to a file, for `load`.

        The file is an .npz archive, as `numpy.savez` writes it, with arrays and a text
        in JSON. It replaces an earlier file only when it is complete.

        It contains the parameters, the history of the fit, the state of `partial_fit`,
        the names of the features and the constructor's parameters. It does not contain
        `labels_` (call `predict`), `lower_bounds_of_starts_`, the state of `sample`, or
        a fit that was interrupted. Functions (`init_params`, `step`) and RandomState
        instances are not saved either: the loaded estimator has the defaults instead.

        Parameters
        ----------
        path : str or path-like
            Where to write. An existing file is replaced, and keeps its permissions. No
            suffix is added.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If a parameter has become invalid since the fit, or if attributes have been
            assigned that `load` would reject.
        OSError
            If the file cannot be written.

        Examples
        --------
        >>> import tempfile
        >>> from emgmm import GaussianMixtureEM
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> gmm = GaussianMixtureEM(n_components=2).fit(X)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     gmm.save(f"{folder}/model.npz")
        ...     GaussianMixtureEM.load(f"{folder}/model.npz").predict(X)
        array([0, 0, 0, 1, 1, 1])
        """
        published, fitted = self._published(), self._fitted()
        fitted._validate_params()
        write_model(path, published, vars(fitted), fitted.get_params(deep=False))

    def __sklearn_tags__(self) -> Tags:
        """scikit-learn's tags of the estimator, which accepts missing values, and
        arrays of other libraries than NumPy."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.array_api_support = True
        return tags

    def _fit(
        self, X: Any, y: Any, sample_weight: Any, known_labels: Any = None
    ) -> Self:
        """The estimator, fitted; its warnings point at who calls the public method."""
        raise NotImplementedError

    def _fitted(self) -> Any:
        """The estimator whose attributes are the mixture; NotFittedError if none is."""
        raise NotImplementedError

    def _published(self) -> Published:
        """The mixture as published by a fit, or as assigned by the user."""
        fitted = self._fitted()
        models = (getattr(fitted, "_fitted_type", None), fitted.covariance_type)
        published = Published.of(fitted, [model for model in models if model])
        if not hasattr(fitted, "n_features_in_"):
            fitted.n_features_in_ = published.sizes[1]
        return published

    def _mixture(self) -> Parameters:
        """The mixture that the published parameters make, in float64."""
        return self._published().parameters

    def _mean_and_weight(
        self,
        X: RowsLike,
        sample_weight: ArrayLike | None,
        method: str,
        score: Callable[..., NDArray] = log_density,
    ) -> tuple[float, float]:
        """Mean log-likelihood (or other score) of a row, and the weight of all rows."""
        mixture = self._mixture()
        check_same_namespace(self, X, method)
        rows = check_blocks(self, X, sample_weight, reset=False)
        return mean_of_rows(rows, mixture, score)

    def _for_rows(self, X: RowsLike, predictor: RowwisePredictor, method: str) -> Any:
        """Predictions of a method for the rows of X, as their source returns them."""
        check_same_namespace(self, X, method)
        return for_rows(self, X, predictor)

    def _n_parameters(self) -> int:
        """Number of free parameters of weights, means and covariances; with noise, its
        weight is one more."""
        published = self._published()
        number = published.family.n_parameters_of_mixture(*published.sizes)
        number -= getattr(self._fitted(), N_FIXED, 0)
        return number + (NOISE_WEIGHT in published.arrays)

    def _summary(
        self, X: RowsLike | None, sample_weight: ArrayLike | None
    ) -> MixtureSummary:
        """The summary of the mixture, for rows if there are any."""
        fitted, rows = self._fitted(), None
        if X is not None:
            fitted._published()  # sets n_features_in_
            if is_iterable_of_blocks(X) and is_used_up(X):
                raise ValueError(
                    f"X can be iterated over only once ({X!r:.60}), but summary needs "
                    "several passes: pass a list of blocks, or a function that returns "
                    "an iterator of them."
                )
            check_same_namespace(self, X, "summary")
            rows = check_blocks(self, X, sample_weight, reset=False).on_host
        elif sample_weight is not None:
            raise ValueError(
                "sample_weight has no effect without X: pass the rows that it belongs "
                "to, or leave it out."
            )
        names = getattr(self, "feature_names_in_", None)
        return summary_of_mixture(fitted, self._n_parameters(), rows, names)

    def _sampling_stream(
        self, random_state: int | np.random.RandomState | None
    ) -> np.random.RandomState:
        """The generator of random numbers that `sample` and `impute` draw from."""
        fitted = self._fitted()
        own = random_state is None
        seed = fitted.random_state if own else random_state
        if not own or not isinstance(seed, Integral):
            return check_random_state(seed)
        begun, stream = getattr(fitted, "_stream", (None, None))
        if stream is None or begun != seed:
            stream = check_random_state(seed)
            fitted._stream = (seed, stream)
        return stream


def mean_of_rows(
    rows: RowSource,
    mixture: Parameters,
    score: Callable[..., NDArray],
    *aligned: NDArray,
    memberships: Memberships | None = None,
) -> tuple[float, float]:
    """Mean score of a row, and the weight of all rows."""
    total, weight = sum_over_rows(
        rows, mixture, score, *aligned, memberships=memberships
    )
    if not weight > 0:
        raise ValueError(NO_ROWS)
    return float(total / weight), float(weight)


def _bayesian_criterion(mean: float, weight: float, n_parameters: int) -> float:
    """BIC from the mean score of a row: -2 sum + (free parameters) log(weight)."""
    return -2 * mean * weight + n_parameters * float(np.log(weight))
