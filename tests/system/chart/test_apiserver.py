"""What `make test-apiserver` does before there is an API server: it says what it requires."""

import subprocess
from pathlib import Path

import pytest
import yaml

from tests import ROOT
from tests.system.chart.generate import CHART
from tests.system.chart.helm import KUBERNETES
from tests.system.chart.kubernetes import VERSIONS

SCRIPT = ROOT / "tests/system/apiserver/up.sh"


def refused(cache: Path, *arguments: str, go: str | None = None) -> str:
    """What the script prints when it refuses; `go` is the version of the Go on its PATH."""
    programs = cache / "programs"
    programs.mkdir()
    for name in ("sh", "sed", "sort", "head", "mktemp", "rm", "printf"):
        (programs / name).symlink_to(f"/usr/bin/{name}")
    if go:
        fake = programs / "go"
        fake.write_text(
            f'#!/bin/sh\ncase $1 in version) echo "go version go{go} linux/amd64" ;; *) echo 1.26.0 ;; esac\n'
        )
        fake.chmod(0o755)
    environ = {"PATH": str(programs), "XDG_CACHE_HOME": str(cache)}
    done = subprocess.run([SCRIPT, *arguments], check=False, env=environ, capture_output=True, text=True)
    assert done.returncode == 1
    return done.stderr


@pytest.mark.parametrize("go", ["1.25.9", "1.9", "1.26rc1", "1.25"])
def test_an_old_go_is_refused_before_anything_is_built(tmp_path: Path, go: str) -> None:
    """By the version that this version of Kubernetes itself requires."""
    message = refused(tmp_path, "build", "1.37.2", go=go)
    assert "cannot build Kubernetes 1.37.2 with Go 1." in message
    assert message.endswith("it requires Go 1.26.0 or later; install it\n")


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    """Go, a build, an action."""
    for number, (arguments, message) in enumerate(
        [
            (("build", "1.37.2"), "cannot build Kubernetes 1.37.2: go is missing; install it"),
            (("run", "1.37.2", "true"), "cannot run Kubernetes 1.37.2: it is not built; run "),
            (("stop", "1.37.2"), "unknown action stop; use build or run"),
            ((), "usage: "),
        ]
    ):
        place = tmp_path / str(number)
        place.mkdir()
        assert message in refused(place, *arguments)


def test_the_versions_are_the_oldest_and_the_newest() -> None:
    """Those that the chart supports, and that its manifests are checked for."""
    [line] = [line for line in (ROOT / "Makefile").read_text().splitlines() if line.startswith("KUBERNETES ")]
    found = [".".join(version.split(".")[:2]) for version in line.partition("= ")[2].split()]
    assert found == [VERSIONS[0], KUBERNETES.rpartition(".")[0]]
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["kubeVersion"] == f">={VERSIONS[0]}.0-0"
