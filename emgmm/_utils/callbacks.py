"""The tasks of a fit, reported to callbacks of scikit-learn (from its version 1.9)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from copy import copy
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from .sklearn_private import has_callbacks, new_callback_context, with_callbacks


class Tasks:
    """The tasks of a fit that have begun and not ended, each within the one before.

    Does nothing if the estimator has no callbacks. The first task must begin outside
    `restore_on_error`: scikit-learn keeps what ends callbacks in attributes.
    """

    def __init__(self, estimator: Any = None, **data: Any) -> None:
        self._data = {"estimator": estimator, **data}
        self.are_reported = has_callbacks(estimator)
        self._open: list[Any] = []

    def begin(self, name: str, max_subtasks: int | None = 0) -> None:
        """Report that a task begins."""
        if self.are_reported:
            task = {"task_name": name, "max_subtasks": max_subtasks}
            self._open.append(
                self._open[-1].subcontext(**task)
                if self._open
                else new_callback_context(self._data["estimator"], **task)
            )
            self._open[-1].call_on_fit_task_begin(**self._data)

    def end(self, fitted: Callable[[], dict[str, Any]] | None) -> bool:
        """Report that a task has ended: whether a callback asks to stop.

        `fitted` returns the attributes of an estimator whose fit ends here; None if it
        cannot end here.
        """
        return self.are_reported and self._open.pop().call_on_fit_task_end(
            **self._data, reconstruction_attributes=fitted
        )

    def abandon(self) -> None:
        """Forget the tasks within the first: they failed."""
        del self._open[1:]


def reported(
    estimator: Any, X: Any, task: tuple[str, int], function: Callable[[Tasks], Any]
) -> Any:
    """What the function returns, called with tasks that are reported to the callbacks
    of a fitted estimator: within one of such a name with so many subtasks."""
    same = copy(estimator)  # scikit-learn keeps contexts in attributes
    tasks = Tasks(same, X=X, y=None, metadata=None)

    def run(_: Any) -> Any:
        tasks.begin(*task)
        found = function(tasks)
        tasks.end(dict)
        return found

    return with_callbacks(run)(same)


Stage = Callable[[str, float], AbstractContextManager[None]]
"""Returns a context of the name of a part of a search, and the share done after it."""


def silent(name: str, share: float) -> AbstractContextManager[None]:
    """A context that reports nothing."""
    return nullcontext()


@dataclass(frozen=True)
class Stages:
    """Contexts for the parts of a search, printed and reported to callbacks."""

    verbose: int
    tasks: Tasks
    report: Callable[[float], None]
    """Called with the share that is done."""

    @contextmanager
    def __call__(self, name: str, share: float) -> Iterator[None]:
        self.tasks.begin(name)
        began = perf_counter()
        yield
        if self.verbose:
            lapse = perf_counter() - began
            print(f"Search: {name} in {lapse:.1f} s, {share:.0%} done")
        self.report(share)
        self.tasks.end(None)
