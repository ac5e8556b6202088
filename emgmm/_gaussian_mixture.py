"""GaussianMixtureEM: its parameters, its fit, and what a fit publishes."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from copy import copy
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.exceptions import ConvergenceWarning

from ._data.arrays import RowBlocks
from ._data.base import RowSource
from ._data.sources import check_blocks
from ._data.validation import (
    check_enough_rows,
)
from ._em.checkpoint import checkpoint_of, resumed
from ._em.defects import defects
from ._em.fixed import GIVEN_BY
from ._em.known_labels import memberships_of
from ._em.prior import PRIORS
from ._em.problem import EMProblem
from ._em.progress import Progress
from ._em.result import EMResult
from ._em.state import EMState
from ._em.stepwise import (
    SCHEDULES,
    Step,
)
from ._estep.memberships import Memberships
from ._estep.predict import log_density
from ._init.starts import STARTS
from ._mixture_methods import mean_of_rows
from ._model.agreement import NOISE_WEIGHT
from ._model.families import FAMILIES
from ._model.parameters import Parameters
from ._model.published import published_arrays
from ._model.validation import (
    check_covariances,
    check_means,
    check_weights,
    shape_of_means,
)
from ._partial_fit import OF_STREAM, PartialFit
from ._persistence import naming, read_model
from ._sklearn_names import SklearnNames
from ._utils.callbacks import Tasks
from ._utils.device import follow
from ._utils.exceptions import Defects, warn_of_defects
from ._utils.sklearn_private import Interval, fit_context
from ._utils.threads import BLAS
from ._utils.validation import Names, restore_on_error
from .typing import CovarianceType, RowsLike

MOST_STARTS = 2**31 - 1

Fixable = str | Iterable[str] | Mapping[str, ArrayLike]
Prior = str | Mapping[str, ArrayLike]


class GaussianMixtureEM(SklearnNames, PartialFit):
    """Gaussian mixture model, fitted by expectation-maximisation (EM).

    A drop-in for `sklearn.mixture.GaussianMixture`, whose parameters, attributes and
    methods keep their names and meanings. It adds fourteen covariance models, missing
    values, sample weights, data larger than memory, and `partial_fit`.

    The user guide at https://emgmm.github.io/emgmm/guide.html explains each parameter.

    Parameters
    ----------
    n_components : int, default=3
        Number of components. In scikit-learn the default is 1.
    covariance_type : str, default="full"
        "full", "tied", "diag" or "spherical", or one of the fourteen models of three
        letters ("EII" to "VVV"): volume, shape and orientation of the components, each
        Equal, Variable, or Identity (round, or parallel to the axes) [1]_.
    tol : float, default=1e-3
        EM stops when the mean log-likelihood of a row, in nats, is estimated to be
        within `tol` of its limit. With 0 there are `max_iter` iterations.
    reg_covar : float or "scale", default="scale"
        By default nothing is added to variances unless one is about to vanish. A number
        is added to every variance, in squared units of the features. Set one if a fit
        warns of collapsed components, or to match scikit-learn, whose default is 1e-6.
    max_iter : int, default=1000
        Maximum number of EM iterations. With 0, the start itself is the result.
    n_init : int, default=1
        Number of starts, of which the best result is kept: the one with the highest
        likelihood among those in which no component has collapsed, if there are any.
    init_params : str, array-like or callable, default="split"
        "split" (the best of several clusterings, of which components are split and
        merged), "kmeans", "k-means++", "random_from_data" or "random"; labels or
        responsibilities of the rows; or a function `(X, n_components, sample_weight,
        rng)` that returns either.
    weights_init : array-like of shape (n_components,), default=None
        Starting weights, which sum to one; from `init_params` if None.
    means_init : array-like of shape (n_components, n_features), default=None
        Starting means; from `init_params` if None.
    precisions_init : array-like, default=None
        Starting precisions (inverse covariances), in the shape of `covariances_`;
        from `init_params` if None.
    random_state : int, RandomState instance or None, default=None
        Seed of the starts that draw random numbers, and of `sample`.
    warm_start : bool, default=False
        Whether to continue the previous fit, or one that was interrupted: on the same
        rows and from one start, ten fits with `max_iter=1` are one with `max_iter=10`.
        If the model, `n_components` or the features have changed, it starts afresh.
    verbose : int, default=0
        1 prints the iterations, 2 also times and changes of the log-likelihood.
    verbose_interval : int, default=10
        Number of iterations between two prints.
    acceleration : {"anderson", None}, default="anderson"
        "anderson": longer steps than EM's own where EM is slow (Anderson acceleration
        [2]_), taken back if they lower the likelihood. None: plain EM.
    step : {"decreasing"}, float or callable, default="decreasing"
        For `partial_fit`, the share of the statistics that a batch replaces.
        "decreasing" approaches the result of `fit`; a number in (0, 1] follows a
        mixture that drifts; a function `step(t)` returns that of batch t = 1, 2, ...
    fixed : str, list of str or dict, default=None
        Parameters that are known and not estimated: "weights", "means" or "covariances"
        of all components, or a dict from these names to True or to one boolean for each
        component. Their values are those of `weights_init`, `means_init` and
        `precisions_init`, or else those of the previous fit (`warm_start`); what else
        these have are starting values. Components keep their numbers, and criteria
        count only what is free. Covariances of some components can be fixed only in
        "full", "diag" and "spherical" models, where they share nothing.
    prior : {"conjugate"} or dict, default=None
        "conjugate": the fit maximises the posterior under a weak prior of means and
        covariances [4]_, for a few rows, or where something is known. A dict overrides
        what that takes from the rows: "mean" (n_features,), by default theirs;
        "shrinkage", the number of rows that this mean counts for, 0.01; "dof", degrees
        of freedom, at least `n_features` and by default 2 more; and "scale", a number,
        variances or a matrix, by default the covariance of the rows divided by
        `n_components`^(2 / `n_features`). See Notes.
    noise : {"uniform"}, float or None, default=None
        "uniform" adds rows that belong to no component, of constant density in the box
        that the rows fill: along the features or along the principal axes, whichever is
        smaller [5]_. A number is the volume of the box.

    Attributes
    ----------
    weights_ : ndarray of shape (n_components,)
        Weights of the components, which sum to one; in descending order, unless the
        start says which component is which (see Notes).
    means_ : ndarray of shape (n_components, n_features)
        Means of the components.
    covariances_ : ndarray
        Covariances: (n_components,) for spherical models, (n_components, n_features)
        for diagonal ones, (n_features, n_features) for "tied" and "EEE", otherwise
        (n_components, n_features, n_features).
    precisions_ : ndarray
        Inverses of the covariances, in the same shape.
    precisions_cholesky_ : ndarray
        Upper triangular factors U of the precisions, U U', in the same shape.
    labels_ : ndarray of shape (n_samples,)
        Most probable component of each row of the training data, -1 for noise, if that
        was an array in memory. They agree with `known_labels`.
    noise_weight_ : float
        Weight of the noise; with those of the components it sums to one. Exists only
        with `noise`, as `noise_box_` does.
    noise_box_ : ndarray of shape (2, n_features)
        Center and lengths of the box in which the noise is uniform. If the box along
        principal axes is smaller, that along the features is scaled to its volume.
    converged_ : bool
        Whether the fit stopped by `tol`.
    n_iter_ : int
        Number of EM iterations, each of which is one pass over the rows.
    lower_bound_ : float
        Mean log-likelihood of a row of the training data, in nats; with a `prior`, the
        log-posterior divided by the number of rows, up to a constant. After
        `partial_fit`, a running mean of the log-likelihood.
    lower_bounds_ : ndarray of shape (`n_iter_`,)
        Highest `lower_bound_` up to each iteration. If `reg_covar` is a number,
        the one after each iteration.
    lower_bounds_of_starts_ : list of ndarray
        The same for each start that did not fail. A start ends early if it can no
        longer be the best.
    n_samples_seen_ : float
        Number of rows, or the sum of their weights, in `fit` and in all calls of
        `partial_fit` after it.
    n_steps_ : int
        Number of batches after those that `partial_fit` started with. Exists only
        after `partial_fit`, which removes the attributes that describe a fit.
    mixture_ : Mixture
        The fitted mixture as a distribution, with marginals, conditionals, quantiles,
        entropy and divergence.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if `X` has names and all are strings.

    See Also
    --------
    GaussianMixtureIC : Selects the model and the number of components.
    sklearn.mixture.GaussianMixture : Four of the covariance models.

    Notes
    -----
    Components are numbered by descending weight after a start by name. Other starts
    (arrays, functions, `*_init`, a previous fit to other rows) say which component is
    which, and keep their numbers.

    NaN in `X` is a missing value: EM maximises the likelihood of what is observed [3]_.
    `X` may also be an iterable of blocks of rows, a function that returns one, a
    memory map, or a Dask array or dataframe. The number of threads, which is that of
    BLAS, does not change the result.

    Arrays of other libraries (PyTorch, CuPy), on a GPU too, are read where they are if
    scikit-learn is set to dispatch on libraries (`array_api_dispatch`). Attributes that
    are arrays, and what methods return, are then of the library and on the device of
    `X`. Rows with missing values are copied to the memory of the host.

    With a `prior` a covariance is inverse Wishart, and a mean normal about the mean of
    the prior with the covariance divided by the shrinkage. Variances of "diag" and
    "spherical" models are inverse gamma, by default with the mean of the variances as
    their scale. Where all components have one covariance, the prior has it once; models
    whose components share a part of it have the same prior for each component. Weights
    have none. If values are missing, the scale is without correlations. `score`, `bic`,
    `aic` and `icl` are those of the likelihood. For the rows of `partial_fit` the prior
    is that of all rows so far, and counts less and less.

    Attributes can be assigned, as in scikit-learn: predictions use
    `precisions_cholesky_`, and `sample` uses `covariances_`. scikit-learn's private
    methods for reading a mixture exist as well; a subclass that overrides a step of
    its EM gets a warning, because none of these is called here.

    References
    ----------
    .. [1] G. Celeux and G. Govaert, "Gaussian parsimonious clustering models",
       Pattern Recognition 28 (1995), 781-793. doi:10.1016/0031-3203(94)00125-6
    .. [2] H. Fang and Y. Saad, "Two classes of multisecant methods for nonlinear
       acceleration", Numerical Linear Algebra with Applications 16 (2009), 197-221.
       doi:10.1002/nla.617
    .. [3] Z. Ghahramani and M. I. Jordan, "Supervised learning from incomplete data via
       an EM approach", NIPS 6 (1994), 120-127.
    .. [4] C. Fraley and A. E. Raftery, "Bayesian regularization for normal mixture
       estimation and model-based clustering", Journal of Classification 24 (2007),
       155-181. doi:10.1007/s00357-007-0004-5
    .. [5] J. D. Banfield and A. E. Raftery, "Model-based Gaussian and non-Gaussian
       clustering", Biometrics 49 (1993), 803-821. doi:10.2307/2532201

    Examples
    --------
    >>> import numpy as np
    >>> from emgmm import GaussianMixtureEM
    >>> X = np.array([[1, 2], [2, 4], [3, 0], [10, 2], [11, 4], [12, 0]])
    >>> gmm = GaussianMixtureEM(n_components=2).fit(X)
    >>> gmm.means_
    array([[ 2.,  2.],
           [11.,  2.]])
    >>> gmm.predict([[0, 0], [12, 3]])
    array([0, 1])

    One mean is known to be zero, the other one is estimated:

    >>> gmm = GaussianMixtureEM(
    ...     n_components=2, means_init=[[0, 0], [9, 0]], fixed={"means": [True, False]}
    ... ).fit(X)
    >>> gmm.means_
    array([[ 0.,  0.],
           [11.,  2.]])
    """

    __module__ = "emgmm"

    _parameter_constraints = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "covariance_type": [Names(FAMILIES)],
        "tol": [Interval(Real, 0.0, None, closed="left")],
        "reg_covar": [Names(["scale"]), Interval(Real, 0.0, None, closed="left")],
        "max_iter": [Interval(Integral, 0, None, closed="left")],
        "n_init": [Interval(Integral, 1, MOST_STARTS, closed="both")],
        "init_params": [Names(STARTS), "array-like", callable],
        "weights_init": ["array-like", None],
        "means_init": ["array-like", None],
        "precisions_init": ["array-like", None],
        "random_state": ["random_state"],
        "warm_start": ["boolean"],
        "verbose": ["verbose"],
        "verbose_interval": [Interval(Integral, 1, None, closed="left")],
        "acceleration": [Names(["anderson"]), None],
        "step": [
            Names(SCHEDULES),
            Interval(Real, 0.0, 1.0, closed="right"),
            callable,
        ],
        "fixed": [Names(GIVEN_BY), list, tuple, set, Mapping, None],
        "prior": [Names(PRIORS), Mapping, None],
        "noise": [
            Names(["uniform"]),
            Interval(Real, 0.0, None, closed="neither"),
            None,
        ],
    }

    fixed: Fixable | None = None  # of models that earlier versions have pickled
    prior: Prior | None = None
    noise: float | Literal["uniform"] | None = None

    def __init__(
        self,
        n_components: int = 3,
        *,
        covariance_type: CovarianceType = "full",
        tol: float = 1e-3,
        reg_covar: float | Literal["scale"] = "scale",
        max_iter: int = 1000,
        n_init: int = 1,
        init_params: str | ArrayLike | Callable[..., ArrayLike] = "split",
        weights_init: ArrayLike | None = None,
        means_init: ArrayLike | None = None,
        precisions_init: ArrayLike | None = None,
        random_state: int | np.random.RandomState | None = None,
        warm_start: bool = False,
        verbose: int = 0,
        verbose_interval: int = 10,
        acceleration: Literal["anderson"] | None = "anderson",
        step: Step = "decreasing",
        fixed: Fixable | None = None,
        prior: Prior | None = None,
        noise: float | Literal["uniform"] | None = None,
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
        self.acceleration = acceleration
        self.step = step
        self.fixed, self.prior, self.noise = fixed, prior, noise

    @classmethod
    def from_parameters(
        cls,
        weights: ArrayLike,
        means: ArrayLike,
        covariances: ArrayLike,
        covariance_type: CovarianceType = "full",
    ) -> Self:
        """Make a mixture from known parameters, without data.

        The result predicts, scores and samples like a fitted estimator, but has no
        attributes that describe a fit (`labels_`, `lower_bound_`, `converged_`,
        `n_iter_`).

        Parameters
        ----------
        weights : array-like of shape (n_components,)
            Weights of the components, which sum to one.
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
        mixture = Parameters(
            check_weights(weights, sizes[0]),
            check_means(means, sizes),
            check_covariances(covariances, "covariances", covariance_type, sizes),
        )
        gmm.n_features_in_ = sizes[1]
        gmm._publish_mixture(mixture, np.dtype(np.float64))
        follow(gmm, means)
        return gmm

    def fit(
        self,
        X: RowsLike,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
        known_labels: ArrayLike | None = None,
    ) -> Self:
        """Estimate the parameters by EM.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or iterable of such
            The rows; NaN is a value missing at random. Arrays are not altered, and not
            copied unless they have NaN; float32 rows give float32 parameters. Rows that
            are not in memory: an iterable of blocks of rows, or of pairs (block,
            weights), that yields the same rows in every pass; a function that returns
            an iterator of them; or a Dask array or dataframe. Arrays of other libraries
            are read on their device (see Notes of the class).
        y : Ignored
            Present by convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row; a weight of 2 means that the row occurs twice. Must be
            None if `X` is an iterable of blocks.
        known_labels : array-like of shape (n_samples,) or (n_samples, n_components), \
                default=None
            What is known of the components of rows (semi-supervised fit [1]_): labels,
            -1 where none is known; or which components each row may belong to, as
            booleans or as prior probabilities, by which the densities of the components
            are multiplied. Rows of which something is known are not noise. The
            likelihood is that of the rows with what is known. An array in memory, for
            all kinds of `X`.

        Returns
        -------
        GaussianMixtureEM
            The estimator itself. If the fit fails, it is left as it was.

        Raises
        ------
        ValueError
            If the data or a parameter are invalid, if `fixed` names a parameter that is
            not given, if a feature has no value at all in rows of positive weight, or
            if `reg_covar` is a number that is too small, so that a covariance becomes
            singular in every start. Also if `X` can be iterated over only once or
            yields another number of rows in a later pass. Errors of an iterable itself
            are raised with a note that names the block.

        Warns
        -----
        ConvergenceWarning
            If the best fit did not stop by `tol` within `max_iter` iterations.
        DegenerateComponentWarning
            If components have collapsed onto a few rows, have fewer rows than their
            covariances need, or have none; or if covariance matrices are fitted and `X`
            has no variance in some direction. The warning says what to do.

        References
        ----------
        .. [1] K. Nigam, A. K. McCallum, S. Thrun and T. Mitchell, "Text classification
           from labeled and unlabeled documents using EM", Machine Learning 39 (2000),
           103-134. doi:10.1023/A:1007692713085

        Examples
        --------
        >>> from emgmm import GaussianMixtureEM
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> GaussianMixtureEM(n_components=2).fit(X).means_
        array([[1.],
               [9.]])

        With two rows of known components, and the others unknown:

        >>> labels = [1, -1, -1, -1, -1, 0]
        >>> GaussianMixtureEM(n_components=2).fit(X, known_labels=labels).means_
        array([[9.],
               [1.]])
        """
        return self._fit(X, y, sample_weight, known_labels)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a fitted mixture from a file that `save` has written.

        Everything in the file is checked, and no code in it is run. On the same
        machine, the loaded estimator predicts bit for bit what the saved one does.

        Parameters
        ----------
        path : str or path-like
            The file.

        Returns
        -------
        GaussianMixtureEM
            The mixture, without `labels_` and `lower_bounds_of_starts_`.

        Raises
        ------
        ValueError
            If the file is damaged or is not a saved mixture, or if a newer version of
            emgmm wrote it in a format that this one does not know.
        OSError
            If the file cannot be read; FileNotFoundError if there is none.

        Examples
        --------
        >>> import tempfile
        >>> from emgmm import GaussianMixtureEM
        >>> gmm = GaussianMixtureEM.from_parameters([1.0], [[2.0]], [[[4.0]]])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     gmm.save(f"{folder}/model.npz")
        ...     GaussianMixtureEM.load(f"{folder}/model.npz").means_
        array([[2.]])
        """
        model, attributes, parameters = read_model(path, cls._get_param_names())
        gmm = cls(**parameters)
        with naming(path):
            gmm._validate_params()
        gmm.__dict__.update(attributes, _fitted_type=model, _stream=(None, None))
        return gmm

    @fit_context(prefer_skip_nested_validation=True)
    def _fit(
        self,
        X: RowsLike,
        y: Any,
        sample_weight: ArrayLike | None,
        known_labels: ArrayLike | None = None,
    ) -> Self:
        """The estimator, with the best of the fits from all starts published."""
        passed = {"sample_weight": sample_weight, "known_labels": known_labels}
        metadata = {name: value for name, value in passed.items() if value is not None}
        tasks = Tasks(self, X=X, y=y, metadata=metadata or None)
        tasks.begin("fit", self.n_init)
        with restore_on_error(self, but="_reached"):
            rows = check_blocks(self, X, sample_weight, reset=True)
            check_enough_rows(rows, self.n_components)
            known = memberships_of(known_labels, rows, self.n_components)
            # To limit BLAS once for a fit is cheaper; a user's function is not limited.
            is_function = callable(self.init_params)
            with nullcontext() if is_function else BLAS.single_threaded():
                found = self._fit_rows(rows, known, tasks)
            follow(self, X)
            tasks.end(dict)
        warn_of_defects(found, not isinstance(self.reg_covar, str))
        if not self.converged_ and self.n_iter_ == self.max_iter > 0:
            warnings.warn(
                "Best performing initialization did not converge. Try different init "
                "parameters, or increase max_iter, tol, or check for degenerate data.",
                ConvergenceWarning,
                stacklevel=4,
            )
        return self

    def _fit_rows(
        self, rows: RowSource, known: Memberships | None, tasks: Tasks
    ) -> Defects:
        """Reasons to doubt the best fit of all starts, which is published."""
        with BLAS.single_threaded():
            problem = replace(self._problem(rows), memberships=known)
            problem, starts = self._starts_or_state(problem, rows)

        def published(result: EMResult) -> dict[str, Any]:
            """The attributes that a fit would have if it ended here."""
            ended = copy(self)
            ended._publish(problem.to_be_published(result), rows, known)
            return ended.__dict__

        progress = Progress(self.verbose, self.verbose_interval, tasks, published)
        with self._kept_if_it_fails(problem, progress):
            results = problem.runs(starts, progress)
            with BLAS.single_threaded():
                best = problem.best(results.kept)
                progress.ended(best.mixture)
                self._publish(problem.to_be_published(best), rows, known)
                if self.warm_start:
                    self._checkpoint = checkpoint_of(problem, best)
                self.lower_bounds_of_starts_ = [
                    self.lower_bounds_
                    if bounds is best.lower_bounds
                    else problem.bounds_of_the_user(bounds[1:])
                    for bounds in results.lower_bounds
                ]
                return defects(problem, problem.numbered(best.mixture))

    def _starts_or_state(
        self, problem: EMProblem, rows: RowSource
    ) -> tuple[EMProblem, Iterable[Callable[[Progress], Parameters | EMState]]]:
        """The problem, and its starts or the state in which the last fit ended."""
        checkpoint = getattr(self, "_checkpoint", None)
        if self.warm_start and checkpoint and not hasattr(self, "_reached"):
            last = resumed(problem, self.n_components, checkpoint, vars(self))
            if last is not None:
                return last[0], [lambda progress: last[1]]
        return self._with_starts(problem, rows)

    @contextmanager
    def _kept_if_it_fails(
        self, problem: EMProblem, progress: Progress
    ) -> Iterator[None]:
        """A context that keeps the mixture EM has reached, if the block raises."""
        try:
            yield
        except BaseException:
            if progress.reached is not None:
                reached = problem.mixture_of_the_user(progress.reached)
                with suppress(ValueError):  # what cannot be published is not kept
                    published_arrays(reached, problem.rows.summary.dtype)
                    self._reached = (self.covariance_type, reached)
            raise

    def _publish(
        self, result: EMResult, rows: RowSource, known: Memberships | None = None
    ) -> None:
        """Set the attributes of a finished fit, to rows of which something is known."""
        self._publish_mixture(result.mixture, rows.summary.dtype)
        self.converged_ = result.converged
        self.n_iter_ = len(result.lower_bounds) - 1
        self._forget(["labels_", *OF_STREAM])
        self.lower_bound_ = result.lower_bound
        # Of the parameters as published: float32 rounds them, their order a sum.
        rounded = rows.summary.dtype != np.float64
        weights = self.weights_ / (self.weights_.sum() + getattr(self, NOISE_WEIGHT, 0))
        same = replace(result.mixture, weights=weights)
        mixture = self._mixture() if rounded else same
        if isinstance(rows, RowBlocks):
            labels = rows.empty((), np.int64)
            self.lower_bound_, _ = mean_of_rows(
                rows, mixture, log_density, labels, memberships=known
            )
            self.lower_bound_ += result.log_prior
            self.labels_ = rows.to_input_order(labels)
        elif rounded:
            self.lower_bound_, _ = mean_of_rows(
                rows, mixture, log_density, memberships=known
            )
            self.lower_bound_ += result.log_prior
        self.lower_bounds_ = np.array(result.lower_bounds[1:])
        self.lower_bounds_[-1:] = self.lower_bound_
        self.lower_bounds_of_starts_ = [self.lower_bounds_]
        self.n_samples_seen_ = rows.summary.weight
