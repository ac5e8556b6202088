"""The tasks of a fit, told to scikit-learn's callbacks (which it has from 1.9 on)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from time import perf_counter
from typing import Any

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Nothing, where scikit-learn has no callbacks."""


class Tasks:
    """Tasks begun and not yet ended, each within the one before; nothing, at no cost,
    where the estimator has no callbacks.

    The first is to begin outside `restore_on_error`: what scikit-learn tears
    callbacks down by is kept in attributes of the estimator.
    """

    def __init__(self, estimator: Any = None, **data: Any) -> None:
        self._told = {"estimator": estimator, **data}
        self._callbacks = hasattr(estimator, "_skl_callbacks")
        self._open: list[Any] = []

    def begin(self, name: str, max_subtasks: int | None = 0) -> None:
        if self._callbacks:
            new = (
                self._open[-1].subcontext
                if self._open
                else self._told["estimator"]._init_callback_context
            )
            self._open.append(new(task_name=name, max_subtasks=max_subtasks))
            self._open[-1].call_on_fit_task_begin(**self._told)

    def end(self, fitted: Callable[[], dict[str, Any]] | None) -> bool:
        """Whether a callback wants no further task beside this one.

        `fitted` gives the attributes of an estimator whose fit had ended here; None if
        it cannot end here.
        """
        return self._callbacks and self._open.pop().call_on_fit_task_end(
            **self._told, reconstruction_attributes=fitted
        )

    def abandon(self) -> None:
        """Forget what was begun within the first task: it failed."""
        del self._open[1:]


Stage = Callable[[str, float], AbstractContextManager[None]]
"""What a part of a search runs in: its name, and the share that is done at its end."""


def silent(name: str, share: float) -> AbstractContextManager[None]:
    """A part of a search of which nobody hears."""
    return nullcontext()


@dataclass(frozen=True)
class Stages:
    """Parts of a search: printed where it is verbose, and tasks of callbacks."""

    verbose: int
    tasks: Tasks
    told: Callable[[float], None]
    """Called with the share that is done."""

    @contextmanager
    def __call__(self, name: str, share: float) -> Iterator[None]:
        self.tasks.begin(name)
        began = perf_counter()
        yield
        if self.verbose:
            lapse = perf_counter() - began
            print(f"Search: {name} in {lapse:.1f} s, {share:.0%} done")
        self.told(share)
        self.tasks.end(None)
