"""Threads over blocks: how many there may be, with BLAS held to one in each."""

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
    """Arrays that a thread writes again and again, each under a name of its own.

    Fresh arrays of a megabyte cost more than what is computed in them: their pages
    come from the system. Every thread sees buffers of its own.
    """

    def __init__(self) -> None:
        self._buffers: dict[str, NDArray] = {}
        self._last: dict[str, NDArray] = {}
        self._content: dict[str, tuple[NDArray, object]] = {}

    def __reduce__(self) -> tuple[type[Workspace], tuple[()]]:
        """In another process: nothing yet."""
        return Workspace, ()

    def array(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray:
        """An array of any content; what it held under this name is lost."""
        self._content.pop(name, None)
        last = self._last.get(name)
        if last is not None and last.shape == shape and last.dtype == dtype:
            return last
        size, buffer = prod(shape), self._buffers.get(name)
        if buffer is None or buffer.dtype != dtype or buffer.size < size:
            buffer = self._buffers[name] = np.empty(size, dtype)
        array = self._last[name] = buffer[:size].reshape(shape)
        return array

    def keep(self, name: str, rows: NDArray, how: object) -> None:
        """Say of which rows, and how, the array was made."""
        self._content[name] = rows, how

    def kept(self, name: str, rows: NDArray, how: object) -> NDArray | None:
        """The array, if it was made of these very rows, and so, and is not yet lost."""
        made_of, so = self._content.get(name, (None, None))
        return self._last[name] if made_of is rows and so == how else None


class BlasLimit:
    """The number of threads of BLAS, which belongs to the whole process.

    Any number of threads may hold it at one at the same time, and each any number of
    times; the last to let go restores it, unless somebody else has set it meanwhile.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._own = threading.local()
        self._holders = 0
        self._before: list[tuple[Any, int]] = []

    @contextmanager
    def held(self) -> Iterator[int]:
        """Hold BLAS at one thread; the number of threads that this leaves the holder.

        That is what BLAS might have used, less the other holders, but one at least.
        BLAS is held from a first product to a last, rather than for each: its threads
        go on spinning for a while after each product that they shared.
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
            if self._holders == 0:  # a fork has let go already
                return
            self._holders -= 1
            self._give_back(not self._holders)

    def hold_own(self) -> None:
        """In a helper, while another thread holds, where every thread has a number."""
        for library, _ in self._before:
            if _is_per_thread(library):
                library.set_num_threads(1)

    def before_fork(self) -> None:
        """Wait until no thread is about to set a number: locks would stay closed."""
        self._lock.acquire()

    def after_fork(self) -> None:
        """In the parent."""
        self._lock.release()

    def reset(self) -> None:
        """In a forked child the holders are gone, and what they held is let go."""
        if self._holders:
            self._give_back(True)
        self.__init__()  # type: ignore[misc]

    def _give_back(self, everything: bool) -> None:
        """Set the numbers of before, but where somebody else has set one since."""
        _set_threads(
            (library, number)
            for library, number in self._before
            if (everything or _is_per_thread(library)) and _number(library) == 1
        )


@cache
def _libraries() -> list[Any]:
    """What controls BLAS, or OpenMP where BLAS is not known; to find it takes 2 ms."""
    found = ThreadpoolController().lib_controllers
    blas = [library for library in found if library.user_api == "blas"]
    return blas or found


def _number(library: Any) -> int:
    """Of its threads; of the caller's, where each thread has a number of its own."""
    return library.num_threads or 1


def _is_altered(library: Any) -> bool:
    """Whether somebody else has set a number that was held at one."""
    return not _is_per_thread(library) and _number(library) != 1


def _set_threads(numbers: Iterable[tuple[Any, int]]) -> None:
    """Set numbers of threads, whichever thread set them last.

    threadpoolctl lets only one thread at a time set what belongs to the process; the
    lock of ``BlasLimit`` does better, since the first to hold need not end last.
    """
    for library, number in numbers:
        let_go = getattr(library, "clear_controlling_thread", lambda force: None)
        let_go(force=True)
        library.set_num_threads(number)
        let_go(force=True)


def _is_per_thread(library: Any) -> bool:
    """Whether every thread has a number of its own."""
    layer = getattr(library, "threading_layer", "")
    return library.internal_api == "mkl" or layer == "openmp"


def run_all(tasks: Sequence[Callable[[], Any]]) -> list[Any]:
    """Results of the tasks, in their order, from as many threads as BLAS may use.

    The caller is one of the threads, and where there are many callers at once each
    has fewer helpers, or none. An exception ends the tasks not yet begun.
    """
    with BLAS.held() as n_threads:
        if len(tasks) == 1 or n_threads == 1:
            return [task() for task in tasks]
        return _share(tasks, n_threads)


class OrderedSum:
    """A sum of values that come in any order, added in that of their numbers.

    Few have to wait at a time, so that few are in memory.
    """

    def __init__(self) -> None:
        self.value: Any = None
        self._added = 0
        self._waiting: dict[int, Any] = {}
        self._lock = threading.Lock()

    def add(self, index: int, value: Any) -> None:
        with self._lock:
            self._waiting[index] = value
            while self._added in self._waiting:
                value = self._waiting.pop(self._added)
                self.value = value if self._added == 0 else self.value + value
                self._added += 1


def _share(tasks: Sequence[Callable[[], Any]], n_threads: int) -> list[Any]:
    """Let the caller and its helpers take the next task until none is left."""
    waiting = deque(enumerate(tasks))
    results: list[Any] = [None] * len(tasks)

    def work() -> None:
        BLAS.hold_own()
        try:
            for index, task in _taken_from(waiting):
                results[index] = task()
        except BaseException:
            waiting.clear()
            raise

    helpers: list[Future[None]] = []
    try:
        with suppress(RuntimeError):  # no more threads: the caller does without
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
    """What is left, until none is."""
    while waiting:
        try:
            yield waiting.popleft()
        except IndexError:  # another thread took the last
            return


@cache
def _pool(n_helpers: int) -> ThreadPoolExecutor:
    """The helpers that all fits and predictions of the process share."""
    return ThreadPoolExecutor(n_helpers, thread_name_prefix="emgmm")


def _after_fork() -> None:
    BLAS.reset()
    _pool.cache_clear()


BLAS = BlasLimit()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=BLAS.before_fork,
        after_in_parent=BLAS.after_fork,
        after_in_child=_after_fork,
    )
