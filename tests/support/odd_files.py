"""What a path may lead to in place of a regular file."""

import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path


def pipe(path: Path) -> None:
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


def huge(path: Path) -> None:
    """A gigabyte that takes no place on the disk."""
    with path.open("wb") as file:
        file.truncate(1 << 30)


def listening(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def directory(path: Path) -> None:
    path.mkdir()


def loop(path: Path) -> None:
    path.symlink_to(path.name)


ODD: Mapping[str, tuple[Callable[[Path], None], str]] = {
    "pipe": (pipe, "a named pipe"),
    "device": (endless, "a device"),
    "terminal": (lambda path: path.symlink_to("/dev/tty"), "a device"),
    "gigabyte": (huge, "larger than"),
    "socket": (listening, "a socket"),
    "directory": (directory, "a directory"),
    "loop": (loop, "symbolic links"),
    "nothing": (lambda path: path.symlink_to("gone"), "No such file"),
    "memory": (lambda path: path.symlink_to("/proc/self/mem"), "Input/output error"),
}
"""What a path may lead to in place of a file, and the word for it."""
NEVER_ENDING = ("pipe", "device", "gigabyte")
