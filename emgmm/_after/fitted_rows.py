"""A fit and its rows, as what is done after it needs them."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from emgmm._data.arrays import ArrayBlocks, RowBlocks
from emgmm._data.missing import IncompleteBlocks
from emgmm._data.sources import refuse_blocks
from emgmm._data.validation import check_rows
from emgmm._em.lockstep import run_in_lockstep
from emgmm._em.problem import EMProblem
from emgmm._mixture_methods import MixtureMethods
from emgmm._model.parameters import Parameters
from emgmm.typing import RowsLike

# Nats of all rows that fits may lack: parameters are then within 0.05 of their standard
# errors of the maximum.
PRECISION = 1e-3
# Differences of mean log-likelihoods of the same rows, for each feature.
SAME_BOUND = {np.dtype(np.float64): 1e-7, np.dtype(np.float32): 1e-3}
MOST_RESAMPLES = 10**7


@dataclass(frozen=True, eq=False)
class FittedRows:
    """The rows of a fit in memory, its problem, and its mixture in the problem's units.

    The problem's precision is that of replicates, which may exceed the fit's.
    """

    estimator: Any
    rows: RowBlocks
    problem: EMProblem
    mixture: Parameters

    @classmethod
    def of(cls, estimator: Any, X: RowsLike, sample_weight: ArrayLike | None) -> Self:
        """The fit of an estimator, or of the best one of a search, and its rows.

        TypeError or ValueError if the rows are not those of the fit.
        """
        fitted = mixture_of(estimator)
        refuse_blocks(X, "resampling", "a sample of the rows that was fitted to")
        mixture = fitted._mixture()
        rows = check_rows(fitted, X, sample_weight, reset=False)  # type: ignore[arg-type]
        problem = fitted._problem(rows)
        found = cls(fitted, rows, problem, mixture.in_units(problem.units))
        found._check_same_rows()
        return found

    @property
    def n_rows(self) -> int:
        """The number of rows, or the sum of weights if that is greater."""
        return round(self.problem.n_rows)

    @property
    def precise(self) -> EMProblem:
        """The problem, to be solved as precisely as standard errors need."""
        tol = precise_tol(self.estimator.tol, self.problem.n_rows)
        return self.problem.with_options(tol=tol, resumable=False)

    @property
    def names(self) -> tuple[str, ...] | None:
        """Names of the features, if there are any."""
        names = getattr(self.estimator, "feature_names_in_", None)
        return None if names is None else tuple(map(str, names))

    def _check_same_rows(self) -> None:
        """ValueError if the rows have another weight, or another mean log-likelihood,
        than those of the fit."""
        fitted, summary = self.estimator, self.rows.summary
        if not hasattr(fitted, "converged_"):  # no fit, or one to batches
            return
        seen = getattr(fitted, "n_samples_seen_", summary.weight)
        if not np.isclose(summary.weight, seen, rtol=1e-6):
            raise ValueError(
                f"X has {summary.weight:.10g} rows, counted by weights, not the "
                f"{seen:.10g} of the fit (n_samples_seen_): pass the rows and the "
                "sample_weight that the estimator was fitted to, or fit it to these."
            )
        short = self.problem.with_options(max_iter=0)
        (results,) = run_in_lockstep([short], [self.mixture])
        reached = float(self.problem.bounds_of_the_user(results.histories[0])[0])
        scale = SAME_BOUND[summary.dtype] * max(abs(reached), summary.n_features)
        if not abs(reached - fitted.lower_bound_) <= scale:
            raise ValueError(
                f"X has the mean log-likelihood {reached:.6g}, not the "
                f"{fitted.lower_bound_:.6g} of the fit (lower_bound_): pass the rows "
                "and the sample_weight that the estimator was fitted to, or fit it to "
                "these, without known_labels."
            )


def mixture_of(estimator: Any) -> Any:
    """The fitted mixture, or the best of a search. TypeError for other estimators, and
    NotFittedError."""
    if not isinstance(estimator, MixtureMethods):
        raise TypeError(
            f"estimator={estimator!r:.60} is not a mixture of this package: pass a "
            "fitted GaussianMixtureEM or GaussianMixtureIC. For a Pipeline, pass its "
            "last step, pipeline[-1], and the rows that reach it, "
            "pipeline[:-1].transform(X)."
        )
    return estimator._fitted()


def precise_tol(tol: float, n_rows: float) -> float:
    """The tolerance of fits whose likelihoods, or parameters, are compared."""
    precise = PRECISION / n_rows
    return min(tol, precise) if tol else precise


def check_n_resamples(n_resamples: Any) -> int:
    """The number of replicates. ValueError unless it is a number of two or more."""
    return check_whole(
        "n_resamples", n_resamples, 2, "such as 999, of which each is one fit"
    )


def check_whole(argument: str, value: Any, least: int, remedy: str) -> int:
    """A whole number that is not too small; ValueError for anything else."""
    is_whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not is_whole or not least <= value <= MOST_RESAMPLES:
        raise ValueError(
            f"{argument}={value!r} is not a whole number from {least} to "
            f"{MOST_RESAMPLES}: pass one, {remedy}."
        )
    return int(value)


def check_share(argument: str, value: Any, remedy: str) -> float:
    """A number between 0 and 1; ValueError for anything else."""
    try:
        share = float(value)
    except (TypeError, ValueError):
        share = np.nan
    if not 0 < share < 1:
        raise ValueError(
            f"{argument}={value!r} is not a number between 0 and 1: pass one, {remedy}."
        )
    return share


def seeds_of(random_state: Any, n: int) -> list[int]:
    """Seeds of so many parts of the work, whichever thread or process does them."""
    rng = check_random_state(random_state)
    return rng.randint(np.iinfo(np.int32).max, size=n).tolist()


def with_gaps(
    sample: NDArray, rows: RowBlocks, rng: np.random.RandomState
) -> RowBlocks:
    """A sample without the values that as many of the rows lack: all of them once, in
    random order, or if they have weights, rows drawn by these."""
    if not rows.summary.incomplete:
        return ArrayBlocks(sample)
    weights = rows.sample_weight
    shares = None if weights is None else weights / weights.sum()
    several = len(sample) != len(rows.X) or weights is not None
    chosen = rng.choice(len(rows.X), size=len(sample), replace=several, p=shares)
    sample[np.isnan(rows.X[chosen])] = np.nan
    return IncompleteBlocks.of(sample)
