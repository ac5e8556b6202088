"""Atomic writing of files."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO

Path_ = str | os.PathLike[str]


@contextmanager
def replacing(path: Path_) -> Iterator[IO[bytes]]:
    """A file to write, which replaces the one at the path only when it is complete.

    It gets the mode of the file that it replaces, which must be writable.
    """
    named = os.fspath(path)
    if os.path.basename(named) in ("", os.curdir, os.pardir):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), named)
    if os.path.exists(path) and not os.path.isfile(path):  # a device, a pipe
        with open(path, "wb") as file:
            yield file
        return
    target = Path(os.path.realpath(path))
    beside = target.with_name(f".emgmm-{secrets.token_hex(8)}")
    try:
        before = _writable(target)
        mode = 0o666 if before is None else 0o600  # what may be read, last of all
        with open(beside, "xb", opener=partial(os.open, mode=mode)) as file:
            yield file
        if before is not None:
            _take_over(beside, before)
        os.replace(beside, target)
    except OSError as error:
        ours = error.filename in (None, str(beside), str(target))
        if error.errno is None or not ours:
            raise
        raise OSError(error.errno, error.strerror, named) from error
    finally:
        beside.unlink(missing_ok=True)


def _writable(target: Path) -> os.stat_result | None:
    """The status of an existing file, which must be writable; None if there is none."""
    if not target.exists():
        return None
    if not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(target))
    return target.stat()


def _take_over(path: Path, before: os.stat_result) -> None:
    """Give a file the owner, if that is allowed, and the mode of another."""
    with suppress(OSError, AttributeError):  # Windows has no owners
        os.chown(path, before.st_uid, before.st_gid)
    os.chmod(path, stat.S_IMODE(before.st_mode))


def same_file(path: str, other: str) -> bool:
    """Whether two paths name one file, whether or not it is there."""
    return os.path.realpath(path) == os.path.realpath(other)
