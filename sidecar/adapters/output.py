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
BATCH = 64 * 1024
"""Bytes gathered that cut the pause short."""
CAPACITY = 1024 * 1024
"""Bytes held at most, those being written included; lines over it are dropped and counted."""


class Output:
    """A bounded queue of lines before a file descriptor, which may be slow, blocked or broken."""

    def __init__(self, descriptor: int) -> None:
        """Write to a duplicate of `descriptor`; the caller's own may be closed at any time."""
        try:
            self._descriptor = os.dup(descriptor)
        except OSError:
            self._descriptor = -1  # no such sink: every line counts as dropped
        self.dropped = 0
        """Lines lost so far, because the sink was too slow or broken."""
        self._lines: list[bytes] = []
        self._size = 0
        self._idle = False
        self._closing = False
        self._abandoned = False
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> None:
        """Queue one line, with its line end; returns at once whatever becomes of it."""
        with self._lock:
            before = self._size
            size = before + len(line)
            if size > CAPACITY or self._closing:
                self.dropped += 1
                return
            self._lines.append(line)
            self._size = size
            if self._idle or before < BATCH <= size:
                self._idle = False
                self._changed.notify()

    def close(self, within: float = 1.0) -> None:
        """Write what is queued and end; gives up after `within` seconds, for which it may block."""
        with self._lock:
            self._closing = True
            self._changed.notify()
        self._thread.join(within)
        self._abandoned = True

    def _run(self) -> None:
        while batch := self._next_batch():
            self._put(batch)
            with self._lock:
                self._size -= len(batch)
                self._changed.wait_for(lambda: self._size >= BATCH or self._closing, PAUSE)
        if self._descriptor >= 0:
            os.close(self._descriptor)

    def _next_batch(self) -> bytes:
        """Wait for lines and take them all; b"" once closing and nothing is left."""
        with self._lock:
            self._idle = True
            self._changed.wait_for(lambda: self._lines or self._closing)
            self._idle = False
            lines, self._lines = self._lines, []
        return b"".join(lines)

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
            with self._lock:
                self.dropped += rest.tobytes().count(b"\n")

    def _await_room(self) -> None:
        """Somebody who shares the sink made it non-blocking: wait here instead of in write(2)."""
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        poll.poll(PAUSE * 1000)
