"""Replicates of a fit: mixtures fitted to resampled rows, many at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.parallel import Parallel, delayed

from emgmm._em.lockstep import run_in_lockstep, run_on_own_rows
from emgmm._em.result import EMResults
from emgmm._model.parameters import Parameters
from emgmm._utils.callbacks import Tasks, reported
from emgmm._utils.threads import run_all

from .fitted_rows import FittedRows, seeds_of, with_gaps
from .matching import matched

# Responsibilities of a batch: fewer make calls short, and of each batch some fits need
# many iterations. Of rows of their own more arrays must fit into the caches.
MOST_NUMBERS, MOST_OF_OWN_ROWS = 2**20, 2**18
Resample = Callable[[FittedRows, int, np.random.RandomState], EMResults]


class Replicates(NamedTuple):
    """Replicates as a stack of mixtures in the units of the user, components in the
    order of the fit if they are usable; which (B,) have no degenerate component; and in
    which (B,) EM has converged."""

    mixtures: Parameters
    usable: NDArray
    converged: NDArray

    @staticmethod
    def joined(parts: Sequence[Replicates]) -> Replicates:
        """Those of several batches."""
        return Replicates(
            Parameters.joined([part.mixtures for part in parts]),
            np.concatenate([part.usable for part in parts]),
            np.concatenate([part.converged for part in parts]),
        )


def replicates_of(
    fit: FittedRows, method: str, n_resamples: int, seed: Any, n_jobs: int | None
) -> Replicates:
    """So many replicates, in threads: as many as BLAS may use, or ``n_jobs``."""
    resample, most = RESAMPLING[method]
    n_numbers = len(fit.rows.X) * len(fit.mixture.weights)
    n_batches = -(-n_resamples // max(most // n_numbers, 1))
    sizes = np.diff(np.linspace(0, n_resamples, n_batches + 1).astype(int)).tolist()
    works = [
        partial(_batch, fit, resample, size, own)
        for size, own in zip(sizes, seeds_of(seed, n_batches), strict=True)
    ]
    task = ("bootstrap", n_batches)
    run = partial(_run, works, n_jobs)
    return Replicates.joined(reported(fit.estimator, fit.rows.X, task, run))


@dataclass(frozen=True)
class Reporting:
    """Work that is reported when it ends, from whichever thread."""

    work: Callable[[], Replicates]
    tasks: Tasks
    lock: Lock

    def __call__(self) -> Replicates:
        """What the work returns."""
        found = self.work()
        with self.lock:
            self.tasks.begin("batch")
            self.tasks.end(None)
        return found


def _run(
    works: Sequence[Callable[[], Replicates]], n_jobs: int | None, tasks: Tasks
) -> list[Replicates]:
    """What the works return, each of which is a task."""
    lock = Lock()
    reporting = [Reporting(work, tasks, lock) for work in works]
    if n_jobs is None:
        return run_all(reporting)
    threads = Parallel(n_jobs=n_jobs, require="sharedmem")
    return threads(delayed(each)() for each in reporting)


def _batch(fit: FittedRows, resample: Resample, size: int, seed: int) -> Replicates:
    """So many replicates."""
    found = resample(fit, size, np.random.RandomState(seed))
    failed, mixtures = np.flatnonzero(found.failed), found.mixtures
    if len(failed):  # placeholders
        mixtures = mixtures.replaced(failed, _copies(fit.mixture, len(failed)))
    usable = ~found.failed & fit.problem.sound(mixtures)
    regular = np.flatnonzero(usable)
    if len(regular):  # covariances of others may be singular
        own = matched(mixtures.take(regular), fit.mixture)
        mixtures = mixtures.replaced(regular, own)
    return Replicates(mixtures.in_units(1 / fit.problem.units), usable, found.converged)


# How rows are resampled


def _weighted(fit: FittedRows, size: int, rng: np.random.RandomState) -> EMResults:
    """Fits with Dirichlet weights of the rows (Newton & Raftery 1994). A row of weight
    w has the sum of w exponential variables, as w rows of weight one have."""
    amounts = _amounts(fit)
    draws = rng.standard_gamma(amounts, size=(size, len(amounts)))
    return _run_with_weights(fit, draws, amounts)


def _nonparametric(fit: FittedRows, size: int, rng: np.random.RandomState) -> EMResults:
    """Fits to rows drawn with replacement (Efron 1979): as often as multinomial counts
    say."""
    amounts = _amounts(fit)
    shape = size, fit.n_rows
    if fit.rows.sample_weight is None:
        chosen = rng.randint(len(amounts), size=shape)
    else:  # much faster than multinomial counts
        ends = np.cumsum(amounts)
        uniform = rng.uniform(0.0, ends[-1], size=shape)
        chosen = np.searchsorted(ends[:-1], uniform, side="right")
    places = chosen + len(amounts) * np.arange(size)[:, None]
    counts = np.bincount(places.ravel(), minlength=size * len(amounts))
    return _run_with_weights(fit, counts.reshape(size, -1), amounts)


def _amounts(fit: FittedRows) -> NDArray:
    """Weights (n,) of the rows; if their sum is less than the number of rows, as shares
    of it."""
    return fit.rows.weights * (fit.problem.n_rows / fit.rows.summary.weight)


def _run_with_weights(fit: FittedRows, draws: NDArray, amounts: NDArray) -> EMResults:
    """Fits to the rows with random weights (B, n), of such expected values (n,)."""
    draws = draws * (amounts.sum() / draws.sum(axis=1, keepdims=True))
    shares = np.divide(draws, amounts, out=np.zeros(draws.shape), where=amounts > 0)
    starts = _copies(fit.mixture, len(draws))
    return run_in_lockstep([fit.precise], [starts], [shares.T])[0]


def _parametric(fit: FittedRows, size: int, rng: np.random.RandomState) -> EMResults:
    """Fits to rows drawn from the mixture."""
    samples = _samples(fit, size, rng)
    if not fit.rows.summary.incomplete:
        starts = _copies(fit.mixture, size)
        own = np.ascontiguousarray(samples.mT)
        return run_on_own_rows(fit.precise, starts, own)
    rows = (with_gaps(sample, fit.rows, rng) for sample in samples)
    problems = (replace(fit.precise, rows=own) for own in rows)
    each = [run_in_lockstep([own], [fit.mixture])[0] for own in problems]
    return EMResults.joined(each)


def _samples(fit: FittedRows, size: int, rng: np.random.RandomState) -> NDArray:
    """So many samples (B, n, d) from the mixture, all of one component at a time."""
    mixture = fit.mixture
    shares, n_components = mixture.weights, len(mixture.weights)
    if mixture.noise:
        shares = np.append(shares, mixture.noise_weights)
    counts = rng.multinomial(fit.n_rows, shares / shares.sum(), size=size)
    rows = mixture.sample_of_components(counts[:, :n_components].sum(axis=0), rng)
    if mixture.noise:
        of_noise = mixture.noise.sample(int(counts[:, -1].sum()), rng)
        rows = np.concatenate([rows, of_noise])
    numbers = np.broadcast_to(np.arange(size), counts.T.shape)
    owners = np.repeat(numbers.ravel(), counts.T.ravel())
    return rows[owners.argsort(kind="stable")].reshape(size, -1, rows.shape[1])


def _copies(mixture: Parameters, size: int) -> Parameters:
    """A stack of so many equal mixtures."""
    return mixture.take(np.zeros(size, dtype=np.intp))


RESAMPLING: dict[str, tuple[Resample, int]] = {
    "weighted": (_weighted, MOST_NUMBERS),
    "nonparametric": (_nonparametric, MOST_NUMBERS),
    "parametric": (_parametric, MOST_OF_OWN_ROWS),
}
"""The methods by name, and how many responsibilities a batch has at most."""
