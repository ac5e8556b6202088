"""The command `emgmm`: a file of rows in, a mixture, labels and pictures out.

It imports what it needs only when its arguments are known to be sound.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, NoReturn

from .messages import named_error, say

FAILED, INTERRUPTED, PIPE_CLOSED = 2, 130, 141


def main(argv: list[str] | None = None) -> int:
    """Run the command, and return what it exits with."""
    try:
        _run(argv)
    except BrokenPipeError:
        return PIPE_CLOSED
    except (ValueError, OSError, MemoryError) as error:
        say("error", _in_words(error))
        return FAILED
    except KeyboardInterrupt:
        _say_interrupted()
        return INTERRUPTED
    return 0


def run() -> NoReturn:
    """Run the command as a program: characters that cannot be printed are no error."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        status = main()
    finally:
        _let_go(sys.stdout)
    sys.exit(status)


def _run(argv: list[str] | None) -> None:
    """Do what the arguments ask for, and see that all of it was printed."""
    try:
        with _interrupts_exit():
            from .arguments import parsed

            args = parsed(argv)
            from .analysis import analyse
        analyse(args)
    finally:
        if sys.stdout is not None:
            with named_error("standard output"):
                sys.stdout.flush()


@contextmanager
def _interrupts_exit() -> Iterator[None]:
    """Modules are imported: an interrupt ends the program at once.

    Extension modules can make other errors of KeyboardInterrupt.
    """
    main_thread = threading.current_thread() is threading.main_thread()
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not (main_thread and usual):
        yield
        return

    def leave(*_: Any) -> None:
        _say_interrupted()
        os._exit(INTERRUPTED)

    signal.signal(signal.SIGINT, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _let_go(stream: IO[str] | None) -> None:
    """What could not be written must not fail again when Python ends."""
    if stream is None:
        return
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _say_interrupted() -> None:
    say("interrupted", "nothing more is written.")


def _in_words(error: BaseException) -> str:
    """What went wrong, without numbers of the system."""
    if isinstance(error, MemoryError):
        return (
            "there is not enough memory for this many rows, columns or components: "
            "choose fewer, or a model without matrices (--model diag)."
        )
    if isinstance(error, OSError) and error.strerror:
        named = error.filename is not None
        return f"{error.filename!r}: {error.strerror}" if named else error.strerror
    return str(error)
