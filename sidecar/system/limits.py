"""Limits that the system sets for a process, distinguished from bugs."""

import errno
import os
import resource
from collections.abc import Iterator


def reached(error: BaseException) -> str:
    """Return which limit caused the error and how to raise it, "" if none did."""
    for cause in _causes(error):
        number = cause.errno if isinstance(cause, OSError) else None
        if number == errno.EMFILE or (isinstance(cause, ImportError) and not _one_is_free()):
            limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
            return f"cannot open another file: the limit of open files is {limit}; raise it (ulimit -n)"
        if number == errno.ENFILE:
            return "cannot open another file: the system's limit is reached; raise it (sysctl fs.file-max)"
        if number == errno.ENOMEM or isinstance(cause, MemoryError):
            return "cannot allocate memory: the limit is reached; raise it (ulimit -v, or the container's)"
        if isinstance(cause, RuntimeError) and str(cause) == "can't start new thread":
            return "cannot start a thread: the limit of processes is reached; raise it (ulimit -u, or the container's)"
    return ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Return the error and its causes."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _one_is_free() -> bool:
    """Return whether a file can be opened: without a free descriptor, Python finds no module."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno != errno.EMFILE
    return True
