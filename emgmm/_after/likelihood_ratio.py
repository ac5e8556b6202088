"""likelihood_ratio_test: how many components, by parametric bootstrap."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import clone
from sklearn.utils.parallel import Parallel, delayed

from emgmm._data.arrays import RowBlocks
from emgmm._data.sources import refuse_blocks
from emgmm._data.validation import check_enough_rows, check_rows
from emgmm._gaussian_mixture import GaussianMixtureEM
from emgmm._model.parameters import Parameters
from emgmm._utils.callbacks import Tasks, reported
from emgmm._utils.exceptions import DegenerateComponentWarning
from emgmm._utils.sklearn_private import forget_callbacks
from emgmm.typing import RowsLike

from .fitted_rows import (
    check_n_resamples,
    check_share,
    check_whole,
    mixture_of,
    precise_tol,
    seeds_of,
    with_gaps,
)
from .likelihood_ratio_result import LikelihoodRatio, LikelihoodRatioResult

N_ROUNDS = 10  # of the replicates of a test, after each of which progress is reported
UNUSABLE = {
    "prior": "the fits would not maximise the likelihood",
    "fixed": "replicates would have the same known components",
    "weights_init": "they start mixtures of one number of components",
    "means_init": "they start mixtures of one number of components",
    "precisions_init": "they start mixtures of one number of components",
}
"""Parameters that must be None, and why."""


def likelihood_ratio_test(
    estimator: Any,
    X: RowsLike,
    max_components: int,
    n_resamples: int = 999,
    *,
    alpha: float = 0.05,
    sample_weight: ArrayLike | None = None,
    random_state: int | np.random.RandomState | None = None,
    n_jobs: int | None = None,
) -> LikelihoodRatioResult:
    """Test how many components a mixture has, by the parametric bootstrap.

    One component is tested against two, two against three, and so on, up to the first
    number that is not rejected [1]_. The usual distribution of the likelihood ratio
    does not hold for mixtures; its distribution is therefore estimated from samples of
    the mixture under the null hypothesis, to each of which both mixtures are fitted as
    to the rows themselves.

    Parameters
    ----------
    estimator : GaussianMixtureEM or GaussianMixtureIC
        The mixture, fitted or not, whose `n_components` does not matter; or a fitted
        search, of which the best model is used. The default start is best: fits that
        end at a poor maximum would decide the test.
    X : array-like of shape (n_samples, n_features)
        The rows; NaN is a missing value, as it will be in the samples.
    max_components : int
        Greatest number of components that is fitted, 2 at least.
    n_resamples : int, default=999
        Number of samples for each test, 2 at least. The least p-value is
        1 / (`n_resamples` + 1).
    alpha : float, default=0.05
        Level of each test: the first p-value above ends the sequence.
    sample_weight : array-like of shape (n_samples,), default=None
        Weight of each row; a weight of 2 means that the row occurs twice.
    random_state : int, RandomState instance or None, default=None
        Seed of the samples, and of random starts if the `random_state` of the
        estimator is None. None uses NumPy's global random state. The result does not
        depend on `n_jobs`.
    n_jobs : int or None, default=None
        Number of processes; None means one, unless joblib's `parallel_config` says
        otherwise.

    Returns
    -------
    LikelihoodRatioResult
        The tests, the number of components, and the replicates, with a table
        (`to_frame`). `LikelihoodRatioDisplay.from_result` draws it.

    Raises
    ------
    NotFittedError
        If the estimator is a search that is not fitted.
    TypeError
        If it is not a mixture of this package.
    ValueError
        If an argument or a parameter of the estimator is invalid, or if a mixture
        cannot be fitted to the rows.

    Warns
    -----
    DegenerateComponentWarning, ConvergenceWarning
        If a fit to the rows does, with a number of components that others are
        rejected for.

    See Also
    --------
    bootstrap : Standard errors and intervals of the parameters.
    GaussianMixtureIC : Selects the number of components by a criterion.

    Notes
    -----
    With L* the statistics of the B samples and L that of the rows, the p-value is
    (1 + #{L* >= L}) / (B + 1). The hypotheses are nested, so that a negative statistic,
    of fits that end at a lower maximum with more components, counts as zero. Fits end
    when the log-likelihood of all rows is within 0.001 nats of its limit.

    R's `mclustBootstrapLRT` starts the fits to a sample from the mixtures that were
    fitted to the rows. They then end at lower maxima than fits to the rows do, and its
    p-values may be smaller.

    References
    ----------
    .. [1] G. J. McLachlan, "On bootstrapping the likelihood ratio test statistic for
       the number of components in a normal mixture", Applied Statistics 36 (1987),
       318-324. doi:10.2307/2347790

    Examples
    --------
    >>> import numpy as np
    >>> from emgmm import GaussianMixtureEM, likelihood_ratio_test
    >>> X = np.random.default_rng(0).normal(size=(50, 1))
    >>> gmm = GaussianMixtureEM(covariance_type="tied")
    >>> result = likelihood_ratio_test(gmm, X, 3, n_resamples=19, random_state=0)
    >>> result.n_components
    1
    """
    n_resamples = check_n_resamples(n_resamples)
    remedy = "the greatest number of components to be fitted"
    most = check_whole("max_components", max_components, 2, remedy)
    level = check_share("alpha", alpha, "such as 0.05")
    refuse_blocks(X, "resampling", "a sample of the rows")
    template = _template(estimator)
    own = clone(template)
    data = Data(check_rows(own, X, sample_weight, reset=True))  # type: ignore[arg-type]
    check_enough_rows(data.rows, most)
    template.set_params(tol=precise_tol(template.tol, data.n_rows))
    plan = Plan(template, data, n_resamples, n_jobs)
    sequence = partial(_sequence, plan, (most, level), random_state)
    task = ("likelihood-ratio tests", (most - 1) * N_ROUNDS)
    found = reported(estimator, X, task, sequence)
    return LikelihoodRatioResult(tuple(found), level, template.covariance_type)


likelihood_ratio_test.__module__ = "emgmm"


@dataclass(frozen=True, eq=False)
class Data:
    """The rows that are tested, in memory."""

    rows: RowBlocks

    @property
    def n_rows(self) -> int:
        """The number of rows, or the sum of weights if that is greater."""
        summary = self.rows.summary
        return round(max(summary.weight, summary.n_weighted))


class Plan(NamedTuple):
    """The estimator, the rows, the number of samples, and of processes."""

    template: GaussianMixtureEM
    data: Data
    n_resamples: int
    n_jobs: int | None


class Fit(NamedTuple):
    """A mixture, the mean log-likelihood of a row, and the warnings of the fit."""

    mixture: Parameters
    lower_bound: float
    caught: list[warnings.WarningMessage]

    @property
    def is_degenerate(self) -> bool:
        """Whether a component has too few rows."""
        kinds = [each.category for each in self.caught]
        return any(issubclass(kind, DegenerateComponentWarning) for kind in kinds)

    def warn(self) -> None:
        """Warn as the fit has warned."""
        for each in self.caught:
            warnings.warn(each.message, each.category, stacklevel=6)


def _template(estimator: Any) -> GaussianMixtureEM:
    """An unfitted mixture with the parameters of the estimator. ValueError if they
    cannot serve for several numbers of components."""
    if isinstance(estimator, GaussianMixtureEM):
        template = clone(estimator)
    else:
        template = clone(mixture_of(estimator))
    for name, reason in UNUSABLE.items():
        value = getattr(template, name)
        if value is not None:
            raise ValueError(
                f"{name}={value!r:.60} cannot be used in a likelihood-ratio test: "
                f"{reason}; set {name}=None."
            )
    if not isinstance(template.init_params, str) and not callable(template.init_params):
        raise ValueError(
            "init_params is an array, which starts mixtures of one number of "
            "components: pass a name, such as the default, 'split'."
        )
    forget_callbacks(template)
    return template.set_params(warm_start=False, verbose=0)


def _sequence(
    plan: Plan, bounds: tuple[int, float], random_state: Any, tasks: Tasks
) -> list[LikelihoodRatio]:
    """The tests up to the first p-value above the level."""
    most, level = bounds
    found: list[LikelihoodRatio] = []
    seeds, rows = seeds_of(random_state, most), plan.data.rows
    if plan.template.random_state is None:  # random starts
        plan.template.set_params(random_state=seeds[-1])
    null = _fit(plan.template, 1, rows)
    for n_components, seed in enumerate(seeds[: most - 1], start=1):
        alternative = _fit(plan.template, n_components + 1, rows)
        statistic = _ratio(null, alternative, plan.data.n_rows)
        found.append(_test(plan, null, (n_components, statistic), seed, tasks))
        if found[-1].p_value > level:
            break
        null = alternative
        null.warn()
    return found


def _test(
    plan: Plan, null: Fit, observed: tuple[int, float], seed: int, tasks: Tasks
) -> LikelihoodRatio:
    """The test of a number of components with such a statistic."""
    n_components, statistic = observed
    replicate = partial(_replicate, plan, null.mixture, n_components)
    pairs = list(_in_rounds(replicate, plan, seeds_of(seed, plan.n_resamples), tasks))
    regular = [pair for pair in pairs if pair is not None]
    if not regular:
        raise ValueError(
            f"No sample could be fitted with {n_components} and {n_components + 1} "
            "components: reduce max_components, or set reg_covar='scale'."
        )
    values = np.array([value for value, _ in regular])
    p_value = float((1 + np.count_nonzero(values >= statistic)) / (len(values) + 1))
    n_degenerate = sum(is_degenerate for _, is_degenerate in regular)
    n_failed = len(pairs) - len(regular)
    return LikelihoodRatio(
        n_components, statistic, p_value, values, n_failed, n_degenerate
    )


def _in_rounds(
    replicate: Callable[[int], Any], plan: Plan, seeds: Sequence[int], tasks: Tasks
) -> Iterator[Any]:
    """What the function returns for each of the seeds, computed in processes."""
    bounds = np.linspace(0, len(seeds), N_ROUNDS + 1).astype(int)
    with Parallel(n_jobs=plan.n_jobs) as parallel:
        for first, last in zip(bounds[:-1], bounds[1:], strict=True):
            tasks.begin("samples")
            yield from parallel(delayed(replicate)(seed) for seed in seeds[first:last])
            tasks.end(None)


def _replicate(
    plan: Plan, mixture: Parameters, n_components: int, seed: int
) -> tuple[float, bool] | None:
    """The statistic of a sample from the mixture, and whether a fit to it is
    degenerate; None if a fit failed."""
    rng = np.random.RandomState(seed)
    sample, _ = mixture.sample(plan.data.n_rows, rng)
    rows = with_gaps(sample, plan.data.rows, rng)
    try:
        null = _fit(plan.template, n_components, rows)
        alternative = _fit(plan.template, n_components + 1, rows)
    except ValueError:
        return None
    degenerate = null.is_degenerate or alternative.is_degenerate
    return _ratio(null, alternative, plan.data.n_rows), degenerate


def _fit(template: GaussianMixtureEM, n_components: int, rows: RowBlocks) -> Fit:
    """The fit of so many components."""
    mixture = clone(template).set_params(n_components=n_components)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        weights = rows.sample_weight
        weights = None if weights is None else rows.to_input_order(weights)
        mixture.fit(rows.to_input_order(rows.X), sample_weight=weights)
    return Fit(mixture._mixture(), mixture.lower_bound_, caught)


def _ratio(null: Fit, alternative: Fit, n_rows: float) -> float:
    """Twice the gain in the log-likelihood of all rows, zero at least."""
    return max(2 * n_rows * (alternative.lower_bound - null.lower_bound), 0.0)
