"""h2spec against the listener of a sidecar with an HTTP/2 route: its groups `generic`, `http2` and `hpack`, strictly.

`go install` builds h2spec once.
"""

import asyncio
import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree as ET

from tests.conformance.tools import FOLDER, CannotRunError, tool, version
from tests.support.http2_upstream import Http2Upstream, answering
from tests.support.processes import File, run

MODULE = "github.com/summerwind/h2spec/cmd/h2spec"
VERSION = "v2.2.1+incompatible"
GROUPS = ("generic", "http2", "hpack")
TIMEOUT = 5
"""Seconds that h2spec waits for each reaction: one that never comes fails its case."""
EXCEPTIONS: Mapping[str, str] = {
    "http2/3.5: Sends invalid connection preface": "the listener serves HTTP/1.1 too, and reads other"
    " bytes as an HTTP/1.1 request; a malformed one gets 400, and the connection is closed",
}
"""Cases that are expected to fail, as they are printed below; and why that is right."""


def program() -> Path:
    """Return the program, and install it first if it is missing."""
    program = FOLDER / "h2spec"
    if program.exists():
        return program
    go = tool("go", "Go")
    print(version(go, "version"))
    FOLDER.mkdir(parents=True, exist_ok=True)
    environ = {**os.environ, "GOBIN": str(FOLDER)}
    if subprocess.run([go, "install", f"{MODULE}@{VERSION}"], env=environ, check=False).returncode:
        raise CannotRunError(f"`go install {MODULE}@{VERSION}` failed")
    return program


def outcomes(report: Path) -> dict[str, str]:
    """Return what failed in each case, "" for nothing, from h2spec's JUnit report."""
    found = {}
    for case in ET.parse(report).iter("testcase"):
        failure = case.find("failure")
        error = failure if failure is not None else case.find("error")
        name = f"{case.get('package')}: {case.get('classname')}"
        found[name] = "" if error is None else " ".join((error.text or "failed").split())
    return found


async def judged(program: Path) -> dict[str, str]:
    """Return the outcome of each case."""
    async with Http2Upstream() as upstream:
        upstream.welcome = answering(200, [(b"content-type", b"text/plain")], b"conformance")
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            route = {"name": "all", "match": {"prefix": "/"}, "upstream": upstream.url, "protocol": "http2"}
            async with run(File(folder / "config.yaml"), route) as process:
                host, _, port = process.address.rpartition(":")
                command = [*GROUPS, "--strict", "-h", host, "-p", port, "-o", str(TIMEOUT)]
                report = folder / "report.xml"
                child = await asyncio.create_subprocess_exec(program, *command, "-j", str(report))
                await child.wait()
                return outcomes(report)


def verdict(found: Mapping[str, str]) -> int:
    """Print the unexpected outcomes, and return the exit code."""
    failed = {name: reason for name, reason in found.items() if reason}
    for name, reason in failed.items():
        print(f"exception: {name}: {EXCEPTIONS[name]}" if name in EXCEPTIONS else f"FAILED: {name}: {reason}")
    needless = [name for name in EXCEPTIONS if name not in failed]
    for name in needless:
        print(f"FAILED: {name} is listed as an exception but passes: remove it from EXCEPTIONS")
    print(f"{len(found) - len(failed)} of {len(found)} cases passed; exceptions: {len(EXCEPTIONS)}")
    return 1 if not found or needless or failed.keys() - EXCEPTIONS.keys() else 0


async def check() -> int:
    """Return 1 if a case fails that is not an exception, or if an exception passes. Raises CannotRunError."""
    return verdict(await judged(program()))
