"""Limits of the system, distinguished from bugs."""

import errno
import resource

import pytest

from sidecar.system.limits import reached


def raised_from(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.EMFILE, "x"), "limit of open files"),
        (OSError(errno.ENFILE, "x"), "fs.file-max"),
        (OSError(errno.ENOMEM, "x"), "cannot allocate memory"),
        (MemoryError(), "cannot allocate memory"),
        (RuntimeError("can't start new thread"), "limit of processes"),
        (raised_from(RuntimeError("x"), OSError(errno.EMFILE, "x")), "limit of open files"),
        (raised_from(ValueError("x"), raised_from(RuntimeError("x"), MemoryError())), "cannot allocate memory"),
    ],
)  # fmt: skip
def test_s17_a_limit_is_named_with_what_to_raise(error: Exception, words: str) -> None:
    """Whatever was raised because of it."""
    told = reached(error)
    assert told.startswith("cannot ")
    assert words in told
    assert "; raise it" in told


def test_s17_the_limit_of_open_files_is_told() -> None:
    """By its number."""
    assert f"is {resource.getrlimit(resource.RLIMIT_NOFILE)[0]};" in reached(OSError(errno.EMFILE, "x"))


@pytest.mark.parametrize(
    "error", [ValueError("x"), OSError(errno.ENOENT, "x"), ImportError("x"), RuntimeError("x"), KeyError("x")]
)
def test_s17_any_other_error_is_a_bug(error: Exception) -> None:
    """While files can be opened, a module that is missing too."""
    assert reached(error) == ""
