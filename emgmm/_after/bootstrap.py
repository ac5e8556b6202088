"""bootstrap: standard errors and intervals from fits to resampled rows."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning

from emgmm._mixture import Mixture, make_mixture
from emgmm._model.parameters import Parameters
from emgmm._utils.exceptions import DegenerateComponentWarning
from emgmm._utils.validation import check_choice
from emgmm.typing import RowsLike

from .bootstrap_result import BootstrapResult, Quantities
from .fitted_rows import FittedRows, check_n_resamples, check_share
from .replicates import RESAMPLING, Replicates, replicates_of

Statistic = Callable[[Mixture], ArrayLike]


def bootstrap(
    estimator: Any,
    X: RowsLike,
    n_resamples: int = 999,
    method: Literal["weighted", "nonparametric", "parametric"] = "weighted",
    *,
    statistic: Statistic | None = None,
    confidence_level: float = 0.95,
    sample_weight: ArrayLike | None = None,
    random_state: int | np.random.RandomState | None = None,
    n_jobs: int | None = None,
) -> BootstrapResult:
    """Standard errors and confidence intervals of the parameters of a fitted mixture.

    The mixture is fitted again to resampled rows, from its own parameters on, and its
    components are matched to those of the fit [1]_. The fits share passes over the
    rows.

    Parameters
    ----------
    estimator : GaussianMixtureEM or GaussianMixtureIC
        A fitted mixture; of a search, the best one, whose model and number of
        components are taken as known.
    X : array-like of shape (n_samples, n_features)
        The rows that it was fitted to; NaN is a missing value.
    n_resamples : int, default=999
        Number of replicates, 2 at least.
    method : {"weighted", "nonparametric", "parametric"}, default="weighted"
        What a replicate is fitted to. "weighted": all rows, with random weights from a
        Dirichlet distribution [2]_; no component loses all its rows, so that hardly any
        replicate degenerates. "nonparametric": as many rows, drawn with replacement.
        "parametric": as many rows, drawn from the fitted mixture; values are missing in
        them as in `X`.
    statistic : callable, default=None
        A function of a `Mixture` that returns a number or an array, always of the same
        shape, whose standard errors and intervals are computed as well.
    confidence_level : float, default=0.95
        Probability of the intervals.
    sample_weight : array-like of shape (n_samples,), default=None
        The weights of the fit; a weight of 2 means that the row occurs twice.
    random_state : int, RandomState instance or None, default=None
        Seed of the resampling; None uses NumPy's global random state. The result does
        not depend on `n_jobs`.
    n_jobs : int or None, default=None
        Number of threads; None means as many as BLAS may use.

    Returns
    -------
    BootstrapResult
        Standard errors, intervals and the replicates themselves, with a table
        (`to_frame`). `BootstrapDisplay.from_result` draws it.

    Raises
    ------
    NotFittedError
        If the estimator is not fitted.
    TypeError
        If it is not a mixture of this package.
    ValueError
        If an argument is invalid, if the rows are not those of the fit, or if fewer
        than two replicates have no degenerate component.

    Warns
    -----
    DegenerateComponentWarning
        If replicates were left out because a component collapsed.
    ConvergenceWarning
        If EM did not converge in some within the `max_iter` of the estimator.

    See Also
    --------
    likelihood_ratio_test : Tests how many components there are.

    Notes
    -----
    Replicates are fitted until the log-likelihood of all rows is within 0.001 nats of
    its limit, or by the `tol` of the estimator if that is less: errors of convergence
    are small beside standard errors. The default `tol` of `GaussianMixtureEM` allows
    the fit itself a distance of the order of a standard error where components overlap;
    fit with a smaller one, such as 1e-6, if the estimates should be as precise.

    A replicate's components are matched to the fit's by optimal assignment of
    Bhattacharyya distances. If `sample_weight` sums to less than the number of rows,
    it is scaled to that sum. Known parameters (`fixed`), a `prior` and the box of
    `noise` are the same in all replicates.

    References
    ----------
    .. [1] A. O'Hagan, T. B. Murphy, L. Scrucca and I. C. Gormley, "Investigation of
       parameter uncertainty in clustering using a Gaussian mixture model via jackknife,
       bootstrap and weighted likelihood bootstrap", Computational Statistics 34 (2019),
       1779-1813. doi:10.1007/s00180-019-00897-9
    .. [2] M. A. Newton and A. E. Raftery, "Approximate Bayesian inference with the
       weighted likelihood bootstrap", Journal of the Royal Statistical Society B 56
       (1994), 3-48. doi:10.1111/j.2517-6161.1994.tb01956.x

    Examples
    --------
    >>> from emgmm import GaussianMixtureEM, bootstrap
    >>> from emgmm.datasets import make_three_components
    >>> X, _ = make_three_components(n_samples=300, random_state=0)
    >>> gmm = GaussianMixtureEM(n_components=3, tol=1e-6).fit(X)
    >>> result = bootstrap(
    ...     gmm, X, statistic=lambda mixture: mixture.mean, random_state=0
    ... )
    >>> result.standard_error.weights.shape, result.standard_error.means.shape
    ((3,), (3, 2))
    >>> low, high = result.confidence_interval
    >>> bool((low.statistic < gmm.mixture_.mean).all())
    True
    """
    n_resamples = check_n_resamples(n_resamples)
    level = check_share("confidence_level", confidence_level, "such as 0.95")
    check_choice("method", method, RESAMPLING)
    if statistic is not None and not callable(statistic):
        raise ValueError(
            f"statistic={statistic!r:.60} is not a function: pass one of a Mixture, "
            "such as `lambda mixture: mixture.mean`."
        )
    fit = FittedRows.of(estimator, X, sample_weight)
    own, names = fit.mixture.in_units(1 / fit.problem.units), fit.names
    estimate = _quantities(own, _values(statistic, own, names))
    found = replicates_of(fit, method, n_resamples, random_state, n_jobs)
    _check_enough(found)
    usable = found.mixtures.take(found.usable)
    return BootstrapResult(
        estimate.map(lambda values: values[0]),
        _quantities(usable, _values(statistic, usable, names)),
        method,
        level,
        int(np.count_nonzero(~found.usable)),
        int(np.count_nonzero(found.usable & ~found.converged)),
        names,
    )


bootstrap.__module__ = "emgmm"


def _check_enough(found: Replicates) -> None:
    """Warn of replicates that degenerate; ValueError if fewer than two do not."""
    n_resamples, n_usable = len(found.usable), np.count_nonzero(found.usable)
    if n_usable < 2:
        raise ValueError(
            f"In {n_resamples - n_usable} of {n_resamples} replicates a component has "
            "collapsed, as perhaps in the fit itself: reduce n_components, choose a "
            "covariance_type with fewer parameters, or set prior='conjugate'."
        )
    if n_usable < n_resamples:
        warnings.warn(
            f"In {n_resamples - n_usable} of {n_resamples} replicates a component has "
            "collapsed; they are left out, and the errors may be too small: use "
            "method='weighted', fewer components or a covariance_type with fewer "
            "parameters.",
            DegenerateComponentWarning,
            stacklevel=3,
        )
    n_unconverged = np.count_nonzero(found.usable & ~found.converged)
    if n_unconverged:
        warnings.warn(
            f"EM did not converge in {n_unconverged} of {n_resamples} replicates: "
            "increase max_iter of the estimator.",
            ConvergenceWarning,
            stacklevel=3,
        )


def _quantities(stack: Parameters, statistic: NDArray | None) -> Quantities:
    """The parameters of each mixture, and the statistic (B, ...)."""
    shape = len(stack.segments), -1, stack.means.shape[1]
    return Quantities(
        stack.weights.reshape(shape[:2]),
        stack.means.reshape(shape),
        stack.covariances.dense().reshape(*shape, shape[2]),
        statistic,
    )


def _values(
    statistic: Statistic | None, stack: Parameters, names: tuple[str, ...] | None
) -> NDArray | None:
    """The statistic (B, ...) of each mixture. ValueError if it is no real numbers, or
    if its shape changes."""
    if statistic is None:
        return None
    mixtures = map(stack.mixture, range(len(stack.segments)))
    each = [_numbers(statistic, make_mixture(own, names)) for own in mixtures]
    shapes = sorted({value.shape for value in each})
    if len(shapes) > 1:
        raise ValueError(
            f"statistic={statistic!r:.60} returned arrays of the shapes {shapes[0]} "
            f"and {shapes[1]}: return arrays of one shape for all mixtures."
        )
    return np.stack(each)


def _numbers(statistic: Statistic, mixture: Mixture) -> NDArray:
    """What the function returns for a mixture. ValueError if it is no real numbers."""
    value = statistic(mixture)
    try:
        numbers = np.asarray(value)
    except ValueError:  # lists of several lengths
        numbers = np.empty(0)
    if numbers.dtype.kind not in "biuf" or not numbers.size:
        raise ValueError(
            f"statistic={statistic!r:.60} returned {value!r:.60}: return a real number "
            "or an array of such."
        )
    return numbers.astype(np.float64)
