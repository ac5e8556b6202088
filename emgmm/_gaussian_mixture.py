"""GaussianMixtureEM: the estimator that users meet."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from copy import copy
from dataclasses import fields, replace
from functools import partial
from itertools import repeat
from numbers import Integral, Real
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClusterMixin, _fit_context
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.utils import Tags, check_random_state
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted, validate_data

from ._data.base import NO_ROWS, RowBlocks, RowSource
from ._data.sources import check_blocks, for_rows, refuse_blocks
from ._data.validation import (
    check_batch,
    check_enough_rows,
    check_map,
    check_something_observed,
)
from ._em.checkpoint import checkpoint_of, resumed
from ._em.mstep import MStep
from ._em.problem import SINGULAR, Begin, EMProblem
from ._em.progress import Progress
from ._em.regularization import RidgeRegularization, ScaleRegularization
from ._em.result import EMOptions, EMResult
from ._em.state import EMState
from ._em.stepwise import (
    SCHEDULES,
    START_ITER,
    StartBuffer,
    Step,
    StreamState,
    rows_to_start,
    share_of,
)
from ._estep.conditional import Regression, conditional_moments, imputed
from ._estep.kernel import Kernel
from ._estep.predict import (
    RowwisePredictor,
    classification_score,
    log_density,
    responsibilities,
    sum_over_rows,
)
from ._init.starts import STARTS, check_start
from ._init.subsample import large_subsample
from ._init.symmetry import break_symmetry
from ._mixture import Mixture, check_X, make_mixture
from ._model.families import FAMILIES, CovarianceFamily
from ._model.parameters import Parameters
from ._model.published import Published, published_arrays
from ._model.validation import (
    check_covariances,
    check_given,
    check_means,
    check_weights,
    shape_of_means,
)
from ._persistence import naming, read_model, write_model
from ._sklearn_names import SklearnNames
from ._utils.callbacks import CallbackSupportMixin, Tasks
from ._utils.exceptions import Defects, warn_of_defects
from ._utils.features import Features, split_features
from ._utils.inputs import validated
from ._utils.threads import BLAS
from ._utils.validation import Names, Suggesting, check_n_samples, restore_on_error
from .typing import CovarianceType, RowsLike

MOST_STARTS = 2**31 - 1
OF_FIT = "labels_ converged_ n_iter_ lower_bounds_ lower_bounds_of_starts_".split()
OF_STREAM = ("n_steps_", "_running", "_gathered")
"""What a fit publishes that `partial_fit` does not, and the reverse."""


class GaussianMixtureEM(
    SklearnNames, Suggesting, CallbackSupportMixin, ClusterMixin, BaseEstimator
):
    """Gaussian mixture fitted by expectation-maximisation.

    The parameters, attributes and methods that `sklearn.mixture.GaussianMixture`
    has too keep their names and meanings. Beyond them: fourteen covariance models,
    missing values, `sample_weight`, starts from labels or responsibilities, `icl`,
    `labels_`, `partial_fit`, and `from_parameters`.

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
        EM stops when the gain still to come is estimated to be less: in the mean
        log-likelihood of a row (in nats), from EM's step and the curvature that the
        last steps met, with a wide margin. 0 iterates `max_iter` times.
    reg_covar : float or "scale", default="scale"
        How covariances are kept positive definite.

        - "scale": nothing is added, and the fit is at a maximum of the likelihood.
          Features that are rounded, as rows show it, bound variances from below: see
          Notes. Should the variance of a component in some direction still come within
          ten times of a least one (1e-16 of the mean variance within components, or
          1.4e-14 `n_features` of the component's own where that is more, and no less
          than the rounding of the numbers), that is added to variances from then on,
          and never more than before. It bounds the likelihood, as bounded ratios of
          variances do [4]_, and follows the units of the features. Where values are
          missing, 1e-8 `n_features` of the own variance, in components of fewer than
          `4 * (n_features + 1)` rows without gaps.
        - a number: added to every variance, in squared units of the features, as in
          scikit-learn. With 0, rows in which a component has no width are refused.
    max_iter : int, default=1000
        Greatest number of EM iterations; 0 publishes the start.
    n_init : int, default=1
        Number of starts; the fit with the best log-likelihood is kept, of those in
        which no component has collapsed onto a few rows, if there are any. A start that
        is singular is left out, unless all are. A start that is given as an array, or
        by all three `*_init`, is run once.
    init_params : str, array-like or callable, default="split"
        The start.

        - "split": the better of two. One splits components in two, beginning with a
          single one, where that raises the likelihood most: across the principal axis,
          across the directions of least or of greatest kurtosis, the inner from the
          outer half, or rows that are equal from others. Where rows times squared
          components are more than 2**26, up to a quarter of the components is split at
          a time, as far as these gain about as much as the first. The other is k-means
          of standardised features. Both are iterated to their ends (to a `tol` of 1e-3
          at least) where that is cheap, and else for as many iterations as take 2**22
          densities of rows, or for five. Where they then differ by what may be chance
          in a sample, all rows decide. The first start draws no random numbers, and
          sees only the weighted distribution of the rows; where these are many (more
          than 4096, and 32 for each component and feature), it sees a sample of them,
          always the same one. Where they are very many (more than 2**24 numbers), EM
          goes on from there with a larger sample, of 2**20 numbers, so that it has to
          pass over all rows less often; `n_iter_` counts passes over all of them.
          Further starts (`n_init`) are k-means of standardised features, seeded by
          k-means++.
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
          `rng` is a `numpy.random.RandomState`. Of rows that are not in memory it sees
          a sample.

        "kmeans" to "random" see a sample of the rows too, where these hold more than
        2**20 numbers; the same one, whether or not the rows are in memory.

        Components that an array, a callable or `*_init` makes equal, in mean and in
        covariance, would stay so in every iteration: unless `max_iter` is 0, their
        means are first moved to the centers of a k-means of the rows that they share.
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
        Start from the parameters of the previous fit, or, if the last one was
        interrupted or failed after some iterations, from where it had come to. Where
        these do not fit (other `n_components`, `covariance_type` or number of
        features), start afresh.
    verbose : int, default=0
        1 prints the iterations, 2 also times and changes of the log-likelihood.
    verbose_interval : int, default=10
        Iterations from one print to the next.
    acceleration : {"anderson", None}, default="anderson"
        "anderson": iterations take longer steps than EM's own where the last steps
        show that EM is slow (Anderson's acceleration of the first kind [5]_, in
        coordinates in which the information of complete rows is the identity). A
        step that does not raise the likelihood is taken back, which costs that
        iteration. Where `reg_covar` adds more than a thousandth of a variance, steps
        are EM's own. None: plain EM, iteration by iteration.
    step : {"decreasing"}, float or callable, default="decreasing"
        The share of what is known that a batch replaces in `partial_fit`.

        - "decreasing": 1 - (1 - w / S)^2 for a batch of weight w, where S is the weight
          of all rows so far, its own too. A row counts in proportion to how many came
          before it, so that those seen by an early, poor mixture are soon outweighed;
          how the rows are cut into batches plays next to no part.
        - a number, more than 0 and at most 1: the same for every batch. What batches
          told is forgotten exponentially, and a mixture that drifts is followed: with
          0.05, half of what is known comes from the last 14 batches.
        - a callable `step(t)` that returns such a number for batch t = 1, 2, ... after
          those that the start was found with, such as `lambda t: (t + 2) ** -0.7`.

    Attributes
    ----------
    weights_ : ndarray of shape (n_components,)
        Weights of the components, in descending order unless the start says which
        component is which (see Notes).
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
        and `means_`, what predictions are computed from (see Notes).
    labels_ : ndarray of shape (n_samples,)
        Most probable component of each row of the training data; only where these are
        in memory (see Notes).
    converged_ : bool
        Whether the kept fit stopped by `tol`.
    n_iter_ : int
        EM iterations of the kept fit: passes over the rows, but for a first one that
        scores the start, and for what the start itself needs.
    lower_bound_ : float
        Mean log-likelihood of a row under the published parameters, in nats: what
        `score` returns for the training data. After `partial_fit` a running mean, of
        each row under the parameters before it came.
    lower_bounds_ : ndarray of shape (n_iter_,)
        Mean log-likelihood after each iteration of the kept fit, of the best mixture
        until then: it stays as it was where a step led to less. With a number for
        `reg_covar` it is that of the last mixture, and can fall.
    lower_bounds_of_starts_ : list of ndarray
        The like for each start that did not fail, in their order.
    n_samples_seen_ : float
        Number of rows that the parameters come from, or the sum of their weights:
        those of `fit`, and of all calls of `partial_fit` after it.
    n_steps_ : int
        Batches of `partial_fit` after those that the start was found with. Only after
        `partial_fit`, which leaves no `labels_`, `converged_`, `n_iter_`,
        `lower_bounds_` and `lower_bounds_of_starts_`.
    mixture_ : Mixture
        The fitted mixture as a distribution: its marginals, conditionals, quantiles,
        entropy, divergence from another.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, where `X` has names that are all strings.

    See Also
    --------
    sklearn.mixture.GaussianMixture : Four of the covariance models.

    Notes
    -----
    After a start by name (`init_params`) components are numbered by descending weight;
    those whose weights are equal to a millionth, by the mean of the first feature, of
    the next, and so on. Labels, responsibilities and all attributes have these numbers.
    Where the start says which component is which, it keeps its own: with labels,
    responsibilities or a callable, with any of `weights_init`, `means_init` and
    `precisions_init`, and after a warm start. `partial_fit` numbers components once,
    when it starts.

    Rows are visited in blocks of a few megabytes, shared between as many threads as
    BLAS may use: `OMP_NUM_THREADS`, `threadpoolctl.threadpool_limits` and joblib's
    workers limit them. BLAS itself is held to one thread meanwhile. How many threads
    there are changes no bit of the result.

    From version 1.9 on scikit-learn has callbacks: `set_callbacks` takes its
    `ProgressBar`, `ScoringMonitor` and others. Tasks are "fit", "init" for each start,
    and "iter" for each iteration; one that asks to stop ends the start. Where
    components are split ("split", more than two), there is a task "start" before, and
    in it a task "growth" for each round of splits.

    If a fit is interrupted, the estimator is as it was before; with `warm_start=True`
    the next fit goes on where this one was.

    Rows need not be in memory. `fit`, `score` and the criteria take an iterable of
    blocks of rows, or of pairs (block, weights), of any sizes; or a callable that
    returns an iterator of them. `fit` iterates as often as it passes over the rows:
    once to summarise them; for each start once for a sample, once to score it and once
    for each iteration; in the end once more if they are float32, and if they are
    weighted or incomplete. Only a block and a chunk of 2**22 numbers are in memory at a
    time. So it is with a memory map (`numpy.memmap`, `numpy.load` with `mmap_mode`) of
    more than 64 MB: its rows are read chunk by chunk, and there are no `labels_`.
    `predict`, `predict_proba` and `score_samples` of blocks return an iterator of
    results, one for each block; of a map, an array.

    Nor need they be on one machine. The same methods take Dask arrays and dataframes of
    numbers (`pip install "emgmm[dask]"`), with `sample_weight` as a Dask array or as
    any other. Every chunk of rows is visited by a task, where Dask runs it: of what it
    computes only sums travel, of the size of the mixture, and they are added in the
    order of the chunks. Predictions are Dask arrays, not yet computed. A fit computes
    the rows anew in each pass, unless they were persisted; and what its graph holds of
    them in this process is sent to the workers in each.

    With ``reg_covar="scale"`` the resolution of the rows bounds the variances. Where
    two thirds of the distinct rows share their value of a feature with others, its step
    is the median distance of such neighbouring values; otherwise it is the number of
    which all of its distances are multiples, if there is one (of many rows a sample is
    looked at). No component has a variance in any direction below that of independent
    features with the variances step^2 / (2 pi), at which the density of a component on
    a single value is 1 / step: with less it would be known to less than the step, and
    components on single values would be likelier than the clusters that were rounded. A
    spherical variance is bounded by their mean. Each M-step maximises the likelihood
    within the bound. A feature that is constant has the variance 1 in every component,
    and plays no part in models in which features have variances of their own. Features
    without a step are fitted as they are: a component on many rows that are equal is a
    cluster, and only one that has collapsed onto fewer than ten of them, or than the
    model needs, is warned of. Beyond 256 features the bound is added to matrices that
    need it.

    Attributes may be assigned, to make a mixture or to edit one, and are followed as in
    scikit-learn: densities and responsibilities come from `precisions_cholesky_`, which
    may be any matrices U with precision = U U'; `sample` draws from `covariances_`; one
    that is missing is derived from the other. `mixture_`, `impute`, `conditional_mean`,
    `partial_fit` and `save` use `precisions_cholesky_`, and raise ValueError where
    `covariances_` disagree by more than rounding.

    Code that asks for scikit-learn's class takes this one too after
    ``sklearn.mixture.GaussianMixture.register(GaussianMixtureEM)``. The private methods
    of it that other packages read are there (`_estimate_log_prob` and the like), but
    none of those that its EM calls is called here: a subclass that overrides one is
    warned.

    NaN in `X` is a missing value, and so is what a `numpy.ma.MaskedArray` masks, in a
    fit as in a prediction. EM then takes the place of each with what it expects of it,
    given the rest of the row [6]_, and maximises
    the likelihood of what is observed: each row is scored by the marginal density of
    the features that it has. That is right where values are missing at random: whether
    one is missing may depend on values that are observed, but not on those that are
    missing [7]_. A row with nothing has a log-density of 0 and the weights of the
    components as its probabilities; it counts as a row in `bic` and `icl`, as all do.
    A feature without any value is refused. An iteration takes longer the more patterns
    of missing values there are; for models with axes parallel to the coordinates
    patterns do not matter. Rows with NaN are copied, in the order of their patterns;
    rows without pay nothing. Starts by name see missing values where a single Gaussian
    expects them; a callable sees NaN.

    With float32 rows EM works in float32 within a block where its rounding moves a
    log-density by less than 1e-3, and adds up in float64; where values are missing, in
    float64 throughout. Predictions and scores are computed in float64.

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
    .. [4] R. J. Hathaway, "A constrained formulation of maximum-likelihood estimation
       for normal mixture distributions", Annals of Statistics 13 (1985), 795-800.
       doi:10.1214/aos/1176349557
    .. [5] H. Fang and Y. Saad, "Two classes of multisecant methods for nonlinear
       acceleration", Numerical Linear Algebra with Applications 16 (2009), 197-221.
       doi:10.1002/nla.617
    .. [6] Z. Ghahramani and M. I. Jordan, "Supervised learning from incomplete data via
       an EM approach", NIPS 6 (1994), 120-127.
    .. [7] R. J. A. Little and D. B. Rubin, "Statistical Analysis with Missing Data",
       3rd edition, Wiley (2019). doi:10.1002/9781119482260

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
    """

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
    }

    def __init__(
        self,
        n_components: int = 1,
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

    @classmethod
    def from_parameters(
        cls,
        weights: ArrayLike,
        means: ArrayLike,
        covariances: ArrayLike,
        covariance_type: CovarianceType = "full",
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
        mixture = Parameters(
            check_weights(weights, sizes[0]),
            check_means(means, sizes),
            check_covariances(covariances, "covariances", covariance_type, sizes),
        )
        gmm.n_features_in_ = sizes[1]
        gmm._publish_mixture(mixture, np.dtype(np.float64))
        return gmm

    def fit(
        self, X: RowsLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Estimate the parameters by EM.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or iterable of such
            The rows. float32 and float64 arrays, memory-mapped ones too, are not
            altered, and not copied as a whole unless they hold NaN; float32 rows give
            float32 parameters, from sums in float64. NaN is a value that is missing at
            random: each row counts by what it has. Or an iterable of blocks of rows, or
            of pairs (block, weights), that gives the same rows whenever it is iterated
            over; or a callable that returns an iterator of them; or a Dask array or
            dataframe (see Notes).
        y : Ignored
            Present by convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row; a weight of 2 means that the row occurs twice. None
            beside blocks: these bring their own.

        Returns
        -------
        GaussianMixtureEM
            The estimator itself. If the fit fails, it is as it was.

        Raises
        ------
        ValueError
            If the data or an argument are not valid, a feature has no value at all in
            rows of positive weight, or if a covariance becomes singular in every start
            because `reg_covar` is a number, and too small. If `X` can be iterated over
            only once, or gives another number of rows in a later pass; if a file that
            is mapped has been truncated. What an iterable raises is raised, with a note
            that says where.

        Warns
        -----
        ConvergenceWarning
            If the kept fit did not stop by `tol` within `max_iter` iterations.
        DegenerateComponentWarning
            Once, with what to do, if components have collapsed onto few rows, hold
            fewer effective rows than their covariances need (at most `n_features` + 1,
            and no more than a search asks for), or hold none; or if X as a whole has no
            width in some direction, and matrices are fitted.

        Examples
        --------
        >>> from emgmm import GaussianMixtureEM
        >>> X = [[0.0], [1.0], [2.0], [8.0], [9.0], [10.0]]
        >>> GaussianMixtureEM(n_components=2).fit(X).means_
        array([[1.],
               [9.]])
        """
        return self._fit(X, y, sample_weight)

    @_fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Take in a batch of rows by stepwise EM; batches may come without end.

        Each batch moves the expected statistics of the rows by a share, `step`,
        towards those of the batch under the mixture so far, and the next mixture is
        that of the statistics [1]_ [2]_. What is kept is as large as the mixture,
        however many rows have come. Over several epochs of a fixed data set, shuffle
        the rows before each.

        The first rows are gathered until there are 20 for each component and feature
        (and one more: 20 `n_components` (`n_features` + 1); fewer where they would be
        more than 2^20 numbers), and the estimator is not fitted before. From these a
        mixture is started as in `fit` (`init_params`, `n_init`), with at most 20
        iterations. An array `init_params` is for just as many first rows as it has. A
        large first batch is a better start than several small ones.

        After `fit`, `load` or `from_parameters` a first call goes on from that mixture,
        as if its rows had come as batches; from `from_parameters`, as if it had as many
        rows as a start is made of. `fit` forgets batches, and starts afresh. Attributes
        that are assigned between batches change how the next batch is seen, not what is
        known of the rows before.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows, one or more. NaN is a missing value, as in `fit`. Parameters are
            float32 if all rows of the start are.
        y : Ignored
            Present by convention.
        sample_weight : array-like of shape (n_samples,), default=None
            Weight of each row; a weight of 2 means that the row occurs twice. A batch
            in which no row has a weight changes nothing.

        Returns
        -------
        GaussianMixtureEM
            The estimator itself. If the call fails, it is as it was.

        Raises
        ------
        ValueError
            If the data or an argument are not valid; if `X` has another number of
            features than before, or `n_components` or `covariance_type` have changed;
            if `step` gives no share; if a feature has no value at all in the rows for
            the start; or if a covariance becomes singular because `reg_covar` is a
            number, and too small.

        References
        ----------
        .. [1] O. Cappe and E. Moulines, "On-line expectation-maximization algorithm for
           latent data models", JRSS B 71 (2009), 593-613.
           doi:10.1111/j.1467-9868.2009.00698.x
        .. [2] P. Liang and D. Klein, "Online EM for unsupervised models", NAACL (2009),
           611-619. doi:10.3115/1620754.1620843

        Examples
        --------
        >>> import numpy as np
        >>> from emgmm import GaussianMixtureEM
        >>> rng = np.random.default_rng(0)
        >>> gmm = GaussianMixtureEM(n_components=2)
        >>> for _ in range(100):
        ...     centers = rng.choice([0.0, 10.0], size=(50, 1))
        ...     gmm = gmm.partial_fit(centers + rng.standard_normal((50, 1)))
        >>> np.sort(gmm.means_.ravel()).round(1)
        array([ 0., 10.])
        >>> gmm.n_samples_seen_
        5000.0
        """
        refuse_blocks(X, "partial_fit")
        with restore_on_error(self):
            rows = check_batch(self, X, sample_weight)
            if rows is None:
                return self
            if self.__sklearn_is_fitted__():
                self._blend(rows)
            else:
                self._gather(rows)
        return self

    def fit_predict(
        self, X: RowsLike, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> NDArray:
        """Estimate the parameters and return the labels of the rows.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows; NaN is a missing value, as in `fit`.
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
        self._fit(X, y, sample_weight)
        return self.labels_ if hasattr(self, "labels_") else self.predict(X)

    def predict(self, X: RowsLike) -> NDArray:
        """Most probable component of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or iterable of such
            The rows, as in `fit`; NaN is a missing value. Each row is assigned by what
            it has.

        Returns
        -------
        ndarray of shape (n_samples,), or iterator of such
            Components, from 0 to n_components - 1. For blocks, one array for each;
            for a Dask array, another.

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
        return for_rows(
            self, X, RowwisePredictor(self._mixture(), Kernel.labels, np.int64)
        )

    def predict_proba(self, X: RowsLike) -> NDArray:
        """Responsibilities: probabilities of the components, given each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or iterable of such
            The rows, as in `fit`; NaN is a missing value. A row with nothing has the
            weights of the components as its probabilities.

        Returns
        -------
        ndarray of shape (n_samples, n_components), or iterator of such
            Probabilities, with a sum of one in each row. For blocks, one array
            for each; for a Dask array, another.

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
        mixture = self._mixture()
        telling = RowwisePredictor(
            mixture, responsibilities, None, (len(mixture.weights),)
        )
        return for_rows(self, X, telling)

    def score_samples(self, X: RowsLike) -> NDArray:
        """Log-density of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or iterable of such
            The rows, as in `fit`; NaN is a missing value. The density is that of what a
            row has, and its logarithm 0 for a row with nothing.

        Returns
        -------
        ndarray of shape (n_samples,), or iterator of such
            Logarithms of the mixture's density, in nats. For blocks, one array
            for each; for a Dask array, another.

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
        return for_rows(self, X, RowwisePredictor(self._mixture(), log_density))

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

    def bic(self, X: RowsLike, sample_weight: ArrayLike | None = None) -> float:
        """Bayesian information criterion on the rows; lower is better.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or iterable of such
            The rows, as in `fit`; NaN is a missing value. Rows count in full, whatever
            they lack.
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

    def icl(self, X: RowsLike, sample_weight: ArrayLike | None = None) -> float:
        """Integrated complete-data likelihood criterion; lower is better.

        BIC with a penalty for rows that belong to no component clearly:
        BIC - 2 sum_i log max_k r_ik, with responsibilities r [1]_.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features), or iterable of such
            The rows, as in `fit`; NaN is a missing value. Rows count in full, whatever
            they lack.
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
        mean, weight = self._log_likelihood(X, sample_weight, classification_score)
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
            If `n_samples` is not a whole number of 1 or more, or `covariances_` have
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
        return mixture.sample(n_samples, self._sampling_stream(random_state))

    @property
    def mixture_(self) -> Mixture:
        """The fitted mixture as a distribution, a `Mixture`; see there."""
        names = getattr(self, "feature_names_in_", None)
        return make_mixture(self._published().agreed, names)

    def impute(
        self,
        X: ArrayLike,
        *,
        draw: bool = False,
        random_state: int | np.random.RandomState | None = None,
    ) -> NDArray:
        """Replace what is missing by what the rest of its row tells of it.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            The rows, with NaN where a value is missing. A row may lack every value.
        draw : bool, default=False
            False: conditional means under the whole mixture, the best guess of each
            value (in mean square). True: draws from the conditional distribution,
            which vary as the values do; several sets of them, analysed one by one,
            are multiple imputation [1]_. How uncertain the parameters are is not in
            them: for that, impute by fits to bootstrap samples of the rows.
        random_state : int, RandomState instance or None, default=None
            Seed of the draws; only with `draw=True`. None goes on with the
            estimator's own stream, as in `sample`: calls differ from one another.

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            The rows in their own type of numbers, float64 or float32. What is there
            stays as it is, bit for bit.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If `X` is not valid, or has another number of features than in `fit`; if
            there is a `random_state` without `draw`.

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
                f"random_state={random_state!r}, but means draw no random numbers: "
                "pass draw=True for draws, or leave out random_state."
            )
        refuse_blocks(X, "impute")
        check_map(X)
        rows = validated(
            partial(validate_data, self),
            X,
            dtype=[np.float64, np.float32],
            ensure_all_finite="allow-nan",
            reset=False,
        )
        return imputed(
            rows, mixture, self._sampling_stream(random_state) if draw else None
        )

    def conditional_mean(
        self,
        X: ArrayLike,
        given: Features,
        return_std: bool = False,
        return_cov: bool = False,
    ) -> NDArray | tuple[NDArray, ...]:
        """Predict features from others: their means where those have known values.

        This is regression by a mixture: of each component on a line, and these
        averaged by how probable each component makes the values given [1]_.
        `mixture_.conditional` tells the whole distribution, for one row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_given)
            Values of the features given, in their order. Where one is NaN, the row's
            others are what is given.
        given : int, str, or list of int or str
            Which features the columns are, by index or by name.
        return_std : bool, default=False
            Whether to return standard deviations too.
        return_cov : bool, default=False
            Whether to return covariances too. At most one of the two.

        Returns
        -------
        mean : ndarray of shape (n_samples, n_features - n_given)
            Means of the other features, in the order of `fit`.
        std : ndarray of shape (n_samples, n_features - n_given)
            Their standard deviations: within components, and between them.
        cov : ndarray of shape (n_samples, n_features - n_given, n_features - n_given)
            Their covariances.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        RuntimeError
            If both standard deviations and covariances are asked for.
        ValueError
            If a feature is unknown, or given twice, if none or all are, or if `X` is
            not valid or has not one column for each.

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
                "At most one of return_std or return_cov can be requested: the "
                "diagonals of covariances are squares of standard deviations."
            )
        refuse_blocks(X, "conditional_mean")
        mixture = self._published().agreed
        names = getattr(self, "feature_names_in_", None)
        known, others = split_features(given, mixture.means.shape[1], names, "given")
        columns = None if names is None else names[known]
        rows = check_X(X, columns, len(known))
        moments = Regression.deviations if return_std else Regression.mean_alone
        moments = Regression.covariances if return_cov else moments
        mean, *spread = conditional_moments(rows, mixture, known, others, moments)
        return (mean, *spread) if spread else mean

    def __sklearn_tags__(self) -> Tags:
        """What scikit-learn is told of the estimator: rows may have missing values."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted mixture to a file, for `load`.

        The file is a plain .npz archive, as `numpy.savez` writes it: arrays, and a text
        in JSON with the rest. It takes its place only when it is whole.

        It holds the parameters, the course of the fit, what `partial_fit` goes on from,
        the names of the features and the constructor's parameters. It does not hold
        `lower_bounds_of_starts_` or `labels_` (`predict` gives them again from the
        rows), nor how far `sample` has come or a fit that was interrupted, nor a
        callable `init_params` or `step` and a RandomState instance: the loaded
        estimator has the defaults of these.

        Parameters
        ----------
        path : str or path-like
            Where to write; a file that is there is replaced, and its mode is kept. No
            suffix is added.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If the constructor's parameters have become invalid since the fit, or
            attributes have been assigned that `load` would refuse.
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
        published = self._published()
        self._validate_params()
        write_model(path, published, self.__dict__, self.get_params(deep=False))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read a fitted mixture from a file that `save` has written.

        No code in the file is run, whatever it holds, and everything in it is
        checked. What the loaded estimator predicts is bit for bit what the saved one
        predicts, on the same machine.

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
            If the file is damaged, holds something else, or was written by a newer
            version in a way that this one does not know.
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

    @_fit_context(prefer_skip_nested_validation=True)
    def _fit(self, X: RowsLike, y: Any, sample_weight: ArrayLike | None) -> Self:
        """Validate, run EM from every start, publish the best."""
        weights = None if sample_weight is None else {"sample_weight": sample_weight}
        tasks = Tasks(self, X=X, y=y, metadata=weights)
        tasks.begin("fit", self.n_init)
        with restore_on_error(self, but="_reached"):
            rows = check_blocks(self, X, sample_weight, reset=True)
            check_enough_rows(rows, self.n_components)
            # Held once for a fit is cheaper; but a user's own start has all threads.
            own_start = callable(self.init_params)
            with nullcontext() if own_start else BLAS.held():
                defects = self._fit_rows(rows, tasks)
            tasks.end(dict)
        warn_of_defects(defects, not isinstance(self.reg_covar, str))
        if not self.converged_ and self.n_iter_ == self.max_iter > 0:
            warnings.warn(
                "Best performing initialization did not converge. Try different init "
                "parameters, or increase max_iter, tol, or check for degenerate data.",
                ConvergenceWarning,
                stacklevel=4,
            )
        return self

    def _fit_rows(self, rows: RowSource, tasks: Tasks) -> Defects:
        """Run EM from every start and publish the best; what is degenerate in it."""
        with BLAS.held():
            problem, starts = self._problem_and_starts(rows)

        def published(result: EMResult) -> dict[str, Any]:
            """The attributes that a fit would have if it ended here."""
            ended = copy(self)
            ended._publish(problem.to_be_published(result), rows)
            return ended.__dict__

        progress = Progress(self.verbose, self.verbose_interval, tasks, published)
        with self._kept_if_it_fails(problem, progress):
            results = problem.runs(starts, progress)
            with BLAS.held():
                best = progress.reached = problem.best(results.kept)
                self._publish(problem.to_be_published(best), rows)
                if best.state is not None:
                    self._checkpoint = checkpoint_of(problem, best.state)
                self.lower_bounds_of_starts_ = [
                    self.lower_bounds_
                    if bounds is best.lower_bounds
                    else problem.bounds_of_the_user(bounds[1:])
                    for bounds in results.lower_bounds
                ]
                return problem.defects(problem.numbered(best.mixture))

    def _problem_and_starts(
        self, rows: RowSource
    ) -> tuple[EMProblem, Iterable[Callable[[Progress], Parameters | EMState]]]:
        """What is fitted, and where from: the last fit, if it goes on, or starts."""
        problem = self._problem(rows)
        checkpoint = getattr(self, "_checkpoint", None)
        if self.warm_start and checkpoint and not hasattr(self, "_reached"):
            last = resumed(problem, self.n_components, checkpoint, vars(self))
            if last is not None:
                return last[0], [lambda progress: last[1]]
        return problem, self._starts(problem, rows)

    @contextmanager
    def _kept_if_it_fails(
        self, problem: EMProblem, progress: Progress
    ) -> Iterator[None]:
        """Keep where EM has come to, for `warm_start`, if the block raises."""
        try:
            yield
        except BaseException:
            if progress.reached is not None:
                reached = problem.to_be_published(progress.reached).mixture
                with suppress(ValueError):  # no fit that goes on could be published
                    published_arrays(reached, problem.rows.float_type)
                    self._reached = (self.covariance_type, reached)
            raise

    def _problem(self, rows: RowSource) -> EMProblem:
        """What is to be fitted, and how."""
        family = FAMILIES[self.covariance_type]
        return self._problem_in_units(*rows.in_units(family.by_feature))

    def _problem_in_units(self, rows: RowSource, units: NDArray) -> EMProblem:
        """What is to be fitted, and how, of rows that are in units already."""
        mstep = self._mstep(ScaleRegularization.to(rows), units)
        options = EMOptions(
            self.tol, self.max_iter, self.acceleration is not None, self.warm_start
        )
        given = self._order_is_given(mstep.family, rows.n_features)
        return EMProblem(rows, units, mstep, options, given)

    def _order_is_given(self, family: CovarianceFamily, n_features: int) -> bool:
        """Whether the start says which component is which."""
        inits = self.weights_init, self.means_init, self.precisions_init
        return (
            not isinstance(self.init_params, str)
            or any(init is not None for init in inits)
            or self._previous_mixture(family, n_features) is not None
        )

    def _mstep(self, scale: ScaleRegularization, units: NDArray) -> MStep:
        """The M-step of the model, in such units (d,)."""
        by_scale = isinstance(self.reg_covar, str)
        added = (
            scale if by_scale else RidgeRegularization(self.reg_covar / units / units)
        )
        return MStep.of(FAMILIES[self.covariance_type], added, scale)

    def _starts(self, problem: EMProblem, rows: RowSource) -> Iterator[Begin]:
        """What makes the mixtures that EM starts from, one after the other."""
        n_features = rows.n_features
        known = check_given(
            (self.weights_init, self.means_init, self.precisions_init),
            self.covariance_type,
            (self.n_components, n_features),
        )
        previous = self._previous_mixture(problem.family, n_features)
        if previous is None and len(known) == len(fields(Parameters)):
            previous = Parameters(**known)
        if previous is not None:
            in_units = previous.in_units(problem.units)

            def begin(progress: Progress) -> Parameters:
                return in_units

            yield partial(break_symmetry, problem, begin) if self.max_iter else begin
            return
        named = isinstance(self.init_params, str) and not known
        for start in self._named_or_own_starts(problem, rows):
            begin = partial(_with_known, start, known, problem.units)
            as_is = named or not self.max_iter
            yield begin if as_is else partial(break_symmetry, problem, begin)

    def _named_or_own_starts(
        self, problem: EMProblem, rows: RowSource
    ) -> Iterator[Begin]:
        """What makes the mixtures of `init_params`, for each of the `n_init` starts."""
        start, n_components = self.init_params, self.n_components
        rng = check_random_state(self.random_state)
        if isinstance(start, str):
            first, again = STARTS[start]
            yield partial(first, problem, n_components, rng)
            further = partial(again, problem, n_components, rng)
            yield from repeat(further, self.n_init - 1)
            return

        own = partial(self._own_start, problem, rows, rng)
        yield from repeat(own, self.n_init if callable(start) else 1)

    def _own_start(
        self,
        problem: EMProblem,
        rows: RowSource,
        rng: np.random.RandomState,
        progress: Progress,
    ) -> Parameters:
        """The mixture of labels or responsibilities that the user gives or computes."""
        start, n_components = self.init_params, self.n_components
        if isinstance(rows, RowBlocks):
            seen, to_block_order, units = (
                rows,
                rows.to_block_order,
                np.ones(rows.n_features),
            )
        elif callable(start):
            seen, units = large_subsample(problem.rows, n_components), problem.units
            problem, to_block_order = problem.of(seen), seen.to_block_order
        else:
            labels = check_start(start, np.ones(rows.n_samples), n_components)
            return problem.start(labels, n_components)
        weights = _read_only(seen.to_input_order(seen.sample_weight))
        if callable(start):
            X = seen.to_input_order(seen.X)
            X = _read_only(X if (units == 1).all() else X * units)
            start = start(X, n_components, weights, rng)
        labels = to_block_order(check_start(start, weights, n_components))
        return problem.start(labels, n_components)

    def _previous_mixture(
        self, family: CovarianceFamily, n_features: int
    ) -> Parameters | None:
        """The mixture of the last fit, if `warm_start` asks for it and it fits."""
        if not self.warm_start:
            return None
        shape = (self.n_components, n_features)
        model, reached = getattr(self, "_reached", ("", None))
        if reached is not None:
            fits = reached.means.shape == shape and FAMILIES[model].name == family.name
            return reached if fits else None
        if not hasattr(self, "weights_"):
            return None
        fits = np.shape(self.means_) == shape and self._family.name == family.name
        return self._mixture() if fits else None

    def _publish(self, result: EMResult, blocks: RowSource) -> None:
        """Set the attributes of a finished fit."""
        self._publish_mixture(result.mixture, blocks.float_type)
        self.converged_ = result.converged
        self.n_iter_ = len(result.lower_bounds) - 1
        # Of the parameters as published: float32 rounds them, their order a sum.
        rounded = blocks.float_type != np.float64
        weights = self.weights_ / self.weights_.sum()
        same = replace(result.mixture, weights=weights)
        published = self._mixture() if rounded else same
        if isinstance(blocks, RowBlocks):
            labels = np.empty(blocks.n_samples, dtype=np.int64)
            total = sum_over_rows(blocks, published, log_density, labels)
            self.lower_bound_ = _mean(total)
            self.labels_ = blocks.to_input_order(labels)
        else:
            self._forget(["labels_"])
            self.lower_bound_ = result.lower_bound
            if rounded:
                total = sum_over_rows(blocks, published, log_density)
                self.lower_bound_ = _mean(total)
        self.lower_bounds_ = np.array(result.lower_bounds[1:])
        self.lower_bounds_[-1:] = self.lower_bound_
        self.lower_bounds_of_starts_ = [self.lower_bounds_]
        self.n_samples_seen_ = blocks.weight
        self._forget(OF_STREAM)

    def _gather(self, rows: RowBlocks) -> None:
        """Keep rows until they are enough for a start, and start then."""
        start, needed = self.init_params, self._rows_to_start()
        all_count = not isinstance(start, str) and not callable(start)
        gathered = getattr(self, "_gathered", StartBuffer())
        enough = (rows.n_samples if all_count else rows.n_weighted) >= needed
        if gathered.batches or not enough:
            self._gathered = gathered = gathered.and_of(rows, all_count)
            if gathered.n_rows < needed:
                return
            rows = gathered.rows
        check_something_observed(self, rows)
        check_enough_rows(rows, self.n_components)
        with nullcontext() if callable(start) else BLAS.held():
            problem = self._problem(rows)
            n_iter = min(self.max_iter, START_ITER)
            options = replace(problem.options, max_iter=n_iter)
            problem = replace(problem, options=options)
            progress = Progress(self.verbose, self.verbose_interval)
            results = problem.runs(self._starts(problem, rows), progress)
        with BLAS.held():
            best = problem.numbered(problem.best(results.kept).mixture)
            running = StreamState.begun(problem.sample, best, problem.units)
            self._publish_running(running, best.in_units(1 / problem.units), rows)

    def _rows_to_start(self) -> int:
        """Rows with which `partial_fit` starts."""
        family, start = FAMILIES[self.covariance_type], self.init_params
        return rows_to_start(family, self.n_components, self.n_features_in_, start)

    def _blend(self, rows: RowBlocks) -> None:
        """Take rows in, and publish what follows."""
        self._check_same_model()
        with BLAS.held():
            mixture, running = self._published().agreed, self._running_statistics()
            number = running.n_steps + 1
            share = share_of(self.step, running.weight, rows.weight, number)
            self._publish_running(running.blended(rows, mixture, share), mixture, rows)

    def _check_same_model(self) -> None:
        """Whether the published mixture is one that the parameters still ask for."""
        wanted = FAMILIES.get(self.covariance_type)
        published = self._published()
        n_components, family = published.sizes[0], published.family
        if n_components != self.n_components or family is not wanted:
            raise ValueError(
                f"n_components={self.n_components} and covariance_type="
                f"{self.covariance_type!r}, but partial_fit goes on from a mixture of "
                f"{n_components} components of the model {family.name}: set "
                "them back, or start afresh, with fit or with a clone."
            )

    def _running_statistics(self) -> StreamState:
        """Those that `partial_fit` goes on from, made of the mixture if need be."""
        if hasattr(self, "_running"):
            return self._running
        published = self._published()
        weight = rows_to_start(published.family, *published.sizes, "")
        return StreamState.of(
            published.agreed,
            getattr(self, "n_samples_seen_", float(weight)),
            getattr(self, "lower_bound_", np.nan),
            published.family,
            0.0 if isinstance(self.reg_covar, str) else self.reg_covar,
        )

    def _publish_running(
        self, running: StreamState, before: Parameters, rows: RowBlocks
    ) -> None:
        """Set the attributes of what has become of a stream."""
        mstep = self._mstep(running.scale(rows.resolution), running.units).inexact
        near = before.in_units(running.units)
        try:
            with np.errstate(all="ignore"):
                mixture = mstep.estimate(running.statistics, near)
        except np.linalg.LinAlgError as error:
            raise ValueError(SINGULAR) from error
        means = np.asarray(getattr(self, "means_", rows.X))
        dtype = np.result_type(means, np.float32)
        self._publish_mixture(mixture.in_units(1 / running.units), dtype)
        self._forget((*OF_FIT, "_gathered"))
        self._running = running
        self.n_samples_seen_, self.n_steps_ = running.weight, running.n_steps
        self.lower_bound_ = running.statistics.log_likelihood

    def _forget(self, names: Iterable[str]) -> None:
        """Attributes that do not hold any longer."""
        for name in names:
            self.__dict__.pop(name, None)

    def __sklearn_is_fitted__(self) -> bool:
        """Whether there is a mixture; rows may have been gathered for one."""
        return hasattr(self, "weights_")

    def _publish_mixture(self, mixture: Parameters, dtype: np.dtype) -> None:
        """Set the parameters and begin the stream of samples."""
        for name, array in published_arrays(mixture, dtype).items():
            setattr(self, name, array)
        self._fitted_type = self.covariance_type
        self._stream = (None, None)
        self._forget(["_reached", "_checkpoint"])

    @property
    def _family(self) -> CovarianceFamily:
        """The family of the published parameters."""
        return self._published().family

    def _check_fitted(self) -> None:
        """Whether there is a mixture, and what to do for one."""
        if not self.__sklearn_is_fitted__() and hasattr(self, "_gathered"):
            raise NotFittedError(
                f"This {type(self).__name__} has no mixture yet: partial_fit has "
                f"gathered {self._gathered.n_rows} of the {self._rows_to_start()} rows "
                "that it starts with. Call it with more, or call 'fit'."
            )
        check_is_fitted(self)

    def _mixture(self) -> Parameters:
        """The fitted mixture, in float64, from the published parameters."""
        return self._published().parameters

    def _published(self) -> Published:
        """What is published of the mixture, or has been assigned by the user."""
        self._check_fitted()
        models = (getattr(self, "_fitted_type", None), self.covariance_type)
        published = Published.of(self, [model for model in models if model])
        if not hasattr(self, "n_features_in_"):
            self.n_features_in_ = published.sizes[1]
        return published

    def _log_likelihood(
        self,
        X: RowsLike,
        sample_weight: ArrayLike | None,
        score: Callable[..., NDArray] | None = None,
    ) -> tuple[float, float]:
        """Mean log-likelihood (or other score) of a row, and the weight of all rows."""
        mixture = self._mixture()
        blocks = check_blocks(self, X, sample_weight, reset=False)
        total = sum_over_rows(blocks, mixture, score or log_density)
        if not total[1] > 0:
            raise ValueError(NO_ROWS)
        return _mean(total), float(total[1])

    def _bayesian_criterion(self, mean: float, weight: float) -> float:
        """-2 sum + (free parameters) log(weight), of a mean per row."""
        return -2 * mean * weight + self._n_parameters() * float(np.log(weight))

    def _n_parameters(self) -> int:
        """Free parameters of weights, means and covariances."""
        published = self._published()
        return published.family.n_parameters_of_mixture(*published.sizes)

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


def _with_known(
    start: Begin, known: dict[str, Any], units: NDArray, progress: Progress
) -> Parameters:
    """A start, but for what of the mixture is given, in the units of the user."""
    made = start(progress)
    if not known:
        return made
    return replace(made.in_units(1 / units), **known).in_units(units)


def _read_only(array: NDArray) -> NDArray:
    """A view through which the array cannot be altered."""
    view = array.view()
    view.flags.writeable = False
    return view


def _mean(total: NDArray) -> float:
    """Of a sum and the weight behind it."""
    return float(total[0] / total[1])
