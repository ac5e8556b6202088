"""What is printed of a fit while it runs, and what callbacks are called with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from emgmm._model.parameters import Parameters
from emgmm._utils.callbacks import Tasks

from .result import EMResult
from .state import EMState


@dataclass
class Progress:
    """What a fit prints, as scikit-learn's mixtures do, and its callbacks.

    ``verbose`` is 0 for nothing, 1 for iterations, 2 for times and changes too.
    """

    verbose: int
    interval: int
    tasks: Tasks = field(default_factory=Tasks)
    published: Callable[[EMResult], dict[str, Any]] = vars
    _latest: EMState | Parameters | None = field(default=None, init=False)
    _best_start: EMResult | None = field(default=None, init=False)
    _began: float = field(default=0.0, init=False)
    _last: float = field(default=0.0, init=False)

    @property
    def reached(self) -> Parameters | None:
        """The best mixture after the last iteration, or that the fit ended with."""
        latest = self._latest
        return latest.leading if isinstance(latest, EMState) else latest

    @property
    def in_turn(self) -> bool:
        """Whether runs are printed or reported, and therefore must not be mixed up."""
        return bool(self.verbose) or self.tasks.are_reported

    def begin(self, run: int, max_iter: int) -> None:
        """A run begins, with its start."""
        self.tasks.begin("init", max_iter + 1)
        self._began = self._last = perf_counter()
        if self.verbose:
            print(f"Initialization {run}")

    def improved(self, result: EMResult) -> None:
        """A start has become better."""
        if self._best_start is None:
            self.tasks.begin("start", None)
        self._best_start = result
        self.tasks.begin("move")
        if self.verbose:
            print(f"  Start: lower bound {result.lower_bound:.5f}")
        self.tasks.end(lambda: self.published(result))

    def started(self) -> None:
        """The start of a run has been found."""
        if (best := self._best_start) is not None:
            self.tasks.end(lambda: self.published(best))
        self._best_start = None

    def iterating(self) -> None:
        """An iteration begins."""
        self.tasks.begin("iter")

    def iterated(self, states: Sequence[EMState]) -> None:
        """An iteration ends. Ends the run too if a callback wants that."""
        self._latest = state = states[0]
        if not self.in_turn:
            return
        result = state.result()
        if self.verbose and not result.n_iter % self.interval:
            now, last = perf_counter(), self._last
            self._last = now
            change = result.lower_bounds[-1] - result.lower_bounds[-2]
            times = f"\t time lapse {now - last:.5f}s\t ll change {change:.5f}"
            print(f"  Iteration {result.n_iter}" + (times if self.verbose > 1 else ""))
        if self.tasks.end(lambda: self.published(result)):
            state.end(state.running)

    def end(self, result: EMResult) -> bool:
        """A run ends. Returns whether a callback wants no further run."""
        if self.verbose:
            lapse = perf_counter() - self._began
            times = f" time lapse {lapse:.5f}s\t lower bound {result.lower_bound:.5f}."
            outcome = "converged." if result.converged else "did not converge."
            print(f"Initialization {outcome}" + (times if self.verbose > 1 else ""))
        return self.tasks.end(lambda: self.published(result))

    def ended(self, mixture: Parameters) -> None:
        """The fit ends with a mixture."""
        self._latest = mixture

    def failed(self) -> None:
        """A run ends with a singular covariance."""
        self._latest = self._best_start = None
        if self.verbose:
            print("Initialization failed: a component became singular.")
        self.tasks.abandon()
