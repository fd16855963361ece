"""What the Dockerfile builds, run as a container would run it: its tree, no other files, nothing to be written."""

import asyncio
import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from json import loads
from pathlib import Path

import pytest

from tests import ROOT
from tests.support.environment import unmeasured
from tests.support.processes import PIPE, Child, Process, serving
from tests.support.required import missing

BUILD = ROOT / "build"
TREE = BUILD / "image"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
SHARED = (
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/etc/ld.so.cache",
    "/dev/null",
    "/dev/urandom",
    "/proc",
)
"""What the image's base has too: the C library, and what every container runtime brings."""
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""The base's own."""

_ENTER = """\
set -eu
root=$1 user=$2
shift 2
mount -t tmpfs tmpfs "$root"
while [ "$1" != -- ]; do
    if [ -d "$1" ]; then mkdir -p "$root$2"; else mkdir -p "$root${2%/*}"; : > "$root$2"; fi
    mount --rbind "$1" "$root$2"
    mount -o remount,bind,ro "$root$2"
    shift 2
done
shift
mount -o remount,ro "$root"
exec setpriv --no-new-privs chroot --userspec="$user" --groups= "$root" "$@"
"""
"""A root of bind mounts, all of them read-only: there is no /bin/sh in it, no /tmp, no file of the host's but these."""


def instructions(name: str) -> list[str]:
    """Return the arguments of each instruction of that name in the Dockerfile, its lines joined."""
    return re.findall(rf"^{name} (.*)$", re.sub(r"\\\n\s*", "", DOCKERFILE), re.MULTILINE)


def words(instruction: str) -> list[str]:
    """The exec form of the last such instruction, with the tree in place of the image's folder."""
    found: list[str] = loads(re.sub(r"^[^\[]*", "", instructions(instruction)[-1]))
    return [word.replace("/opt/sidecar", str(TREE)) for word in found]


@pytest.fixture(scope="session")
def tree() -> Path:
    """What the image holds, built by its own steps, once for all workers and as long as nothing of it changes."""
    BUILD.mkdir(exist_ok=True)
    with (BUILD / "image.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = subprocess.run(
            ["make", "--silent", "image-tree", f"VENV={sys.prefix}"],
            check=False,
            cwd=ROOT,
            env=unmeasured(),
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr[-2000:]
    return TREE


@dataclass(frozen=True)
class Container:
    """How the image is run; `mounts` are what a pod mounts, by their path in it."""

    root: Path
    mounts: Mapping[str, Path] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)

    async def start(self, command: Sequence[str]) -> Child:
        """Run it; the process is the command itself."""
        return await asyncio.create_subprocess_exec(
            *("unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", _ENTER, "enter"),
            *(str(self.root), instructions("USER")[-1]),
            *(str(path) for mount in self._mounts() for path in mount),
            *("--", *command),
            env={**self._variables(), **self.environ, "HOME": "/"},
            stdout=PIPE,
            stderr=PIPE,
        )

    async def output(self, command: Sequence[str]) -> tuple[int, str, str]:
        """Exit code, output and errors of a command that ends."""
        child = await self.start(command)
        out, errors = await child.communicate()
        assert child.returncode is not None
        return child.returncode, out.decode(), errors.decode()

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[Process]:
        """The started sidecar, by the image's entry point and command."""
        async with serving(await self.start([*words("ENTRYPOINT"), *words("CMD")])) as process:
            yield process

    def _mounts(self) -> Iterator[tuple[Path | str, Path | str]]:
        base = re.findall(r"^home = (.*)/bin$", (TREE / "pyvenv.cfg").read_text(), re.MULTILINE)[0]
        for path in (*SHARED, base, str(TREE)):
            if Path(path).exists():
                yield path, path
        yield from ((path, place) for place, path in self.mounts.items())

    def _variables(self) -> Mapping[str, str]:
        text = instructions("ENV")[-1].replace("/opt/sidecar", str(TREE)).replace("$PATH", PATH)
        return dict(re.findall(r"(\w+)=(\S+)", text))


def require_namespaces() -> None:
    """A container is made by root with util-linux; in CI one that cannot be made is a failure."""
    lacking = [tool for tool in ("unshare", "setpriv", "chroot") if shutil.which(tool) is None]
    if os.geteuid() == 0 and not lacking:
        return
    missing(
        f"the image's tree is run as a container would run it by root with {', '.join(lacking) or 'sudo'}"
    )
