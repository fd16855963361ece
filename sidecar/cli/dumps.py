"""Keep what this process holds in memory, tokens and secrets, from core files and from its user's other processes."""

import os
import resource
import sys

ALLOW = "SIDECAR_ALLOW_DUMPS"
"""The variable that lets debuggers and profilers in: `true`, or `1`."""

_PR_SET_DUMPABLE = 4  # prctl.h


def forbid() -> None:
    """Forbid them, unless the environment allows them. Raises OSError where the system refuses.

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
