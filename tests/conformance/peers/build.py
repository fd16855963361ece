"""Build the peers below build/: the client of the gRPC project, and its test service with a check of tokens.

The versions are in `go/go.mod` and `java/pom.xml`. What is built is kept; Go and javac build again what has changed.
"""

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.tools import FOLDER, CannotRunError, tool, version

_SOURCES = Path(__file__).parent
_LIGHT = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""Start a virtual machine quickly, for a few calls."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A client and a server of one language."""

    name: str
    version: str
    client: Sequence[str]
    """The command, without the flags that both languages share."""
    server: Sequence[str]
    """The command, without the argument `revoking`. It prints its port."""
    cases: Sequence[str]
    """Cases that only this client has."""
    too_long: frozenset[str]
    """Cases that have more than 64 KiB of messages to a server with this client only."""


def peers() -> list[Peer]:
    """Build all. Raises CannotRunError."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    return [_go(), _java()]


def _go() -> Peer:
    go = tool("go", "Go")
    folder = FOLDER / "go"
    shutil.copytree(_SOURCES / "go", folder, dirs_exist_ok=True)
    client = "google.golang.org/grpc/interop/client"
    _run([go, "build", "-mod=mod", "-o", "bin/", ".", client], folder)
    number = _found(r"google.golang.org/grpc v([\d.]+)", _SOURCES / "go" / "go.mod")
    called = f"grpc-go {number}, {version(go, 'version')}"
    return Peer(
        "Go", called, [str(folder / "bin" / "client")], [str(folder / "bin" / "interop")], (), frozenset()
    )


def _java() -> Peer:
    java, javac = tool("java", "a JDK"), tool("javac", "a JDK")
    sources, folder = _SOURCES / "java", FOLDER / "java"
    folder.mkdir(exist_ok=True)
    classpath = f"{folder}:{_libraries(sources / 'pom.xml', folder)}"
    _run([javac, "-cp", classpath, "-d", str(folder), str(sources / "InteropServer.java")], folder)
    number = _found(r"grpc-interop-testing</artifactId>\s*<version>([\d.]+)", sources / "pom.xml")
    machine = [java, *_LIGHT, "-cp", classpath]
    return Peer(
        "Java",
        f"grpc-java {number}, {version(java, '-version')}",
        [*machine, "io.grpc.testing.integration.TestServiceClient", "--use_tls=false"],
        [*machine, "InteropServer"],
        ("server_compressed_unary", "server_compressed_streaming", "very_large_request"),
        frozenset(["custom_metadata"]),
    )


def _libraries(project: Path, folder: Path) -> str:
    """Return the paths of the libraries, which Maven downloads once."""
    kept, described = folder / "classpath", folder / "pom.xml"
    if not kept.exists() or described.read_bytes() != project.read_bytes():
        maven = tool("mvn", "Maven")
        shutil.copyfile(project, described)
        goal = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:build-classpath"
        _run([maven, "-B", "-q", goal, f"-Dmdep.outputFile={kept}"], folder)
    return kept.read_text().strip()


def _run(command: Sequence[str], folder: Path) -> None:
    if subprocess.run(command, cwd=folder, check=False).returncode:
        raise CannotRunError(f"`{Path(command[0]).name} {' '.join(command[1:3])} …` failed in {folder}")


def _found(pattern: str, file: Path) -> str:
    found = re.search(pattern, file.read_text())
    assert found is not None
    return found[1]
