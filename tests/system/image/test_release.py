"""What a release is made of, and the steps that the workflow runs, with programs that record their arguments."""

import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import pytest
import yaml

from sidecar import __version__
from tests import ROOT
from tests.support.programs import chart_package

DIGEST = f"sha256:{'a1' * 32}"
ENVIRONMENT = (f"VENV={sys.prefix}", f"--assume-old={sys.prefix}/.with-test")
"""The environment of the tests, unchanged."""


def make(*words: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a target with only PATH in its environment."""
    return subprocess.run(
        ["make", "--no-print-directory", *ENVIRONMENT, *words],
        check=False,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **(environ or {})},
        capture_output=True,
        text=True,
    )


def noting(folder: Path, name: str, printed: str = "", code: int = 0) -> tuple[Path, Path]:
    """Return a program that records its arguments, prints this and exits with this code; and the record."""
    program, notes = folder / name, folder / f"{name}.words"
    program.write_text(f"#!/bin/sh\necho \"$@\" >>'{notes}'\ncat <<'END'\n{printed}\nEND\nexit {code}\n")
    program.chmod(0o755)
    return program, notes


@pytest.mark.parametrize(
    ("release", "code"),
    [
        (f"v{__version__}", 0),
        (__version__, 2),
        ("", 2),
        (f"v{__version__}0", 2),
        (f"v{__version__}-rc1", 2),
        (f"V{__version__}", 2),
        ("v9.9.9", 2),
    ],
)
def test_only_the_tag_of_the_version_is_released(release: str, code: int) -> None:
    """A tag of another version names both, and what to do."""
    done = make("tagged", f"RELEASE={release}")
    assert done.returncode == code
    assert (f"cannot release '{release}': the version is {__version__}" in done.stderr) is bool(code)


def test_the_image_is_pushed_for_its_architecture(tmp_path: Path) -> None:
    """In small letters, as registries require."""
    engine, notes = noting(tmp_path, "docker")
    done = make("push-image", f"ENGINE={engine}", "REGISTRY=Registry.example/Some/Name")
    assert done.returncode == 0, done.stderr
    built, pushed = notes.read_text().splitlines()
    name = f"registry.example/some/name:{__version__}-{os.uname().machine}"
    assert f"--tag {name} " in built
    assert pushed == f"push {name}"


def test_both_architectures_get_one_tag_and_its_digest_is_passed_on(tmp_path: Path) -> None:
    """The first digest that the engine prints is the index's; the steps after it get it as outputs, and sign by it."""
    printed = f"Name:      x\nMediaType: y\nDigest:    {DIGEST}\n\nManifests:\n  Name: x@sha256:{'b' * 64}"
    engine, notes = noting(tmp_path, "docker", printed)
    output = tmp_path / "output"
    environ = {"GITHUB_OUTPUT": str(output)}
    noted = f"RELEASED={tmp_path / 'released'}"
    done = make("push-index", noted, f"ENGINE={engine}", "REGISTRY=registry.example/name", environ=environ)
    assert done.returncode == 0, done.stderr
    name = f"registry.example/name:{__version__}"
    assert notes.read_text().splitlines() == [
        f"buildx imagetools create --tag {name} {name}-x86_64 {name}-aarch64",
        f"buildx imagetools inspect {name}",
    ]
    assert output.read_text() == f"name=registry.example/name\ndigest={DIGEST}\n"
    cosign, signed = noting(tmp_path, "cosign")
    done = make("sign", noted, environ={"PATH": f"{cosign.parent}:{os.environ['PATH']}"})
    assert done.returncode == 0, done.stderr
    assert signed.read_text() == f"sign --yes registry.example/name@{DIGEST}\n"


def test_the_chart_is_pushed_and_its_digest_is_passed_on(tmp_path: Path) -> None:
    """Helm prints the digest among its warnings, to either stream; the chart has a name below the registry's."""
    printed = f"Pushed: registry.example/charts/credential-sidecar:{__version__}\nDigest: {DIGEST}"
    program, notes = noting(tmp_path, "helm", printed)
    output, released = tmp_path / "output", tmp_path / "released"
    words = (f"HELM={program}", f"RELEASED={released}", "REGISTRY=registry.example/Charts")
    done = make("push-chart", *words, environ={"GITHUB_OUTPUT": str(output)})
    assert done.returncode == 0, done.stderr
    assert notes.read_text() == (
        f"push dist/credential-sidecar-{__version__}.tgz oci://registry.example/charts\n"
    )
    name = "registry.example/charts/credential-sidecar"
    assert output.read_text() == f"name={name}\ndigest={DIGEST}\n"
    assert released.read_text() == f"{name}@{DIGEST}\n"


@pytest.mark.parametrize(
    ("printed", "code"),
    [("", 0), ("Digest: md5:1", 0), ("sha256:1", 0), (f"Digest: {DIGEST}", 1)],
)
def test_without_a_digest_nothing_is_signed(tmp_path: Path, printed: str, code: int) -> None:
    """The step fails, so that those after it do not run."""
    engine, _ = noting(tmp_path, "docker", printed, code)
    output = tmp_path / "output"
    words = (f"ENGINE={engine}", f"RELEASED={tmp_path / 'released'}", "REGISTRY=registry.example/name")
    done = make("push-index", *words, environ={"GITHUB_OUTPUT": str(output)})
    assert done.returncode != 0
    assert not output.exists()
    assert not (tmp_path / "released").exists()


@pytest.mark.parametrize("target", ["push-image", "push-index", "push-chart"])
def test_nothing_is_pushed_without_a_registry(tmp_path: Path, target: str) -> None:
    """No registry is the default."""
    engine, notes = noting(tmp_path, "docker")
    done = make(target, f"ENGINE={engine}", f"HELM={engine}")
    assert done.returncode != 0
    assert "set REGISTRY=" in done.stderr
    assert not notes.exists()


def test_a_wheel_of_the_source_distribution_is_the_wheel(tmp_path: Path) -> None:
    """Byte for byte, so that either may be checked against the other."""
    builds = {"sources": ROOT, "unpacked": tmp_path / f"credential_sidecar-{__version__}"}
    wheels = []
    for name, folder in builds.items():
        command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--target", "sdist"]
        command = [*command[: None if name == "sources" else -2], "--directory", str(tmp_path / name)]
        subprocess.run(command, check=True, cwd=folder, capture_output=True)
        for file in (tmp_path / name).iterdir():
            if file.suffix == ".gz":
                shutil.unpack_archive(file, tmp_path, filter="data")
            else:
                wheels.append((file.name, sha256(file.read_bytes()).hexdigest()))
    assert len(wheels) == 2
    assert wheels[0] == wheels[1]


@pytest.mark.parametrize("source", ["", "https://code.example/name"])
def test_the_chart_is_packaged_with_its_metadata(tmp_path: Path, source: str) -> None:
    """What Artifact Hub shows: links only where the address of the code is known, and no settings of the tests."""
    file = chart_package.package(source, tmp_path / "work", tmp_path / "dist")
    with tarfile.open(file) as held:
        names = set(held.getnames())
        member = held.extractfile("credential-sidecar/Chart.yaml")
        assert member is not None
        chart = yaml.safe_load(member.read())
    files = {path.relative_to(ROOT / "helm") for path in (ROOT / "helm").rglob("*") if path.is_file()}
    assert names == {f"credential-sidecar/{path}" for path in files if path.parts[0] != "ci"}
    assert chart["version"] == chart["appVersion"] == __version__
    assert chart["kubeVersion"].startswith(">=")
    notes = chart["annotations"]
    assert notes["artifacthub.io/category"] == "security"
    assert notes["artifacthub.io/license"] == "Apache-2.0"
    assert {each["kind"] for each in yaml.safe_load(notes["artifacthub.io/changes"])} <= {
        *("added", "changed", "deprecated", "removed", "fixed", "security")
    }
    assert all(isinstance(value, str) for value in notes.values())
    assert chart.get("sources") == ([source] if source else None)
    assert ("artifacthub.io/links" in notes) is bool(source)
    for link in yaml.safe_load(notes.get("artifacthub.io/links", "[]")):
        path = link["url"].removeprefix(f"{source}/tree/v{__version__}/")
        assert (ROOT / path).exists(), path
