"""The command as people type it: a process of its own, beside the servers of the test."""

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from tests.conftest import CANARY

ROOT = Path(__file__).parent.parent


class Done(NamedTuple):
    """What became of it."""

    code: int
    out: str
    err: str


async def command(*arguments: str, stdin: bytes = b"", environ: Mapping[str, str] | None = None) -> Done:
    """`sidecar …` with a bare environment; whatever it prints, it is no secret."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sidecar", *arguments),
        cwd=ROOT,
        env=environ or {},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await child.communicate(stdin)
    assert CANARY not in out + err
    assert child.returncode is not None
    return Done(child.returncode, out.decode(), err.decode())
