"""The command `emgmm`: its exit status, its errors and interrupts.

The numerical libraries are imported only when the arguments are known to be valid.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, NoReturn

from .messages import errors_named, say

FAILED, INTERRUPTED, PIPE_CLOSED = 2, 130, 141


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    try:
        _run(argv)
    except BrokenPipeError:
        return PIPE_CLOSED
    except (ValueError, OSError, MemoryError) as error:
        say("error", _message(error))
        return FAILED
    except KeyboardInterrupt:
        _say_interrupted()
        return INTERRUPTED
    return 0


def run() -> NoReturn:
    """Run the command as a program; characters that cannot be printed are replaced."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        status = main()
    finally:
        _flush_or_discard(sys.stdout)
    sys.exit(status)


def _run(argv: list[str] | None) -> None:
    """Do what the arguments ask for, and raise if it could not be printed."""
    try:
        with _interrupts_exit():
            from .arguments import parsed

            args = parsed(argv)
            from .analysis import analyse
        analyse(args)
    finally:
        if sys.stdout is not None:
            with errors_named("standard output"):
                sys.stdout.flush()


@contextmanager
def _interrupts_exit() -> Iterator[None]:
    """While modules are imported, an interrupt ends the program at once.

    Extension modules may turn KeyboardInterrupt into other errors.
    """
    main_thread = threading.current_thread() is threading.main_thread()
    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not (main_thread and usual):
        yield
        return

    def leave(*_: Any) -> None:
        """End the program, whatever it is doing."""
        _say_interrupted()
        os._exit(INTERRUPTED)

    signal.signal(signal.SIGINT, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _flush_or_discard(stream: IO[str] | None) -> None:
    """Discard what cannot be written, which Python would try again as it exits."""
    if stream is None:
        return
    try:
        stream.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _say_interrupted() -> None:
    """Print the message for an interrupt."""
    say("interrupted", "nothing more is written.")


def _message(error: BaseException) -> str:
    """What went wrong, without the error numbers of the system."""
    if isinstance(error, MemoryError):
        return (
            "there is not enough memory for this many rows, columns or components: use "
            "fewer, or a model with fewer parameters, such as --model diag."
        )
    if isinstance(error, OSError) and error.strerror:
        named = error.filename is not None
        return f"{error.filename!r}: {error.strerror}" if named else error.strerror
    return str(error)
