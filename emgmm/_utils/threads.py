"""Threads over blocks of rows, with BLAS limited to one thread in each."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from contextvars import copy_context
from functools import cache
from math import prod
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray
from threadpoolctl import ThreadpoolController


class Workspace(threading.local):
    """Arrays that are used again and again, by name; every thread has its own.

    A new array of a megabyte takes longer than what is computed in it, because its
    pages come from the operating system.
    """

    device: Any = None
    """Where the arrays are, unless they are NumPy's."""

    def __init__(self) -> None:
        self._buffers: dict[tuple[str, np.dtype], NDArray] = {}
        self._last: dict[str, NDArray] = {}
        self._content: dict[str, tuple[NDArray, object]] = {}

    def __reduce__(self) -> tuple[type[Workspace], tuple[()]]:
        """An empty workspace, in another process."""
        return Workspace, ()

    def array(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray:
        """An array of undefined content, which replaces the last of this name."""
        self._content.pop(name, None)
        last = self._last.get(name)
        if last is not None and last.shape == shape and last.dtype == dtype:
            return last
        size, key = prod(shape), (name, np.dtype(dtype))
        buffer = self._buffers.get(key)
        if buffer is None or buffer.size < size:
            buffer = self._buffers[key] = np.empty(size, dtype)
        array = self._last[name] = buffer[:size].reshape(shape)
        return array

    def keep(self, name: str, rows: NDArray, how: object) -> None:
        """Record of which rows, and how, the array of this name was made."""
        self._content[name] = rows, how

    def kept(self, name: str, rows: NDArray, how: object) -> NDArray | None:
        """The array of this name, if it was last made of these rows and in this way."""
        made_of, made_how = self._content.get(name, (None, None))
        return self._last[name] if made_of is rows and made_how == how else None


class BlasLimit:
    """A limit of one thread for BLAS, whose number of threads is that of the process.

    Any number of threads may hold the limit at the same time, and each may nest it; the
    last to release it restores the number, unless other code has set one meanwhile.
    `threadpoolctl.threadpool_limits` would not do: its limits restore what they found,
    in whatever order they end, and from version 3.8 on do nothing in a thread other
    than the first, so that a process could stay at one thread.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._own = threading.local()
        self._holders = 0
        self._before: list[tuple[Any, int]] = []

    @contextmanager
    def single_threaded(self) -> Iterator[int]:
        """A context in which BLAS has one thread: the number that its caller may use.

        That is the number of BLAS without the other holders, but at least one. The
        limit applies from the first product to the last, not for each: threads of BLAS
        go on spinning for a while after each product that they share.
        """
        outermost = not getattr(self._own, "holds", False)
        if outermost:
            self._begin()
        try:
            allowed = max((number for _, number in self._before), default=1)
            yield max(allowed + 1 - self._holders, 1)
        finally:
            if outermost:
                self._end()

    def _begin(self) -> None:
        """Count this thread among the holders; the first limits BLAS."""
        with self._lock:
            if self._holders == 0:
                self._before = [(lib, _number(lib)) for lib in _libraries()]
            else:
                self._before = [
                    (library, _number(library) if _is_altered(library) else number)
                    for library, number in self._before
                ]
            self._holders += 1
            _set_threads((library, 1) for library, _ in self._before)
        self._own.holds = True

    def _end(self) -> None:
        self._own.holds = False
        with self._lock:
            if self._holders == 0:  # already released after a fork
                return
            self._holders -= 1
            self._restore(not self._holders)

    def limit_own(self) -> None:
        """Limit the calling helper too, where every thread has a number of its own."""
        for library, _ in self._before:
            if _is_per_thread(library):
                library.set_num_threads(1)

    def before_fork(self) -> None:
        """Take the lock, lest the child find it closed for ever."""
        self._lock.acquire()

    def after_fork(self) -> None:
        """Release the lock in the parent."""
        self._lock.release()

    def reset(self) -> None:
        """Release the limit in a forked child, where the holders do not exist."""
        if self._holders:
            self._restore(True)
        self.__init__()  # type: ignore[misc]

    def _restore(self, everything: bool) -> None:
        """Restore the numbers of before, except where other code has set one since."""
        _set_threads(
            (library, number)
            for library, number in self._before
            if (everything or _is_per_thread(library)) and _number(library) == 1
        )


@cache
def _libraries() -> list[Any]:
    """Controllers of BLAS, or of OpenMP where BLAS is unknown; found in 2 ms."""
    found = ThreadpoolController().lib_controllers
    blas = [library for library in found if library.user_api == "blas"]
    return blas or found


def _number(library: Any) -> int:
    """The number of threads of a library: the caller's, if every thread has its own."""
    return library.num_threads or 1


def _is_altered(library: Any) -> bool:
    """Whether other code has set a number that was limited to one."""
    return not _is_per_thread(library) and _number(library) != 1


def _set_threads(numbers: Iterable[tuple[Any, int]]) -> None:
    """Set the numbers of threads of libraries, whichever thread set them last.

    threadpoolctl lets only one thread at a time set the number of a process, until that
    thread ends. The lock of ``BlasLimit`` is enough: no two threads set one at once.
    """
    for library, number in numbers:
        release = getattr(library, "clear_controlling_thread", lambda force: None)
        release(force=True)
        library.set_num_threads(number)
        release(force=True)


def _is_per_thread(library: Any) -> bool:
    """Whether every thread has its own number of threads."""
    layer = getattr(library, "threading_layer", "")
    return library.internal_api == "mkl" or layer == "openmp"


def run_all(tasks: Sequence[Callable[[], Any]]) -> list[Any]:
    """Results of the tasks, in order, computed in as many threads as BLAS may use.

    The caller is one of the threads; several callers at once share the others. An
    exception cancels the tasks that have not begun.
    """
    with BLAS.single_threaded() as n_threads:
        if len(tasks) == 1 or n_threads == 1:
            return [task() for task in tasks]
        return _share(tasks, n_threads)


class OrderedSum:
    """A sum of numbered values that arrive in any order, added by their numbers."""

    def __init__(self) -> None:
        self.value: Any = None
        self._added = 0
        self._waiting: dict[int, Any] = {}
        self._lock = threading.Lock()

    def add(self, index: int, value: Any) -> None:
        """Add the value as soon as those of lower numbers are there."""
        with self._lock:
            self._waiting[index] = value
            while self._added in self._waiting:
                value = self._waiting.pop(self._added)
                self.value = value if self._added == 0 else self.value + value
                self._added += 1


def _share(tasks: Sequence[Callable[[], Any]], n_threads: int) -> list[Any]:
    """Results of the tasks, shared by the caller and its helper threads."""
    waiting = deque(enumerate(tasks))
    results: list[Any] = [None] * len(tasks)

    def work() -> None:
        BLAS.limit_own()
        try:
            for index, task in _taken_from(waiting):
                results[index] = task()
        except BaseException:
            waiting.clear()
            raise

    helpers: list[Future[None]] = []
    try:
        with suppress(RuntimeError):  # no more threads: fewer helpers
            for _ in range(min(n_threads, len(tasks)) - 1):
                # In the context of the caller, such as what it set of np.errstate.
                run = copy_context().run
                helpers.append(_pool(n_threads - 1).submit(run, work))
        work()
    finally:
        waiting.clear()
        begun = [helper for helper in helpers if not helper.cancel()]
        wait(begun)
    for helper in begun:
        helper.result()
    return results


def _taken_from(waiting: deque[Any]) -> Iterator[Any]:
    """The items of a queue that other threads take from too, until it is empty."""
    while waiting:
        try:
            yield waiting.popleft()
        except IndexError:  # another thread took the last
            return


@cache
def _pool(n_helpers: int) -> ThreadPoolExecutor:
    """The pool of helpers that all fits and predictions of the process share."""
    return ThreadPoolExecutor(n_helpers, thread_name_prefix="emgmm")


def _after_fork() -> None:
    """Release the limit in a forked child, which has none of the helpers."""
    BLAS.reset()
    _pool.cache_clear()


BLAS = BlasLimit()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=BLAS.before_fork,
        after_in_parent=BLAS.after_fork,
        after_in_child=_after_fork,
    )
