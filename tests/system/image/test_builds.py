"""Building the wheel: pure without a compiler, compiled on request, always the same bytes, or an error in words."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests import ROOT

FEW = ("sidecar/proxy/target.py", "sidecar/system/build.py")
"""Enough to compile: they import little."""
SOURCES = (".build", "LICENSE", "README.md", "helm/files", "pyproject.toml", "sidecar")


def sources(folder: Path) -> Path:
    """A copy of what a wheel is built from, which compiles few modules."""
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(ROOT / name, folder / name)
    project = folder / "pyproject.toml"
    modules = "".join(f'    "{path}",\n' for path in FEW)
    text = re.sub(r"(?m)^modules = \[\n(?:    .*\n)*\]", f"modules = [\n{modules}]", project.read_text())
    assert text != project.read_text()
    project.write_text(text)
    return folder


def build(folder: Path, target: Path, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """`pip wheel` with the tests' own compiler. The image's tree is built in an environment of its own."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    command += ["-w", str(target), str(folder)]
    variables = {name: value for name, value in os.environ.items() if name != "SIDECAR_COMPILE"}
    return subprocess.run(command, check=False, capture_output=True, text=True, env={**variables, **environ})


def wheel(folder: Path, target: Path, environ: Mapping[str, str]) -> Path:
    done = build(folder, target, environ)
    assert done.returncode == 0, done.stdout + done.stderr
    [found] = target.glob("*.whl")
    return found


def test_two_compiled_wheels_are_the_same_bytes(tmp_path: Path) -> None:
    """Whatever the folder's name; no library holds the name of a folder it was built in."""
    environ = {"SIDECAR_COMPILE": "1"}
    wheels = [
        wheel(sources(tmp_path / name), tmp_path / f"{name}-wheel", environ) for name in ("a", "b" * 40)
    ]
    assert len({sha256(each.read_bytes()).digest() for each in wheels}) == 1
    assert re.search(r"-cp3\d+-cp3\d+-\w+\.whl$", wheels[0].name)
    libraries = [name for name in ZipFile(wheels[0]).namelist() if name.endswith(".so")]
    assert {name.split(".")[0] for name in libraries} == {
        "sidecar__mypyc",
        *(path.removesuffix(".py") for path in FEW),
    }
    for name in libraries:
        held = ZipFile(wheels[0]).read(name)
        assert [folder for folder in (b"/tmp/", bytes(tmp_path), b"/pip-") if folder in held] == [], name


@pytest.mark.parametrize("value", [None, "", "0"])
def test_without_being_asked_to_nothing_is_compiled(tmp_path: Path, value: str | None) -> None:
    """The wheel is for every machine, and no compiler is looked for."""
    environ = {"CC": "/nowhere/cc", **({} if value is None else {"SIDECAR_COMPILE": value})}
    found = wheel(sources(tmp_path / "source"), tmp_path / "wheel", environ)
    assert found.name.endswith("-py3-none-any.whl")
    assert [name for name in ZipFile(found).namelist() if name.endswith(".so")] == []


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({"SIDECAR_COMPILE": "1", "CC": "/nowhere/cc"}, "'/nowhere/cc'"),
        ({"SIDECAR_COMPILE": "yes"}, "SIDECAR_COMPILE=yes has no meaning; set SIDECAR_COMPILE=1"),
    ],
)
def test_what_cannot_be_compiled_is_no_pure_wheel(
    tmp_path: Path, environ: Mapping[str, str], reason: str
) -> None:
    """The build fails, says why and what to do."""
    done = build(sources(tmp_path / "source"), tmp_path / "wheel", environ)
    assert done.returncode != 0
    assert "cannot compile the package: " in done.stdout + done.stderr
    assert reason in done.stdout + done.stderr
    assert "unset SIDECAR_COMPILE for the pure package" in done.stdout + done.stderr
    assert list((tmp_path / "wheel").glob("*")) == []


def test_an_editable_install_is_not_compiled(tmp_path: Path) -> None:
    """It would put libraries among the sources."""
    folder = sources(tmp_path / "source")
    program = "from hatchling.build import build_editable; build_editable('.')"
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=False,
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "SIDECAR_COMPILE": "1"},
    )
    assert done.returncode == 1
    assert "an editable install runs the sources; install without --editable" in done.stdout + done.stderr
