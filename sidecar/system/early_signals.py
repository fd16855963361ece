"""Signals that arrive while a server starts, before there is an event loop to handle them."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def take() -> None:
    """Let SIGTERM end the process with success; ignore SIGHUP, because nothing has been read yet."""
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


@contextmanager
def remembered() -> Iterator[Callable[[], bool]]:
    """Do as `take` does, but remember SIGHUP: the configuration being read may be outdated.

    Yields a function that returns whether there was one. The event loop replaces the handlers with its own.
    """
    hung_up = False

    def remember(*_: object) -> None:
        nonlocal hung_up
        hung_up = True

    before = [
        (signal.SIGTERM, signal.signal(signal.SIGTERM, _end)),
        (signal.SIGHUP, signal.signal(signal.SIGHUP, remember)),
    ]
    try:
        yield lambda: hung_up
    finally:
        for number, handler in before:
            signal.signal(number, handler or signal.SIG_DFL)


def _end(*_: object) -> None:
    raise SystemExit(0)
