"""GaussianMixtureClassifier: a mixture for each class, and Bayes' rule."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from numbers import Integral
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import logsumexp
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags, check_consistent_length, check_random_state
from sklearn.utils.validation import check_is_fitted

from ._class_mixtures import (
    Caught,
    ClassEM,
    ClassMixtures,
    ClassModel,
    ClassRows,
    CommonModel,
    OwnMixtures,
    Result,
)
from ._data.arrays import RowBlocks
from ._data.labels import check_labels
from ._data.sources import for_rows, refuse_blocks
from ._data.validation import check_numbers, check_rows
from ._gaussian_mixture import GaussianMixtureEM
from ._init.starts import STARTS
from ._model.families import FAMILIES
from ._model.validation import check_weights
from ._model_selection import CovarianceTypes, GaussianMixtureIC, names_of_models
from ._utils.sklearn_private import Interval, fit_context
from ._utils.validation import (
    Names,
    Suggesting,
    check_n_samples,
    restore_on_error,
)
from .typing import CovarianceType

OF_SEARCHES = ("tol", "reg_covar", "max_iter", "random_state")
OF_MIXTURES = (*OF_SEARCHES, "n_init", "init_params")
"""Parameters that are those of `GaussianMixtureIC` and of `GaussianMixtureEM`."""
Labels = ArrayLike | Sequence[Any]


class GaussianMixtureClassifier(Suggesting, ClassifierMixin, BaseEstimator):
    """Classifier with a Gaussian mixture for each class, by Bayes' rule.

    A row belongs to class c with a probability proportional to the class's prior times
    the density of its mixture [1]_. With one component for each class the classes share
    a covariance model [2]_: "tied" is linear discriminant analysis, "full" quadratic
    discriminant analysis, "diag" Gaussian naive Bayes. NaN in `X` is a missing value,
    and rows without a label can take part in the fit.

    The user guide is at https://emgmm.github.io/emgmm/guide.html.

    Parameters
    ----------
    n_components : int, array-like of int or dict, default=1
        Number of components of each class. Of several numbers, such as
        [1, 2, 3, 4, 5], the one with the least BIC is chosen in each class. A dict has
        a number, or several, for each class.
    covariance_type : str, list of str or "all", \
            default=("full", "tied", "diag", "spherical")
        Covariance model, by its name in `GaussianMixtureEM`, or several, of which the
        one with the least BIC is chosen; "all" means the fourteen models of three
        letters, some of which take long with many features. If every class has one
        component, the model is common to the classes, and its letters say what they
        share: the volume, the shape, the orientation. Otherwise each class has a
        mixture and, where BIC chooses, a model of its own.
    priors : array-like of shape (n_classes,) or dict, default=None
        Probabilities of the classes, in the order of `classes_` or by class, which sum
        to one. By default the shares of the classes in the rows of the fit.
    semi_supervised : bool, default=False
        Whether `y` may have rows without a label, which are -1, NaN or None. They take
        part in the fit by their probabilities of belonging to the classes, from EM over
        the classes [3]_; numbers of components and models are chosen from the labelled
        rows first. By default, -1 is a class like any other.
    tol : float, default=1e-5
        As in `GaussianMixtureEM`, of the mixtures and of EM over the classes.
    reg_covar : float or "scale", default="scale"
        As in `GaussianMixtureEM`.
    max_iter : int, default=1000
        Maximum number of EM iterations of each mixture, and over the classes.
    n_init : int, default=1
        Number of starts for each mixture. Where BIC chooses, it has no effect.
    init_params : str or callable, default="split"
        Start of each mixture, as in `GaussianMixtureEM`. Where BIC chooses, it has no
        effect.
    random_state : int, RandomState instance or None, default=None
        Seed of the starts that draw random numbers, and of `sample`.
    n_jobs : int or None, default=None
        Number of classes that are fitted at the same time, by joblib.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes, in ascending order.
    class_prior_ : ndarray of shape (n_classes,)
        Probabilities of the classes.
    mixtures_ : list of GaussianMixtureEM
        The mixture of each class, in the order of `classes_`.
    n_iter_ : int
        Number of iterations of EM over the classes, or, if all rows have labels, the
        greatest of any mixture; 1 where no iteration is needed.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if `X` has names and all are strings.

    See Also
    --------
    GaussianMixtureIC : How numbers of components and models are chosen in each class.
    sklearn.discriminant_analysis.QuadraticDiscriminantAnalysis : One full covariance
        matrix for each class.

    Notes
    -----
    The fit maximises the likelihood of the rows and their classes, which is not the
    accuracy: choose `n_components` and `covariance_type` by cross-validation
    (`GridSearchCV`) where predictions are all that matters. R's mclust has the same
    models as `MclustDA`, with ``n_components=[1, 2, 3, 4, 5], covariance_type="all"``.
    There a common model ("EDDA") is chosen by the likelihood of the rows without their
    classes; here by that of the rows with their classes, which the estimates maximise.

    References
    ----------
    .. [1] T. Hastie and R. Tibshirani, "Discriminant analysis by Gaussian mixtures",
       Journal of the Royal Statistical Society B 58 (1996), 155-176.
       doi:10.1111/j.2517-6161.1996.tb02073.x
    .. [2] H. Bensmail and G. Celeux, "Regularized Gaussian discriminant analysis
       through eigenvalue decomposition", JASA 91 (1996), 1743-1748.
       doi:10.1080/01621459.1996.10476746
    .. [3] K. Nigam, A. K. McCallum, S. Thrun and T. Mitchell, "Text classification from
       labeled and unlabeled documents using EM", Machine Learning 39 (2000), 103-134.
       doi:10.1023/A:1007692713085

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from emgmm import GaussianMixtureClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> classifier = GaussianMixtureClassifier(covariance_type="all").fit(X, y)
    >>> classifier.mixtures_[0].covariance_type
    'VEV'
    >>> round(classifier.score(X, y), 2)
    0.98
    """

    __module__ = "emgmm"

    _parameter_constraints = {
        "n_components": [
            Interval(Integral, 1, None, closed="left"),
            "array-like",
            dict,
        ],
        "covariance_type": [Names(["all", *FAMILIES]), "array-like"],
        "priors": ["array-like", dict, None],
        "semi_supervised": ["boolean"],
        **{
            name: GaussianMixtureEM._parameter_constraints[name]
            for name in (*OF_SEARCHES, "n_init")
        },
        "init_params": [Names(STARTS), callable],
        "n_jobs": [Integral, None],
    }

    def __init__(
        self,
        n_components: int | ArrayLike | Mapping[Any, int | ArrayLike] = 1,
        *,
        covariance_type: CovarianceTypes = ("full", "tied", "diag", "spherical"),
        priors: ArrayLike | Mapping[Any, float] | None = None,
        semi_supervised: bool = False,
        tol: float = 1e-5,
        reg_covar: float | Literal["scale"] = "scale",
        max_iter: int = 1000,
        n_init: int = 1,
        init_params: str | Callable[..., ArrayLike] = "split",
        random_state: int | np.random.RandomState | None = None,
        n_jobs: int | None = None,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.priors = priors
        self.semi_supervised = semi_supervised
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.random_state = random_state
        self.n_jobs = n_jobs

    def fit(
        self, X: ArrayLike, y: Labels, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Estimate the mixture of each class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows, in memory; NaN is a value missing at random. float32 rows give
            float32 parameters.
        y : array-like of shape (n_samples,)
            The class of each row; with `semi_supervised=True`, -1, NaN or None where it
            is not known.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row; a weight of 2 means that the row occurs twice.

        Returns
        -------
        GaussianMixtureClassifier
            The estimator itself.

        Raises
        ------
        ValueError
            If the data or a parameter are invalid, if a class has fewer rows of
            positive weight than components, or if no row has a label.

        Warns
        -----
        ConvergenceWarning
            If a mixture, or EM over the classes, did not stop by `tol` within
            `max_iter` iterations.
        DegenerateComponentWarning
            If the likelihood of a class may be due to chance, as in
            `GaussianMixtureEM`.

        Examples
        --------
        >>> from emgmm import GaussianMixtureClassifier
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0], [7.5]]
        >>> y = [0, 0, 0, 1, 1, 1, -1]
        >>> classifier = GaussianMixtureClassifier(semi_supervised=True).fit(X, y)
        >>> classifier.predict([[3.0], [7.0]])
        array([0, 1])
        """
        return self._fit(X, y, sample_weight)

    def predict(self, X: ArrayLike) -> NDArray:
        """Most probable class of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or iterable of such
            The rows; NaN is a missing value. A row is assigned by the values that it
            has. Rows that are not in memory may be passed as in `GaussianMixtureEM`.

        Returns
        -------
        ndarray of shape (n_samples,), or iterator of such
            Classes. For blocks of rows, one array for each; for a Dask array, a Dask
            array.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If `X` is invalid, or has another number of features than in `fit`.

        Examples
        --------
        >>> from emgmm import GaussianMixtureClassifier
        >>> X, y = [[0.0], [1.0], [2.0], [3.0]], ["low", "low", "high", "high"]
        >>> GaussianMixtureClassifier().fit(X, y).predict([[0.5], [9.0]])
        array(['low', 'high'], dtype='<U4')
        """
        fitted = self._fitted()

        def most_probable(rows: RowBlocks) -> NDArray:
            """The most probable classes of rows."""
            log_joint = fitted.log_joint(rows)
            return self.classes_[fitted.log_posterior(log_joint).argmax(axis=1)]

        return for_rows(self, X, most_probable)

    def predict_proba(self, X: ArrayLike) -> NDArray:
        """Probability of each class for each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or iterable of such
            The rows, as in `predict`. A row without any value has the priors as its
            probabilities.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or iterator of such
            Probabilities in the order of `classes_`, which sum to one in each row.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If `X` is invalid, or has another number of features than in `fit`.

        Examples
        --------
        >>> from emgmm import GaussianMixtureClassifier
        >>> X, y = [[0.0], [2.0], [4.0], [6.0]], [0, 0, 1, 1]
        >>> GaussianMixtureClassifier().fit(X, y).predict_proba([[2.0], [3.0]]).round(3)
        array([[0.982, 0.018],
               [0.5  , 0.5  ]])
        """
        return self._of_rows(X, ClassMixtures.posterior)

    def predict_log_proba(self, X: ArrayLike) -> NDArray:
        """Logarithm of the probability of each class for each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or iterable of such
            The rows, as in `predict`.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), or iterator of such
            Logarithms of what `predict_proba` returns, finite where probabilities
            round to zero.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If `X` is invalid, or has another number of features than in `fit`.

        Examples
        --------
        >>> from emgmm import GaussianMixtureClassifier
        >>> X, y = [[0.0], [2.0], [4.0], [6.0]], [0, 0, 1, 1]
        >>> classifier = GaussianMixtureClassifier().fit(X, y)
        >>> classifier.predict_log_proba([[-997.0]]).round()
        array([[    0., -4000.]])
        """
        return self._of_rows(X, ClassMixtures.log_posterior)

    def decision_function(self, X: ArrayLike) -> NDArray:
        """Scores of the classes for each row, of which the greatest is predicted.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or iterable of such
            The rows, as in `predict`.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes), or iterator of such
            Logarithms of prior times density, in nats; for two classes, that of the
            second less that of the first.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If `X` is invalid, or has another number of features than in `fit`.

        Examples
        --------
        >>> from emgmm import GaussianMixtureClassifier
        >>> X, y = [[0.0], [2.0], [4.0], [6.0]], [0, 0, 1, 1]
        >>> GaussianMixtureClassifier().fit(X, y).decision_function([[2.0], [5.0]])
        array([-4.,  8.])
        """
        return self._of_rows(X, _decision)

    def score_samples(self, X: ArrayLike) -> NDArray:
        """Log-density of each row, whatever its class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or iterable of such
            The rows, as in `predict`. The density is that of the values that a row has.

        Returns
        -------
        ndarray of shape (n_samples,), or iterator of such
            Logarithms of the sum over the classes of prior times density, in nats.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If `X` is invalid, or has another number of features than in `fit`.

        Examples
        --------
        >>> from emgmm import GaussianMixtureClassifier
        >>> X, y = [[0.0], [2.0], [4.0], [6.0]], [0, 0, 1, 1]
        >>> GaussianMixtureClassifier().fit(X, y).score_samples([[1.0], [3.0]]).round(2)
        array([-1.61, -2.92])
        """
        return self._of_rows(X, _log_density)

    def sample(
        self,
        n_samples: int = 1,
        random_state: int | np.random.RandomState | None = None,
    ) -> tuple[NDArray, NDArray]:
        """Draw rows and their classes.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows, at least 1.
        random_state : int, RandomState instance or None, default=None
            Seed of this draw; None uses the `random_state` of the estimator.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            The rows, grouped by class.
        y : ndarray of shape (n_samples,)
            The class of each row.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If `n_samples` is not an integer of 1 or more.

        Examples
        --------
        >>> from emgmm import GaussianMixtureClassifier
        >>> X, y = [[0.0], [2.0], [4.0], [6.0]], [0, 0, 1, 1]
        >>> rows, classes = GaussianMixtureClassifier().fit(X, y).sample(100)
        >>> rows.shape, classes.shape
        ((100, 1), (100,))
        """
        check_is_fitted(self)
        n_samples = check_n_samples(n_samples, self.n_features_in_)
        seed = self.random_state if random_state is None else random_state
        rng = check_random_state(seed)
        counts = rng.multinomial(n_samples, self.class_prior_)
        drawn = [
            mixture.sample(count, rng)[0]
            for mixture, count in zip(self.mixtures_, counts, strict=True)
            if count
        ]
        return np.concatenate(drawn), np.repeat(self.classes_, counts)

    def __sklearn_tags__(self) -> Tags:
        """scikit-learn's tags of the estimator, which accepts missing values."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    @fit_context(prefer_skip_nested_validation=True)
    def _fit(self, X: ArrayLike, y: Labels, sample_weight: ArrayLike | None) -> Self:
        """The estimator, fitted; its warnings point at who calls the public method."""
        refuse_blocks(X, "fit of a classifier", "a sample of the rows")
        with restore_on_error(self):
            blocks = check_rows(self, X, sample_weight, reset=True)
            check_consistent_length(blocks.X, y)
            self.classes_, classes = check_labels(y, self.semi_supervised)
            caught = self._fit_rows(ClassRows(blocks, classes, self.classes_))
        for category, message in caught:
            warnings.warn(message, category, stacklevel=4)
        return self

    def _fit_rows(self, rows: ClassRows) -> Caught:
        """Warnings of a fit, whose results are set as attributes."""
        model, known = self._model(rows), rows.known
        priors = self._priors()
        em = ClassEM(model, priors, self.tol, self.max_iter)
        mixtures, n_iter, caught = model.fit(known)
        shares = em.log_priors(known.sums(known.memberships))
        result = Result(ClassMixtures(mixtures, shares), n_iter, caught)
        if known is not rows and self.max_iter:
            result = em.run(rows, result.fitted)
        self._publish(result)
        return result.caught

    def _publish(self, result: Result) -> None:
        """Set the attributes of a finished fit."""
        self.mixtures_ = list(result.fitted.mixtures)
        self.class_prior_ = np.exp(result.fitted.log_priors)
        self.n_iter_ = result.n_iter
        for mixture in self.mixtures_ if hasattr(self, "feature_names_in_") else ():
            mixture.feature_names_in_ = self.feature_names_in_

    def _model(self, rows: ClassRows) -> ClassModel:
        """How the mixtures are to be estimated; ValueError if a class has few rows."""
        names = names_of_models(self.covariance_type, rows.rows.summary.n_features)
        numbers = self._numbers()
        rows.check_enough([min(own) for own in numbers])
        if all(own == [1] for own in numbers):
            return CommonModel([self._mixture(1, name) for name in names])
        estimators = [self._estimator(own, names) for own in numbers]
        return OwnMixtures(estimators, self.n_jobs)

    def _estimator(
        self, numbers: list[int], names: list[CovarianceType]
    ) -> GaussianMixtureEM | GaussianMixtureIC:
        """The estimator of a class, which chooses if there is something to choose."""
        if len(numbers) == len(names) == 1:
            return self._mixture(numbers[0], names[0])
        parameters = {name: getattr(self, name) for name in OF_SEARCHES}
        return GaussianMixtureIC(numbers, covariance_type=names, **parameters)

    def _mixture(self, n_components: int, name: CovarianceType) -> GaussianMixtureEM:
        """An estimator of a model, with the parameters of this one."""
        parameters = {name: getattr(self, name) for name in OF_MIXTURES}
        return GaussianMixtureEM(n_components, covariance_type=name, **parameters)

    def _numbers(self) -> list[list[int]]:
        """Numbers of components to choose from, for each class."""
        wanted = self.n_components
        if isinstance(wanted, Mapping):
            wanted = self._by_class(wanted, "n_components")
            return [check_numbers(own) for own in wanted]
        return [check_numbers(wanted)] * len(self.classes_)

    def _priors(self) -> NDArray | None:
        """The priors (C,) that are fixed, or None."""
        if self.priors is None:
            return None
        priors = self.priors
        if isinstance(priors, Mapping):
            priors = self._by_class(priors, "priors")
        return check_weights(priors, len(self.classes_), "priors")

    def _by_class(self, values: Mapping[Any, Any], argument: str) -> list[Any]:
        """The values of a dict in the order of the classes."""
        classes = self.classes_.tolist()
        if set(values) != set(classes):
            raise ValueError(
                f"{argument} has the keys {list(values)}, but the classes are "
                f"{classes}: give a value for each class."
            )
        return [values[each] for each in classes]

    def _fitted(self) -> ClassMixtures:
        """The mixtures and priors; NotFittedError if there are none."""
        check_is_fitted(self)
        with np.errstate(divide="ignore"):  # a prior may be zero
            return ClassMixtures(self.mixtures_, np.log(self.class_prior_))

    def _of_rows(
        self, X: ArrayLike, function: Callable[[ClassMixtures, NDArray], NDArray]
    ) -> NDArray:
        """What function(mixtures, log-joint (n, C)) returns for the rows of X, as their
        source returns it."""
        fitted = self._fitted()

        return for_rows(self, X, lambda rows: function(fitted, fitted.log_joint(rows)))


def _decision(fitted: ClassMixtures, log_joint: NDArray) -> NDArray:
    """Scores of the classes (n, C), or the second less the first (n,) of two."""
    if log_joint.shape[1] != 2:
        return log_joint
    return np.diff(fitted.log_posterior(log_joint), axis=1)[:, 0]


def _log_density(fitted: ClassMixtures, log_joint: NDArray) -> NDArray:
    """Log-densities (n,) of rows."""
    return logsumexp(log_joint, axis=1)
