"""Write lines without blocking the process.

A thread of its own does the writing. `O_NONBLOCK` belongs to the open file, not to the descriptor: setting it
on stdout would change it under every process that shares the terminal or the pipe, and a regular file cannot
be waited for in an event loop at all. A thread blocked in write(2) costs nothing and holds no lock.
"""

import os
import select
from queue import SimpleQueue
from threading import Lock, Thread

PAUSE = 0.1
"""Seconds between the first line after a silence and the write that takes it and all that came since."""
CAPACITY = 4 * 1024 * 1024
"""Limit: log lines that wait to be written (bytes). Beyond: lines are dropped and counted."""


class LogWriter:
    """A bounded queue of lines before a file descriptor, which may be slow, blocked or broken.

    Lines are queued from one thread. It and the writing thread each own their counters. Lines are written in batches:
    load and logging peak together, and a node may run fifty sidecars.
    """

    def __init__(self, descriptor: int) -> None:
        """Write to a duplicate of `descriptor`; the caller's own may be closed at any time."""
        try:
            self._descriptor = os.dup(descriptor)
        except OSError:
            self._descriptor = -1  # no such sink: every line counts as dropped
        self._lines: SimpleQueue[bytes] = SimpleQueue()
        self._queued = self._refused = 0  # the calling thread's
        self._written = self._lost = 0  # the writing thread's
        self._open = Lock()  # held until `close`
        self._open.acquire()
        self._closed = False
        self._abandoned = False
        self._thread = Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Number of lines lost, because the sink was too slow or broken."""
        return self._refused + self._lost

    def write(self, line: bytes) -> None:
        """Queue one line, with its line end; returns at once in every case."""
        queued = self._queued + len(line)
        if queued - self._written > CAPACITY or self._closed:
            self._refused += 1
            return
        self._queued = queued
        self._lines.put(line)

    def close(self, within: float = 1.0) -> None:
        """Write what is queued and end; gives up after `within` seconds, for which it may block."""
        if not self._closed:
            self._closed = True
            self._lines.put(b"")
            self._open.release()
        self._thread.join(within)
        self._abandoned = True

    def _run(self) -> None:
        closing = False
        while not closing:
            batch, closing = self._take()
            self._put(batch)
            self._written += len(batch)
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def _take(self) -> tuple[bytes, bool]:
        """Return the next lines together, and whether they are the last: `close` puts an empty one after them."""
        lines = [self._lines.get()]
        self._open.acquire(timeout=PAUSE)
        lines += [self._lines.get() for _ in range(self._lines.qsize())]
        return b"".join(lines), not lines[-1]

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
        """Another program that shares the sink made it non-blocking: wait here instead of in write(2)."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        poll.poll(PAUSE * 1000)
