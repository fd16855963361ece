"""The one place that reads files from outside: configuration, secrets, keys, certificates, tokens.

A path's target can change while the sidecar runs, by mistake or on purpose. So a reader here
- reads regular files only: a named pipe or a device may block, or never end;
- opens without blocking, because a regular file can become a pipe between the check and the open;
- reads at most as many bytes as its caller allows, and refuses a longer file instead of cutting it off.

The one exception is `awaited`, for a command that its user can interrupt.

A file system that hangs blocks even so: on the event loop call these through `threads.beside`.
"""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from sidecar.core.foreign_text import decoded

SECRET_LIMIT = 65_536
"""Limit: file with a secret, key, token or credentials (bytes). Beyond: exit code 78 at start, later 503."""
STANDARD_INPUT = "-"
"""Name of standard input on the command line."""
PEM_LIMIT = 1 << 20
"""The bundle of all public authorities has a quarter of that. Limit: file with certificates (bytes). Beyond: exit
code 78 at start, later the server counts as unavailable."""

_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a regular file. Raises OSError, and ValueError with the reason if the path leads to anything else."""
    _refuse_irregular(os.stat(path))  # noqa: PTH116  opening some devices has effects of its own
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        _refuse_irregular(os.fstat(descriptor))
        yield file


def content(file: BinaryIO, limit: int) -> bytes:
    """Return the whole of an open file. Raises ValueError if it is longer than `limit` bytes, or would block.

    Some of the kernel's files are regular and yet wait for content: its log, the pipes of its tracing.
    """
    found: object = file.read(limit + 1)
    if not isinstance(found, bytes):
        raise ValueError("it has no content yet; write its content to an ordinary file")  # noqa: TRY004
    if len(found) > limit:
        raise ValueError(f"it is larger than {_size(limit)}")
    return found


def read(path: str | os.PathLike[str], limit: int) -> bytes:
    """Return the content of a regular file of at most `limit` bytes. Raises OSError and ValueError."""
    with opened(path) as file:
        return content(file, limit)


def text(path: str | os.PathLike[str], limit: int) -> str:
    """Return the text of a regular file of at most `limit` bytes. Raises OSError and ValueError."""
    return decoded(read(path, limit))


def awaited(path: str, limit: int) -> str:
    """Return the text of a file or a pipe, or of standard input (`-`), to its end. Raises OSError and ValueError."""
    standard = path in {STANDARD_INPUT, "/dev/stdin"}  # standard input cannot be opened if it is a socket
    with open(0 if standard else path, "rb", closefd=not standard) as file:
        return decoded(content(file, limit))


def probe(path: str) -> None:
    """Read a PEM file before a library reads it by itself, because the library has no limits.

    Raises OSError and ValueError.
    """
    read(path, PEM_LIMIT)


def _refuse_irregular(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = _KINDS.get(stat.S_IFMT(found.st_mode), "something else")
        raise ValueError(f"it is {kind}, not a regular file; write its content to one")


def _size(limit: int) -> str:
    return f"{limit >> 20} MiB" if limit >= 1 << 20 else f"{limit >> 10} KiB"
