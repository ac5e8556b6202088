"""The EM driver: E-steps and M-steps in turn, when to stop, and what is told."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emgmm._data.base import RowSource
from emgmm._estep.estep import expectation
from emgmm._estep.statistics import Statistics
from emgmm._model.families import CovarianceFamily
from emgmm._model.parameters import Parameters
from emgmm._utils.callbacks import Tasks

from .acceleration import AndersonAcceleration
from .coordinates import coordinates, retract
from .mstep import DEGENERATE, EPS, Regularization, ScaleRegularization

# Relative, of a log-likelihood: by more than this it does not fall.
ROUNDING, ROUNDING_OF_FLOAT32 = 64 * EPS, 1e-7
WORSE = 10.0  # times as much, by which a mixture is worse than the best
NOISE_OF_FLOAT32 = 4e-5  # in steps of EM
NEGLIGIBLE = 1e-3  # share of variances that may be added where steps are lengthened


@dataclass(frozen=True)
class EMOptions:
    """How long to iterate, and how; what is added to variances; what has no width."""

    tol: float
    max_iter: int
    covar: Regularization
    scale: ScaleRegularization
    accelerated: bool = True


@dataclass(frozen=True, eq=False)
class EMResult:
    """Where one run of EM ended.

    ``lower_bounds`` holds the mean log-likelihood of the start and after each
    iteration, of the best mixture until then (of the last, if ``reg_covar`` is a
    number): the last entry is that of ``mixture``.
    """

    mixture: Parameters
    lower_bounds: list[float]
    converged: bool

    @property
    def lower_bound(self) -> float:
        return self.lower_bounds[-1]

    @property
    def n_iter(self) -> int:
        return len(self.lower_bounds) - 1


@dataclass
class Progress:
    """Prints what scikit-learn's mixtures print (0 nothing, 1 steps, 2 times too), and
    tells callbacks; these may ask to stop."""

    verbose: int
    interval: int
    tasks: Tasks = field(default_factory=Tasks)
    published: Callable[[EMResult], dict[str, Any]] = vars
    reached: EMResult | None = field(default=None, init=False)
    """Where the last iteration of all ended."""
    _grown: EMResult | None = field(default=None, init=False)
    _began: float = field(default=0.0, init=False)
    _last: float = field(default=0.0, init=False)

    def begin(self, run: int, max_iter: int) -> None:
        self.tasks.begin("init", max_iter + 1)
        self._began = self._last = perf_counter()
        if self.verbose:
            print(f"Initialization {run}")

    def grown(self, result: EMResult, n_components: int) -> None:
        """Of a start that is made of more and more components."""
        if self._grown is None:
            self.tasks.begin("start", None)
        self._grown = result
        self.tasks.begin("growth")
        if self.verbose:
            print(
                f"  Start: {len(result.mixture.weights)} of {n_components} components"
            )
        self.tasks.end(lambda: self.published(result))

    def started(self) -> None:
        if (grown := self._grown) is not None:
            self.tasks.end(lambda: self.published(grown))
        self._grown = None

    def iterating(self) -> None:
        self.tasks.begin("iter")

    def iterated(self, result: EMResult) -> bool:
        """Whether a callback wants this run to end."""
        n_iter, self.reached = result.n_iter, result
        if self.verbose and not n_iter % self.interval:
            now, last = perf_counter(), self._last
            self._last = now
            change = result.lower_bounds[-1] - result.lower_bounds[-2]
            times = f"\t time lapse {now - last:.5f}s\t ll change {change:.5f}"
            print(f"  Iteration {n_iter}" + (times if self.verbose > 1 else ""))
        return self.tasks.end(lambda: self.published(result))

    def end(self, result: EMResult) -> bool:
        """Whether a callback wants no further run."""
        if self.verbose:
            lapse = perf_counter() - self._began
            times = f" time lapse {lapse:.5f}s\t lower bound {result.lower_bound:.5f}."
            outcome = "converged." if result.converged else "did not converge."
            print(f"Initialization {outcome}" + (times if self.verbose > 1 else ""))
        return self.tasks.end(lambda: self.published(result))

    def failed(self) -> None:
        self.reached = self._grown = None
        if self.verbose:
            print("Initialization failed: a component became singular.")
        self.tasks.abandon()


def run_em(
    blocks: RowSource,
    start: Parameters,
    family: CovarianceFamily,
    options: EMOptions,
    progress: Progress,
) -> EMResult:
    """Iterate from a mixture until what is still to be gained is less than tol.

    Dempster, Laird & Rubin 1977. One pass over the rows per iteration, and one to
    begin with: the E-step that ends an iteration scores its mixture.
    """
    ascent = EMState(blocks, start, family, options)
    while ascent.n_iter < options.max_iter and not ascent.converged:
        ascent.propose_step()
        if ascent.converged:
            return ascent.result
        progress.iterating()
        ascent.step()
        if progress.iterated(ascent.result):
            return ascent.result
    if ascent.n_iter and options.tol > 0 and not ascent.converged:
        with suppress(np.linalg.LinAlgError):  # of a step that is not taken
            ascent.propose_step()
    return ascent.result


class EMState:
    """Where a run has come to, and the steps that lead on from there.

    An iteration takes EM's step, or a longer one if that raises the likelihood; if it
    does not, the mixture stays, and the next iteration takes EM's.
    """

    def __init__(
        self,
        blocks: RowSource,
        start: Parameters,
        family: CovarianceFamily,
        options: EMOptions,
    ) -> None:
        self._blocks, self._options = blocks, options
        self._family = family.inexact if options.accelerated else family
        self._mixture, self._stats = start, expectation(blocks, start)
        self._reached = self._stats.log_likelihood / self._stats.weight
        self._best, self._bounds = start, [self._reached]
        self._single = blocks.summary.compute_dtype == np.float32
        self._secants = AndersonAcceleration()
        self._added: NDArray | None = None
        self._following, self._own = start, np.zeros(0)
        self._longer: NDArray | None = None
        self._at_rest = False
        self._climbs = options.covar is options.scale

    @property
    def n_iter(self) -> int:
        return len(self._bounds) - 1

    @property
    def converged(self) -> bool:
        """Whether so little was to be gained when it was last looked ahead."""
        if self._at_rest:
            return True
        return self.n_iter > 0 and self._secants.gain < self._options.tol

    @property
    def result(self) -> EMResult:
        return EMResult(self._best, self._bounds, self.converged)

    @np.errstate(all="ignore")
    def propose_step(self) -> None:
        """Find EM's step, and what it tells of others. LinAlgError if singular."""
        options, before = self._options, self._mixture
        self._following, self._added = options.covar.step(
            self._stats, self._family, before, self._added
        )
        if not options.accelerated and not options.tol:
            return
        near = options.scale.regularization_ratio(before)
        counted = near < DEGENERATE
        self._own = coordinates(before, self._following, counted)
        self._longer = self._secants.learn(self._own, self._noise(near[counted]))
        if options.covar is not options.scale:
            near = options.covar.regularization_ratio(before)
        if not near.max() < NEGLIGIBLE:
            # What is added is no gradient of the likelihood, by which steps are judged.
            self._longer = None

    def _noise(self, near: NDArray) -> float:
        """Length of a step that rounding makes, in relative standard deviations."""
        amplified = near.max(initial=0.0) / (16.0 * self._mixture.means.shape[1])
        return max(amplified, NOISE_OF_FLOAT32 if self._single else EPS**0.5)

    @np.errstate(all="ignore")
    def step(self) -> None:
        """Try the longer step, if there is one, or take EM's: a pass over the rows."""
        further = self._further() if self._options.accelerated else None
        mixture, step = further or (self._following, self._own)
        stats = expectation(self._blocks, mixture)
        reached = stats.log_likelihood / stats.weight
        if not self._below(reached, self._reached):
            self._accept(step, further is not None, mixture, stats, reached)
        elif further:
            self._secants.rejected(step)
        elif self._climbs and (self._options.tol > 0 or not np.isfinite(reached)):
            # Only rounding, or what is added where there is no width, can do that.
            self._at_rest = True
        else:
            self._accept(step, False, mixture, stats, reached)
        self._keep_best()

    def _below(self, bound: float, other: float, margin: float = 1.0) -> bool:
        """Whether it is less, by more than rounding, or not a number."""
        rounding = ROUNDING_OF_FLOAT32 if self._single else ROUNDING
        return not bound >= other - margin * rounding * max(abs(other), 1.0)

    def _accept(
        self,
        step: NDArray,
        longer: bool,
        mixture: Parameters,
        stats: Statistics,
        reached: float,
    ) -> None:
        """Go on from another mixture."""
        self._secants.accepted(step, longer)
        self._mixture, self._stats, self._reached = mixture, stats, reached

    def _keep_best(self) -> None:
        """End an iteration: what would be published now, and its likelihood.

        With a number in reg_covar the likelihood itself is not what EM climbs, and the
        last mixture is published, as of scikit-learn's.
        """
        if self._climbs and self._below(self._reached, self._bounds[-1], WORSE):
            self._bounds.append(self._bounds[-1])
        else:
            self._best = self._mixture
            self._bounds.append(self._reached)

    def _further(self) -> tuple[Parameters, NDArray] | None:
        """The mixture a longer step away, unless it has no width."""
        if self._longer is None:
            return None
        try:
            further = retract(self._mixture, self._longer, self._family)
        except np.linalg.LinAlgError:
            return None
        if self._options.scale.collapsed(further).any():
            return None
        return further, self._longer
