"""The tasks of a fit, told to scikit-learn's callbacks (which it has from 1.9 on)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Nothing, where scikit-learn has no callbacks."""


class Tasks:
    """Tasks begun and not yet ended, each within the one before; nothing, at no cost,
    where the estimator has no callbacks.

    The first is to begin outside `unchanged_on_failure`: what scikit-learn tears
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

    def end(self, fitted: Callable[[], dict[str, Any]]) -> bool:
        """Whether a callback wants no further task beside this one.

        `fitted` gives the attributes of an estimator whose fit had ended here.
        """
        return self._callbacks and self._open.pop().call_on_fit_task_end(
            **self._told, reconstruction_attributes=fitted
        )

    def abandon(self) -> None:
        """Forget what was begun within the first task: it failed."""
        del self._open[1:]
