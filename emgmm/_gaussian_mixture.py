"""GaussianMixtureEM: the estimator that users meet."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from copy import copy
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import _fit_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._param_validation import Interval

from ._data.arrays import RowBlocks
from ._data.base import RowSource
from ._data.sources import check_blocks
from ._data.validation import (
    check_enough_rows,
)
from ._em.checkpoint import checkpoint_of, resumed
from ._em.defects import defects
from ._em.mstep import MStep
from ._em.problem import Begin, EMProblem
from ._em.progress import Progress
from ._em.regularization import RidgeRegularization, ScaleRegularization
from ._em.result import EMOptions, EMResult
from ._em.state import EMState
from ._em.stepwise import (
    SCHEDULES,
    Step,
)
from ._estep.predict import (
    log_density,
)
from ._init.start_options import StartOptions
from ._init.starts import STARTS
from ._mixture_methods import mean_of_rows
from ._model.families import FAMILIES, CovarianceFamily
from ._model.parameters import Parameters
from ._model.published import published_arrays
from ._model.validation import (
    check_covariances,
    check_given,
    check_means,
    check_weights,
    shape_of_means,
)
from ._partial_fit import OF_STREAM, PartialFit
from ._persistence import naming, read_model
from ._sklearn_names import SklearnNames
from ._utils.callbacks import Tasks
from ._utils.exceptions import Defects, warn_of_defects
from ._utils.threads import BLAS
from ._utils.validation import Names, restore_on_error
from .typing import CovarianceType, RowsLike

MOST_STARTS = 2**31 - 1


class GaussianMixtureEM(SklearnNames, PartialFit):
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
        Go on from the previous fit. With the same rows and parameters (but `max_iter`
        and `tol`) the iterations are those of a single fit; otherwise EM starts from
        the published mixture, or, if the last fit failed or was interrupted, from where
        that had come to. Where this does not fit (other `n_components`,
        `covariance_type` or number of features), start afresh.
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
    `precisions_init`, and after a warm start with other rows. `partial_fit` numbers
    components once, when it starts.

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
                found = self._fit_rows(rows, tasks)
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
                if self.warm_start:
                    self._checkpoint = checkpoint_of(problem, best)
                self.lower_bounds_of_starts_ = [
                    self.lower_bounds_
                    if bounds is best.lower_bounds
                    else problem.bounds_of_the_user(bounds[1:])
                    for bounds in results.lower_bounds
                ]
                return defects(problem, problem.numbered(best.mixture))

    def _problem_and_starts(
        self, rows: RowSource
    ) -> tuple[EMProblem, Iterable[Callable[[Progress], Parameters | EMState]]]:
        """What is fitted, and where from: where the last fit ended, or the starts."""
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
                    published_arrays(reached, problem.rows.summary.dtype)
                    self._reached = (self.covariance_type, reached)
            raise

    def _problem(self, rows: RowSource) -> EMProblem:
        """What is to be fitted to rows, and how."""
        family = FAMILIES[self.covariance_type]
        return self._problem_in_units(*rows.in_units(family.by_feature))

    def _problem_in_units(self, rows: RowSource, units: NDArray) -> EMProblem:
        """The same for rows that are already divided by such units (d,)."""
        mstep = self._mstep(ScaleRegularization.to(rows), units)
        options = EMOptions(
            self.tol, self.max_iter, self.acceleration is not None, self.warm_start
        )
        start_options = self._start_options(mstep.family, rows.summary.n_features)
        return EMProblem(rows, units, mstep, options, start_options.order_is_fixed)

    def _mstep(self, scale: ScaleRegularization, units: NDArray) -> MStep:
        """The M-step of the model, for rows in such units (d,)."""
        family = FAMILIES[self.covariance_type]
        if isinstance(self.reg_covar, str):
            return MStep.of(family, scale, scale)
        ridge = RidgeRegularization(self.reg_covar / units / units)
        return MStep.of(family, ridge, scale)

    def _starts(self, problem: EMProblem, rows: RowSource) -> Iterator[Begin]:
        """What makes the mixtures that EM starts from, one after the other."""
        options = self._start_options(problem.family, rows.summary.n_features)
        return options.starts(problem, rows)

    def _start_options(self, family: CovarianceFamily, n_features: int) -> StartOptions:
        """What the parameters say about where EM starts."""
        known = check_given(
            (self.weights_init, self.means_init, self.precisions_init),
            self.covariance_type,
            (self.n_components, n_features),
        )
        return StartOptions(
            self.n_components,
            self.init_params,
            self.n_init,
            self.random_state,
            known,
            self._previous_mixture(family, n_features),
        )

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
        if not hasattr(self, "weights_") or np.shape(self.means_) != shape:
            return None
        fits = self._published().family.name == family.name
        return self._mixture() if fits else None

    def _publish(self, result: EMResult, rows: RowSource) -> None:
        """Set the attributes of a finished fit."""
        self._publish_mixture(result.mixture, rows.summary.dtype)
        self.converged_ = result.converged
        self.n_iter_ = len(result.lower_bounds) - 1
        self._forget(["labels_", *OF_STREAM])
        self.lower_bound_ = result.lower_bound
        # Of the parameters as published: float32 rounds them, their order a sum.
        rounded = rows.summary.dtype != np.float64
        weights = self.weights_ / self.weights_.sum()
        same = replace(result.mixture, weights=weights)
        mixture = self._mixture() if rounded else same
        if isinstance(rows, RowBlocks):
            labels = np.empty(rows.summary.n_samples, dtype=np.int64)
            self.lower_bound_ = mean_of_rows(rows, mixture, log_density, labels)[0]
            self.labels_ = rows.to_input_order(labels)
        elif rounded:
            self.lower_bound_ = mean_of_rows(rows, mixture, log_density)[0]
        self.lower_bounds_ = np.array(result.lower_bounds[1:])
        self.lower_bounds_[-1:] = self.lower_bound_
        self.lower_bounds_of_starts_ = [self.lower_bounds_]
        self.n_samples_seen_ = rows.summary.weight
