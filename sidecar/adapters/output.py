"""Lines out of the process, never in its way.

A thread of its own does the writing. `O_NONBLOCK` belongs to the open file, not to the descriptor: setting it
on stdout would change it under every process that shares the terminal or the pipe, and a regular file cannot
be waited for in an event loop at all. A thread blocked in write(2) costs nothing and holds no lock.
"""

import os
import select
import threading

PAUSE = 0.1
"""Seconds between two writes while lines keep coming; the first line after a silence goes at once."""
CAPACITY = 4 * 1024 * 1024
"""Bytes held at most, those being written included; lines over it are dropped and counted."""


class Output:
    """A bounded queue of lines before a file descriptor, which may be slow, blocked or broken.

    Lines are written from one thread. It and the writing thread take no lock: each owns its counters, appending
    to a list and cutting its beginning off are single steps, and the only hand-over that could be lost is looked
    after by the order of two of them (see `_await_lines`).
    """

    def __init__(self, descriptor: int) -> None:
        """Write to a duplicate of `descriptor`; the caller's own may be closed at any time."""
        try:
            self._descriptor = os.dup(descriptor)
        except OSError:
            self._descriptor = -1  # no such sink: every line counts as dropped
        self._lines: list[bytes] = []
        self._queued = self._refused = 0  # the caller's
        self._written = self._lost = 0  # the writing thread's
        self._idle = False
        self._closing = False
        self._abandoned = False
        self._woken = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Lines lost so far, because the sink was too slow or broken."""
        return self._refused + self._lost

    def write(self, line: bytes) -> None:
        """Queue one line, with its line end; returns at once whatever becomes of it."""
        queued = self._queued + len(line)
        if queued - self._written > CAPACITY or self._closing:
            self._refused += 1
            return
        self._queued = queued
        self._lines.append(line)
        if self._idle:
            self._idle = False
            self._woken.set()

    def close(self, within: float = 1.0) -> None:
        """Write what is queued and end; gives up after `within` seconds, for which it may block."""
        self._closing = True
        self._woken.set()
        self._thread.join(within)
        self._abandoned = True

    def _run(self) -> None:
        while self._await_lines():
            count = len(self._lines)
            batch = b"".join(self._lines[:count])
            del self._lines[:count]
            self._put(batch)
            self._written += len(batch)
            if not self._closing:
                self._woken.wait(PAUSE)
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def _await_lines(self) -> bool:
        """Return True when there are lines, False when there will be none any more.

        `_idle` is set before the last look and read after a line was queued: whichever comes first, one of the two
        sides sees the other.
        """
        self._woken.clear()
        self._idle = not self._closing
        while not self._lines:
            if self._closing:
                return False
            self._woken.wait()
            self._woken.clear()
        self._idle = False
        return True

    def _put(self, batch: bytes) -> None:
        rest = memoryview(batch)
        while rest and not self._abandoned:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                self._await_room()
            except OSError:
                break
        if rest:
            self._lost += rest.tobytes().count(b"\n")

    def _await_room(self) -> None:
        """Somebody who shares the sink made it non-blocking: wait here instead of in write(2)."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        poll.poll(PAUSE * 1000)
