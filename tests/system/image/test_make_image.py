"""`make image`: what the container engine is given."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from sidecar import __version__
from tests import ROOT


def given(directory: Path, engine: str, *variables: str) -> list[str]:
    """The words that an engine of that name gets."""
    program = directory / engine
    program.write_text("#!/bin/sh\nprintf '%s\\0' \"$@\"\n")
    program.chmod(0o755)
    done = subprocess.run(
        ["make", "--no-print-directory", "image", f"ENGINE={program}", *variables],
        check=True,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )
    return done.stdout.split("\0")


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_c3_the_label_is_the_version(tmp_path: Path, engine: str) -> None:
    """And nothing before it."""
    assert f"VERSION={__version__}" in given(tmp_path, engine)


@pytest.mark.parametrize(("engine", "there"), [("docker", False), ("podman", True), ("podman-remote", True)])
def test_c10_podman_writes_the_format_that_has_health_checks(
    tmp_path: Path, engine: str, there: bool
) -> None:
    """Its own format has none; Docker does not know the flag."""
    words = shlex.join(given(tmp_path, engine))
    assert ("--format docker" in words) is there


def test_c10_an_index_and_an_authority_are_secrets_of_the_build(tmp_path: Path) -> None:
    """Only if they are given; the steps of the build use them from where the engine mounts them."""
    words = given(tmp_path, "docker", "PIP_CONF=/etc/pip.conf", "CA=/etc/ca.pem")
    assert {"id=pip.conf,src=/etc/pip.conf", "id=ca.pem,src=/etc/ca.pem"} <= set(words)
    assert "--secret" not in given(tmp_path, "docker")
    mounted = (ROOT / "Dockerfile").read_text()
    steps = (ROOT / ".docker/build.sh").read_text()
    assert re.findall(r"--mount=type=secret,id=(\S+)", mounted) == ["ca.pem", "pip.conf", "ca.pem"]
    for name in ("pip.conf", "ca.pem"):
        assert f'"$secrets/{name}"' in steps


def compiled_with(directory: Path, program: str, *, authority: bool) -> str:
    """What a package manager of that name gets: its words, and what it can read as another user."""
    manager = directory / program
    manager.write_text(
        '#!/bin/sh\necho "$@"\n'
        'for word in "$@" "CAInfo=${SSL_CERT_FILE:-}"; do case $word in *CAInfo=?*)\n'
        '    stat -c %a "${word#*CAInfo=}"; cat "${word#*CAInfo=}" ;;\nesac; done\n'
    )
    manager.chmod(0o755)
    for name in ("sh", "mktemp", "rm", "cat", "chmod", "stat"):
        (directory / name).symlink_to(f"/usr/bin/{name}")
    secrets = directory / "secrets"
    secrets.mkdir()
    if authority:
        (secrets / "ca.pem").write_text("OURS\n")
        (secrets / "ca.pem").chmod(0o400)
    environ = {"PATH": str(directory), "SECRETS": str(secrets), "TMPDIR": str(directory)}
    done = subprocess.run(
        [ROOT / ".docker/compiler.sh"], check=True, env=environ, capture_output=True, text=True
    )
    assert list(directory.glob("tmp.*")) == []
    return done.stdout


@pytest.mark.parametrize(("program", "runs"), [("apt-get", 2), ("apk", 1)])
def test_c10_a_mirror_may_have_an_authority_of_its_own(tmp_path: Path, program: str, runs: int) -> None:
    """Each call of the package manager can read it, beside the base's own, and nothing is left of it."""
    printed = compiled_with(tmp_path, program, authority=True)
    assert printed.count("644\n") == printed.count("OURS\n") == runs
    system = Path("/etc/ssl/certs/ca-certificates.crt")
    if system.exists():
        assert printed.count(system.read_text()) == runs
    assert "install --yes" in printed or "add --quiet gcc" in printed


@pytest.mark.parametrize("program", ["apt-get", "apk"])
def test_c10_without_one_the_bases_own_authorities_count(tmp_path: Path, program: str) -> None:
    """Nothing is set."""
    printed = compiled_with(tmp_path, program, authority=False)
    assert "CAInfo" not in printed
    assert "644" not in printed
    assert "gcc" in printed


def test_c10_a_base_may_have_only_python3(tmp_path: Path) -> None:
    """The steps of the build find it."""
    for name in ("sh", "dirname", "mktemp", "rm"):
        (tmp_path / name).symlink_to(f"/usr/bin/{name}")
    python = tmp_path / "python3"
    python.write_text('#!/bin/sh\necho "found: $*" >&2\nexit 7\n')
    python.chmod(0o755)
    done = subprocess.run(
        [ROOT / ".docker/build.sh", tmp_path / "tree"],
        check=False,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr[:10]) == (7, "found: -m ")
