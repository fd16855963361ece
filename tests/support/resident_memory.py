"""Memory of a process in bytes, as the kernel counts it (Linux). Raises OSError where there is no such process."""

from pathlib import Path


def resident(pid: int) -> int:
    """What it has now."""
    return _status(pid, "VmRSS")


def most_resident(pid: int) -> int:
    """The most it had since `forget_most_resident`."""
    return _status(pid, "VmHWM")


def forget_most_resident(pid: int) -> None:
    """Reset that maximum."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")  # see proc(5)


def _status(pid: int, name: str) -> int:
    _, found, rest = Path(f"/proc/{pid}/status").read_text().partition(f"{name}:")
    if not found:  # it has ended, and was not waited for yet
        raise ProcessLookupError(pid)
    return int(rest.split()[0]) * 1024
