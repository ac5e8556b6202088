"""The EM driver: E-steps and M-steps in turn, when to stop, and what is told."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import perf_counter

from ._blocks import Blocks
from ._estep import expectation
from ._families import CovarianceFamily
from ._mixture import Mixture
from ._mstep import m_step


@dataclass(frozen=True)
class EMOptions:
    """How long to iterate, and what is added to the variances."""

    tol: float
    max_iter: int
    reg_covar: float


@dataclass(frozen=True, eq=False)
class EMResult:
    """Where one run of EM ended.

    ``lower_bounds`` holds the mean log-likelihood of the start and after each
    iteration, so that its last entry belongs to ``mixture``.
    """

    mixture: Mixture
    lower_bounds: list[float]
    converged: bool

    @property
    def lower_bound(self) -> float:
        return self.lower_bounds[-1]


@dataclass
class Progress:
    """Prints what scikit-learn's mixtures print: 0 nothing, 1 steps, 2 times too."""

    verbose: int
    interval: int
    _began: float = field(default=0.0, init=False)
    _last: float = field(default=0.0, init=False)

    def begin(self, run: int) -> None:
        self._began = self._last = perf_counter()
        if self.verbose:
            print(f"Initialization {run}")

    def iterated(self, n_iter: int, change: float) -> None:
        if not self.verbose or n_iter % self.interval:
            return
        now, last = perf_counter(), self._last
        self._last = now
        times = f"\t time lapse {now - last:.5f}s\t ll change {change:.5f}"
        print(f"  Iteration {n_iter}" + (times if self.verbose > 1 else ""))

    def end(self, result: EMResult) -> None:
        if not self.verbose:
            return
        lapse = perf_counter() - self._began
        times = f" time lapse {lapse:.5f}s\t lower bound {result.lower_bound:.5f}."
        outcome = "converged." if result.converged else "did not converge."
        print(f"Initialization {outcome}" + (times if self.verbose > 1 else ""))


def run_em(
    blocks: Blocks,
    start: Mixture,
    family: CovarianceFamily,
    options: EMOptions,
    progress: Progress,
) -> EMResult:
    """Iterate from a mixture until the mean log-likelihood changes by less than tol.

    Dempster, Laird & Rubin 1977. One pass over the rows per iteration, and one to
    begin with: the E-step that ends an iteration scores its mixture.
    """
    mixture, stats = start, expectation(blocks, start)
    lower_bounds = [stats.log_likelihood / stats.weight]
    converged = False
    while not converged and len(lower_bounds) <= options.max_iter:
        mixture = m_step(stats, family, options.reg_covar, mixture)
        stats = expectation(blocks, mixture)
        lower_bounds.append(stats.log_likelihood / stats.weight)
        change = lower_bounds[-1] - lower_bounds[-2]
        converged = abs(change) < options.tol
        progress.iterated(len(lower_bounds) - 1, change)
    return EMResult(mixture, lower_bounds, converged)
