"""Log lines leave through a descriptor that may be slow, blocked or broken."""

import io
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from sidecar.telemetry.sinks.log_writer import CAPACITY, PAUSE, LogWriter
from tests.support.waiting import PATIENCE

LINE = b"x" * 99 + b"\n"
BATCH = 64 * 1024
"""A pipe's depth, and lines enough for several writes."""


class Pipe(NamedTuple):
    """A real pipe, 64 KiB deep."""

    reading: io.FileIO
    writing: io.FileIO

    def output(self) -> LogWriter:
        return LogWriter(self.writing.fileno())


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """A pipe that is not read unless the test does."""
    reading, writing = os.pipe()
    with io.FileIO(reading, "rb") as source, io.FileIO(writing, "wb") as sink:
        yield Pipe(source, sink)


def test_a_lone_line_goes_soon(pipe: Pipe) -> None:
    """`kubectl logs -f` shows it without waiting for others."""
    output = pipe.output()
    for line in (b"one\n", b"two\n"):
        output.write(line)
        assert pipe.reading.read(100) == line
    output.close()


def test_every_line_arrives_once_and_in_order(tmp_path: Path) -> None:
    """A sink that keeps up gets everything, the last lines at close."""
    target = tmp_path / "log"
    written = [b"%d\n" % number for number in range(BATCH // 4)]
    with target.open("wb") as file:
        output = LogWriter(file.fileno())
        for line in written:
            output.write(line)
        output.close()
    assert target.read_bytes() == b"".join(written)
    assert output.dropped == 0


def test_lines_that_keep_coming_are_written_together() -> None:
    """Hundreds of lines cost a handful of writes, which a socket of packets separates."""
    reading, writing = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with reading, writing:
        output = LogWriter(writing.fileno())
        output.write(b"first\n")
        assert reading.recv(BATCH) == b"first\n"
        count = BATCH // 2 // len(LINE)
        for _ in range(count):
            output.write(LINE)
            os.sched_yield()
        packets = [reading.recv(BATCH)]
        while sum(map(len, packets)) < count * len(LINE):
            packets.append(reading.recv(BATCH))
        assert len(packets) < count / 10
        output.close()


def test_a_blocked_pipe_blocks_nobody_and_what_is_lost_is_counted(pipe: Pipe) -> None:
    """Without a reader: writing returns, memory stays bounded; a later reader finds whole lines."""
    output = pipe.output()
    total = 5 * CAPACITY // len(LINE)
    for _ in range(total):
        output.write(LINE)
    dropped = output.dropped
    assert total - dropped <= (CAPACITY + 2 * BATCH) // len(LINE)
    pipe.writing.close()
    closing = threading.Thread(target=output.close)
    closing.start()
    received = pipe.reading.readall()
    closing.join()
    assert received == LINE * (total - dropped)
    assert output.dropped == dropped


def test_closing_gives_up_on_a_blocked_pipe(pipe: Pipe) -> None:
    """The process ends in time although the pipe is not read."""
    output = pipe.output()
    for _ in range(2 * BATCH // len(LINE)):
        output.write(LINE)
    closing = threading.Thread(target=output.close, args=(0.01,))
    closing.start()
    closing.join(timeout=PATIENCE)
    assert not closing.is_alive()


def test_closing_just_as_the_pause_ends_ends_the_thread(pipe: Pipe) -> None:
    """The writing thread has waited long enough, but gets the interpreter only when the closing one waits for it."""
    threads, interval = threading.enumerate(), sys.getswitchinterval()
    output = pipe.output()
    output.write(LINE)
    time.sleep(PAUSE / 2)
    sys.setswitchinterval(10.0)
    try:
        due = time.monotonic() + PAUSE
        while time.monotonic() < due:
            pass
        output.close()
    finally:
        sys.setswitchinterval(interval)
    assert set(threading.enumerate()) <= set(threads)
    assert pipe.reading.read(2 * len(LINE)) == LINE


def test_a_broken_pipe_costs_only_its_lines(pipe: Pipe) -> None:
    """The reader is gone: every line counts as dropped and nothing is raised."""
    pipe.reading.close()
    output = pipe.output()
    for _ in range(10):
        output.write(LINE)
    output.close()
    assert output.dropped == 10


def test_a_sink_that_never_was_costs_only_its_lines() -> None:
    """Started with a closed stdout the sidecar still works."""
    output = LogWriter(-1)
    output.write(LINE)
    output.close()
    assert output.dropped == 1


def test_a_pipe_that_somebody_made_non_blocking_gets_every_line(pipe: Pipe) -> None:
    """A parent that shares the pipe may have set O_NONBLOCK: EAGAIN is waited out, not lost."""
    os.set_blocking(pipe.writing.fileno(), False)
    output = pipe.output()
    total = 4 * BATCH // len(LINE)
    for _ in range(total):
        output.write(LINE)
    pipe.writing.close()
    closing = threading.Thread(target=output.close, args=(30.0,))
    closing.start()
    assert pipe.reading.readall() == LINE * total
    closing.join()
    assert output.dropped == 0


def test_the_sinks_own_flags_are_left_alone(pipe: Pipe) -> None:
    """O_NONBLOCK would be seen by every process that shares the sink."""
    output = pipe.output()
    output.write(LINE)
    output.close()
    assert os.get_blocking(pipe.writing.fileno())


def test_after_closing_lines_are_dropped_and_counted(pipe: Pipe) -> None:
    """A late line is no error."""
    output = pipe.output()
    output.close()
    output.write(LINE)
    assert output.dropped == 1
