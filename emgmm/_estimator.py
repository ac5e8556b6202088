"""GaussianMixtureEM: the estimator that users meet."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import fields, replace
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClusterMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from ._blocks import ArrayBlocks
from ._em import EMOptions, EMResult, Progress, run_em
from ._estep import for_each_row, statistics_of_start, sum_over_rows
from ._families import FAMILIES, CovarianceFamily
from ._initialize import INITIALIZERS
from ._mixture import Mixture
from ._mstep import m_step
from ._posterior import Kernel
from ._threads import BLAS
from ._validation import (
    check_covariances,
    check_enough_rows,
    check_given,
    check_means,
    check_n_samples,
    check_sample_weight,
    check_start,
    check_weights,
    shape_of_means,
    unchanged_on_failure,
    warn_of_too_few_rows,
)


class GaussianMixtureEM(ClusterMixin, BaseEstimator):
    """Gaussian mixture fitted by expectation-maximisation.

    The parameters, attributes and methods that `sklearn.mixture.GaussianMixture`
    has too keep their names and meanings. Beyond them: fourteen covariance models,
    `sample_weight`, starts from labels or responsibilities, `icl`, `labels_`, and
    `from_parameters`.

    Parameters
    ----------
    n_components : int, default=1
        Number of components.
    covariance_type : str, default="full"
        What is common to the covariances of the components. "full": nothing;
        "tied": one matrix for all; "diag": variances only; "spherical": one variance
        for each component. Or three letters, for volume, shape and orientation of
        the components' ellipsoids, each Equal, Variable, or Identity (spheres, axes
        parallel to the coordinates) [1]_: "EII", "VII" (spherical), "EEI", "VEI",
        "EVI", "VVI" (diag), "EEE" (tied), "VEE", "EVE", "VVE", "EEV", "VEV", "EVV",
        "VVV" (full).
    tol : float, default=1e-3
        EM stops when the mean log-likelihood of a row (in nats) changes by less in
        an iteration. 0 iterates `max_iter` times.
    reg_covar : float, default=1e-6
        Added to every variance, in squared units of the features, so that
        covariances stay positive definite.
    max_iter : int, default=100
        Greatest number of EM iterations; 0 publishes the start.
    n_init : int, default=1
        Number of starts; the fit with the best log-likelihood is kept. A start that
        is given as an array, or by all three `*_init`, is run once.
    init_params : str, array-like or callable, default="kmeans"
        The start.

        - "kmeans": labels of weighted k-means. The first start draws no random
          numbers: its seeds come from splitting the rows along principal axes [2]_,
          so that it depends on the weighted distribution of the rows alone. Further
          starts (`n_init`) are seeded by k-means++.
        - "k-means++": rows chosen by k-means++, every row with the nearest of them.
        - "random_from_data": rows drawn at random, every row with the nearest.
        - "random": random responsibilities.
        - array of shape (n_samples,): a label for each row, -1 where unassigned;
          unassigned rows take part from the first iteration on.
        - array of shape (n_samples, n_components): responsibilities, rows of zeros
          where unassigned.
        - callable `(X, n_components, sample_weight, rng)`: returns either array;
          `rng` is a `numpy.random.RandomState`.
    weights_init : array-like of shape (n_components,), default=None
        Starting weights, with a sum of one; from `init_params` if None.
    means_init : array-like of shape (n_components, n_features), default=None
        Starting means; from `init_params` if None.
    precisions_init : array-like, default=None
        Starting precisions (inverse covariances), in the shape of `covariances_`;
        from `init_params` if None.
    random_state : int, RandomState instance or None, default=None
        Seed of the starts that draw random numbers, and of `sample`.
    warm_start : bool, default=False
        Start from the parameters of the previous fit. Where these do not fit (other
        `n_components`, `covariance_type` or number of features), start afresh.
    verbose : int, default=0
        1 prints the iterations, 2 also times and changes of the log-likelihood.
    verbose_interval : int, default=10
        Iterations from one print to the next.

    Attributes
    ----------
    weights_ : ndarray of shape (n_components,)
        Weights of the components.
    means_ : ndarray of shape (n_components, n_features)
        Means of the components.
    covariances_ : ndarray
        Covariances, in the shape of the model's storage: (n_components,) for EII and
        VII (spherical); (n_components, n_features) for EEI, VEI, EVI and VVI (diag);
        (n_features, n_features) for EEE (tied); otherwise
        (n_components, n_features, n_features).
    precisions_ : ndarray
        Inverses of the covariances, in the same shape.
    precisions_cholesky_ : ndarray
        Upper triangular U with precision = U U', in the same shape. With `weights_`
        and `means_`, what predictions are computed from.
    labels_ : ndarray of shape (n_samples,)
        Most probable component of each row of the training data.
    converged_ : bool
        Whether the kept fit stopped by `tol`.
    n_iter_ : int
        EM iterations of the kept fit.
    lower_bound_ : float
        Mean log-likelihood of a row under the published parameters, in nats: what
        `score` returns for the training data.
    lower_bounds_ : ndarray of shape (n_iter_,)
        Mean log-likelihood after each iteration of the kept fit.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, where `X` has names that are all strings.

    See Also
    --------
    sklearn.mixture.GaussianMixture : Four of the covariance models.

    Notes
    -----
    Rows are visited in blocks of a few megabytes, shared between as many threads as
    BLAS may use: `OMP_NUM_THREADS`, `threadpoolctl.threadpool_limits` and joblib's
    workers limit them. BLAS itself is held to one thread meanwhile. How many threads
    there are changes no bit of the result.

    With float32 rows EM works in float32 within a block where its rounding moves a
    log-density by less than 1e-3, and adds up in float64. Predictions and scores are
    computed in float64.

    References
    ----------
    .. [1] G. Celeux and G. Govaert, "Gaussian parsimonious clustering models",
       Pattern Recognition 28 (1995), 781-793. doi:10.1016/0031-3203(94)00125-6
    .. [2] T. Su and J. G. Dy, "In search of deterministic methods for initializing
       K-means and Gaussian mixture clustering", Intelligent Data Analysis 11 (2007),
       319-338. doi:10.3233/IDA-2007-11402
    .. [3] A. P. Dempster, N. M. Laird and D. B. Rubin, "Maximum likelihood from
       incomplete data via the EM algorithm", JRSS B 39 (1977), 1-38.
       doi:10.1111/j.2517-6161.1977.tb01600.x

    Examples
    --------
    >>> import numpy as np
    >>> from emgmm import GaussianMixtureEM
    >>> X = np.array([[1, 2], [1, 4], [1, 0], [10, 2], [10, 4], [10, 0]])
    >>> gmm = GaussianMixtureEM(n_components=2).fit(X)
    >>> gmm.means_
    array([[ 1.,  2.],
           [10.,  2.]])
    >>> gmm.predict([[0, 0], [12, 3]])
    array([0, 1])
    """

    _parameter_constraints = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "covariance_type": [StrOptions(set(FAMILIES))],
        "tol": [Interval(Real, 0.0, None, closed="left")],
        "reg_covar": [Interval(Real, 0.0, None, closed="left")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "n_init": [Interval(Integral, 1, None, closed="left")],
        "init_params": [StrOptions(set(INITIALIZERS)), "array-like", callable],
        "weights_init": ["array-like", None],
        "means_init": ["array-like", None],
        "precisions_init": ["array-like", None],
        "random_state": ["random_state"],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
        "verbose_interval": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        n_components: int = 1,
        *,
        covariance_type: str = "full",
        tol: float = 1e-3,
        reg_covar: float = 1e-6,
        max_iter: int = 100,
        n_init: int = 1,
        init_params: str | ArrayLike | Callable[..., ArrayLike] = "kmeans",
        weights_init: ArrayLike | None = None,
        means_init: ArrayLike | None = None,
        precisions_init: ArrayLike | None = None,
        random_state: int | np.random.RandomState | None = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
    ) -> None:
        self.n_components = n_components
        self.covariance_type = covariance_type
        self.tol = tol
        self.reg_covar = reg_covar
        self.max_iter = max_iter
        self.n_init = n_init
        self.init_params = init_params
        self.weights_init = weights_init
        self.means_init = means_init
        self.precisions_init = precisions_init
        self.random_state = random_state
        self.warm_start = warm_start
        self.verbose = verbose
        self.verbose_interval = verbose_interval

    @classmethod
    def from_parameters(
        cls,
        weights: ArrayLike,
        means: ArrayLike,
        covariances: ArrayLike,
        covariance_type: str = "full",
    ) -> Self:
        """Make a mixture from known parameters, without data.

        The result predicts, scores and samples like a fitted estimator; what only a
        fit can tell (`labels_`, `lower_bound_`, `converged_`, `n_iter_`) it lacks.

        Parameters
        ----------
        weights : array-like of shape (n_components,)
            Weights of the components, with a sum of one.
        means : array-like of shape (n_components, n_features)
            Means of the components.
        covariances : array-like
            Covariances, in the shape that `covariances_` has for the model.
        covariance_type : str, default="full"
            The model, as in the constructor.

        Returns
        -------
        GaussianMixtureEM
            The mixture.

        Raises
        ------
        ValueError
            If a shape is wrong, the weights do not sum to one, or the covariances
            are not positive definite or not of the model's form.

        Examples
        --------
        >>> from emgmm import GaussianMixtureEM
        >>> gmm = GaussianMixtureEM.from_parameters(
        ...     weights=[0.5, 0.5], means=[[0.0], [4.0]], covariances=[1.0, 1.0],
        ...     covariance_type="spherical",
        ... )
        >>> gmm.predict_proba([[2.0]])
        array([[0.5, 0.5]])
        """
        sizes = shape_of_means(means)
        gmm = cls(sizes[0], covariance_type=covariance_type)
        gmm._validate_params()
        mixture = Mixture(
            check_weights(weights, sizes[0]),
            check_means(means, sizes),
            check_covariances(covariances, "covariances", covariance_type, sizes),
        )
        gmm.n_features_in_ = sizes[1]
        gmm._publish_mixture(mixture, np.dtype(np.float64))
        return gmm

    def fit(
        self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Estimate the parameters by EM.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows. float32 and float64 arrays, memory-mapped ones too, are neither
            altered nor copied as a whole; float32 rows give float32 parameters,
            from sums in float64.
        y : Ignored
            Present by convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row; a weight of 2 means that the row occurs twice.

        Returns
        -------
        GaussianMixtureEM
            The estimator itself. If the fit fails, it is as it was.

        Raises
        ------
        ValueError
            If the data or an argument are not valid, or if a covariance becomes
            singular because `reg_covar` is too small.

        Warns
        -----
        ConvergenceWarning
            If the kept fit did not stop by `tol` within `max_iter` iterations, or if
            there are no more rows than features and the model has full matrices.

        Examples
        --------
        >>> from emgmm import GaussianMixtureEM
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> GaussianMixtureEM(n_components=2).fit(X).means_
        array([[1.],
               [9.]])
        """
        return self._fit(X, sample_weight)

    def fit_predict(
        self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> NDArray:
        """Estimate the parameters and return the labels of the rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows.
        y : Ignored
            Present by convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row.

        Returns
        -------
        ndarray of shape (n_samples,)
            Most probable component of each row, as `predict` gives it.

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
        return self._fit(X, sample_weight).labels_

    def predict(self, X: ArrayLike) -> NDArray:
        """Most probable component of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        ndarray of shape (n_samples,)
            Components, from 0 to n_components - 1.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If `X` is not valid, or has another number of features than in `fit`.

        Examples
        --------
        >>> from emgmm import GaussianMixtureEM
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> gmm = GaussianMixtureEM(n_components=2).fit(X)
        >>> gmm.predict([[1.5], [7.0]])
        array([0, 1])
        """
        mixture, blocks = self._mixture(), self._rows(X)
        labels = np.empty(len(blocks.X), dtype=np.int64)
        return for_each_row(blocks, mixture, Kernel.labels, labels)

    def predict_proba(self, X: ArrayLike) -> NDArray:
        """Responsibilities: probabilities of the components, given each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        ndarray of shape (n_samples, n_components)
            Probabilities, with a sum of one in each row.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If `X` is not valid, or has another number of features than in `fit`.

        Examples
        --------
        >>> from emgmm import GaussianMixtureEM
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> gmm = GaussianMixtureEM(n_components=2).fit(X)
        >>> gmm.predict_proba([[1.0], [5.0]]).round(3)
        array([[1. , 0. ],
               [0.5, 0.5]])
        """
        mixture, blocks = self._mixture(), self._rows(X)
        out = np.empty((len(blocks.X), len(mixture.weights)), dtype=blocks.X.dtype)
        return for_each_row(blocks, mixture, _responsibilities, out)

    def score_samples(self, X: ArrayLike) -> NDArray:
        """Log-density of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows.

        Returns
        -------
        ndarray of shape (n_samples,)
            Logarithms of the mixture's density, in nats.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If `X` is not valid, or has another number of features than in `fit`.

        Examples
        --------
        >>> from emgmm import GaussianMixtureEM
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> gmm = GaussianMixtureEM(n_components=2).fit(X)
        >>> gmm.score_samples([[1.0], [5.0]]).round(2)
        array([ -1.41, -12.72])
        """
        mixture, blocks = self._mixture(), self._rows(X)
        out = np.empty(len(blocks.X), dtype=blocks.X.dtype)
        return for_each_row(blocks, mixture, _log_density, out)

    def score(
        self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> float:
        """Mean log-density of a row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows.
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
            If `X` or `sample_weight` is not valid, or `X` has another number of
            features than in `fit`.

        Examples
        --------
        >>> from emgmm import GaussianMixtureEM
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> gmm = GaussianMixtureEM(n_components=2).fit(X)
        >>> round(gmm.score(X), 2)
        -1.91
        """
        return self._log_likelihood(X, sample_weight)[0]

    def bic(self, X: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Bayesian information criterion on the rows; lower is better.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row; their sum stands for the number of rows.

        Returns
        -------
        float
            -2 log-likelihood + (free parameters) log(number of rows).

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If `X` or `sample_weight` is not valid, or `X` has another number of
            features than in `fit`.

        Examples
        --------
        >>> from emgmm import GaussianMixtureEM
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> gmm = GaussianMixtureEM(n_components=2).fit(X)
        >>> round(gmm.bic(X), 1)
        31.9
        """
        mean, weight = self._log_likelihood(X, sample_weight)
        return self._bayesian_criterion(mean, weight)

    def aic(self, X: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Akaike information criterion on the rows; lower is better.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows.
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
            If `X` or `sample_weight` is not valid, or `X` has another number of
            features than in `fit`.

        Examples
        --------
        >>> from emgmm import GaussianMixtureEM
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> gmm = GaussianMixtureEM(n_components=2).fit(X)
        >>> round(gmm.aic(X), 1)
        32.9
        """
        mean, weight = self._log_likelihood(X, sample_weight)
        return -2 * mean * weight + 2 * self._n_parameters()

    def icl(self, X: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Integrated complete-data likelihood criterion; lower is better.

        BIC with a penalty for rows that belong to no component clearly:
        BIC - 2 sum_i log max_k r_ik, with responsibilities r [1]_.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row; a weight of 2 means that the row occurs twice.

        Returns
        -------
        float
            The criterion: minus what R's mclust calls ICL.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If `X` or `sample_weight` is not valid, or `X` has another number of
            features than in `fit`.

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
        mean, weight = self._log_likelihood(X, sample_weight, _classification_score)
        return self._bayesian_criterion(mean, weight)

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
            Seed of this draw. None goes on with the stream that the estimator's own
            `random_state` began: calls differ from one another, and a script with
            an int repeats itself as a whole.

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
            If `n_samples` is not a whole number of 1 or more.

        Examples
        --------
        >>> from emgmm import GaussianMixtureEM
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> gmm = GaussianMixtureEM(n_components=2).fit(X)
        >>> rows, components = gmm.sample(100, random_state=0)
        >>> rows.shape, components.shape
        ((100, 1), (100,))
        """
        mixture = self._mixture()
        return mixture.sample(
            check_n_samples(n_samples), self._sampling_stream(random_state)
        )

    @_fit_context(prefer_skip_nested_validation=True)
    def _fit(self, X: ArrayLike, sample_weight: ArrayLike | None) -> Self:
        """Validate, run EM from every start, publish the best."""
        with unchanged_on_failure(self):
            blocks = self._rows(X, sample_weight, reset=True, ensure_min_samples=2)
            check_enough_rows(blocks.sample_weight, self.n_components)
            # Held once for a fit is cheaper; but a user's own start has all threads.
            own_start = callable(self.init_params)
            with nullcontext() if own_start else BLAS.held():
                best = self._best_of_starts(blocks)
                with BLAS.held():
                    self._publish(best, blocks)
        n_samples, n_features = blocks.X.shape
        warn_of_too_few_rows(n_samples, n_features, self._family)
        if not self.converged_ and self.max_iter > 0:
            warnings.warn(
                "Best performing initialization did not converge. Try different init "
                "parameters, or increase max_iter, tol, or check for degenerate data.",
                ConvergenceWarning,
                stacklevel=4,
            )
        return self

    def _best_of_starts(self, blocks: ArrayBlocks) -> EMResult:
        """Run EM from every start and keep the best log-likelihood."""
        options = EMOptions(self.tol, self.max_iter, self.reg_covar)
        progress = Progress(self.verbose, self.verbose_interval)
        family = FAMILIES[self.covariance_type]
        results = []
        try:
            for run, start in enumerate(self._starts(blocks, family)):
                progress.begin(run)
                with BLAS.held():
                    results.append(run_em(blocks, start, family, options, progress))
                progress.end(results[-1])
        except np.linalg.LinAlgError as error:
            raise ValueError(
                "Fitting the mixture model failed because some components have "
                "ill-defined empirical covariance (for instance caused by singleton "
                "or collapsed samples). Try to decrease the number of components, "
                "increase reg_covar, or scale the input data."
            ) from error
        return max(results, key=lambda result: result.lower_bound)

    def _starts(
        self, blocks: ArrayBlocks, family: CovarianceFamily
    ) -> Iterator[Mixture]:
        """The mixtures that EM starts from, one after the other."""
        known = check_given(
            (self.weights_init, self.means_init, self.precisions_init),
            self.covariance_type,
            (self.n_components, blocks.X.shape[1]),
        )
        previous = self._previous_mixture(family, blocks.X.shape[1])
        if previous is not None:
            yield previous
        elif len(known) == len(fields(Mixture)):
            yield Mixture(**known)
        else:
            for rows in self._starting_rows(blocks):
                with BLAS.held():
                    stats = statistics_of_start(
                        blocks, rows, self.n_components, family.storage.products
                    )
                    start = m_step(stats, family, self.reg_covar)
                yield replace(start, **known)

    def _starting_rows(self, blocks: ArrayBlocks) -> Iterator[NDArray]:
        """Labels or responsibilities, one for each of the `n_init` starts."""
        start, sizes = self.init_params, (blocks.sample_weight, self.n_components)
        if not isinstance(start, str) and not callable(start):
            yield check_start(start, *sizes)
            return
        rng = check_random_state(self.random_state)
        for run in range(self.n_init):
            if callable(start):
                X, weights = _read_only(blocks.X), _read_only(blocks.sample_weight)
                yield check_start(start(X, self.n_components, weights, rng), *sizes)
            else:
                function = INITIALIZERS[start][min(run, 1)]
                with BLAS.held():
                    rows = function(blocks, self.n_components, rng)
                yield rows

    def _previous_mixture(
        self, family: CovarianceFamily, n_features: int
    ) -> Mixture | None:
        """The mixture of the last fit, if `warm_start` asks for it and it fits."""
        if not self.warm_start or not hasattr(self, "weights_"):
            return None
        shape = (self.n_components, n_features)
        fits = self.means_.shape == shape and self._family is family
        return self._mixture() if fits else None

    def _publish(self, result: EMResult, blocks: ArrayBlocks) -> None:
        """Set the attributes of a finished fit."""
        self._publish_mixture(result.mixture, blocks.X.dtype)
        self.converged_ = result.converged
        self.n_iter_ = len(result.lower_bounds) - 1
        # Of the parameters as published: float32 rounds them.
        rounded = blocks.X.dtype != np.float64
        published = self._mixture() if rounded else result.mixture
        self.labels_ = np.empty(len(blocks.X), dtype=np.int64)
        self.lower_bound_ = _mean(
            sum_over_rows(blocks, published, _log_density, self.labels_)
        )
        self.lower_bounds_ = np.array(result.lower_bounds[1:])
        self.lower_bounds_[-1:] = self.lower_bound_

    def _publish_mixture(self, mixture: Mixture, dtype: np.dtype) -> None:
        """Set the parameters and begin the stream of samples."""
        covariances = mixture.covariances
        with np.errstate(over="ignore"):
            self.weights_ = mixture.weights.astype(dtype)
            self.means_ = mixture.means.astype(dtype)
            self.covariances_ = covariances.values.astype(dtype)
            self.precisions_ = covariances.precisions.astype(dtype, order="C")
            self.precisions_cholesky_ = covariances.precisions_cholesky.astype(
                dtype, order="C"
            )
        if not np.isfinite(self.covariances_).all():
            raise ValueError(
                f"X has covariances up to {covariances.values.max():.3g}, too large "
                f"for {np.dtype(dtype).name}: scale X, or pass it as float64."
            )
        self._fitted_type = self.covariance_type
        self._stream = (None, None)

    @property
    def _family(self) -> CovarianceFamily:
        """The family of the published parameters."""
        return FAMILIES[getattr(self, "_fitted_type", self.covariance_type)]

    def _mixture(self) -> Mixture:
        """The fitted mixture, in float64, from the published parameters."""
        check_is_fitted(self)
        means = np.asarray(self.means_, dtype=np.float64)
        factors = np.asarray(self.precisions_cholesky_, dtype=np.float64)
        with BLAS.held():
            covariances = self._family.storage.from_factors(factors, *means.shape)
        return Mixture(np.asarray(self.weights_, dtype=np.float64), means, covariances)

    def _rows(
        self,
        X: ArrayLike,
        sample_weight: ArrayLike | None = None,
        reset: bool = False,
        **checks: Any,
    ) -> ArrayBlocks:
        """Rows and their weights, checked."""
        rows: NDArray = validate_data(
            self, X, dtype=[np.float64, np.float32], reset=reset, **checks
        )
        return ArrayBlocks(rows, check_sample_weight(sample_weight, len(rows)))

    def _log_likelihood(
        self,
        X: ArrayLike,
        sample_weight: ArrayLike | None,
        score: Callable[..., NDArray] | None = None,
    ) -> tuple[float, float]:
        """Mean log-likelihood (or other score) of a row, and the weight of all rows."""
        mixture, blocks = self._mixture(), self._rows(X, sample_weight)
        total = sum_over_rows(blocks, mixture, score or _log_density)
        return _mean(total), float(total[1])

    def _bayesian_criterion(self, mean: float, weight: float) -> float:
        """-2 sum + (free parameters) log(weight), of a mean per row."""
        return -2 * mean * weight + self._n_parameters() * float(np.log(weight))

    def _n_parameters(self) -> int:
        """Free parameters of weights, means and covariances."""
        n_components, n_features = self.means_.shape
        covariances = self._family.n_parameters(n_components, n_features)
        return n_components - 1 + n_components * n_features + covariances

    def _sampling_stream(
        self, random_state: int | np.random.RandomState | None
    ) -> np.random.RandomState:
        """Where `sample` takes its random numbers from."""
        own = random_state is None
        seed = self.random_state if own else random_state
        if not own or not isinstance(seed, Integral):
            return check_random_state(seed)
        begun, stream = getattr(self, "_stream", (None, None))
        if stream is None or begun != seed:
            stream = check_random_state(seed)
            self._stream = (seed, stream)
        return stream


def _log_density(
    kernel: Kernel, log_joint: NDArray, labels: NDArray | None = None
) -> NDArray:
    """Log-densities of a block of rows; their most probable components too."""
    if labels is not None:
        labels[:] = kernel.labels(log_joint)
    return kernel.posterior(log_joint)[0]


def _responsibilities(kernel: Kernel, log_joint: NDArray) -> NDArray:
    """Probabilities of the components, shape (n, K)."""
    return kernel.posterior(log_joint)[1].T


def _classification_score(kernel: Kernel, log_joint: NDArray) -> NDArray:
    """Joint log-densities of rows and their most probable components."""
    return kernel.peak(log_joint) + kernel.reference


def _read_only(array: NDArray) -> NDArray:
    """A view through which the array cannot be altered."""
    view = array.view()
    view.flags.writeable = False
    return view


def _mean(total: NDArray) -> float:
    """Of a sum and the weight behind it."""
    return float(total[0] / total[1])
