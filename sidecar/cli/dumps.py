"""Keep tokens and secrets in this process's memory out of core files and away from other processes of its user."""

import os
import resource
import sys

ALLOW = "SIDECAR_ALLOW_DUMPS"
"""The variable that allows debuggers and profilers: `true`, or `1`."""

_PR_SET_DUMPABLE = 4  # prctl.h


def forbid() -> None:
    """Forbid dumps, unless the environment allows them. Raises OSError if the system refuses.

    A limit of 0 leaves no core file. A process that is not dumpable leaves none where the kernel pipes it into a
    program either, and its memory, environment and descriptors in /proc are the superuser's: see PR_SET_DUMPABLE in
    prctl(2), which only Linux has.
    """
    if os.environ.get(ALLOW, "").lower() in {"1", "true"}:
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        import ctypes

        if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
