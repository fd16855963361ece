"""What `make reproducible` compares, and where it finds differences."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.support.programs.reproducible import content, context, differences


def tree(folder: Path) -> Path:
    """A script, a link and a library."""
    (folder / "bin").mkdir(parents=True)
    (folder / "lib").mkdir()
    (folder / "bin/sidecar").write_text("#!/bin/sh\n")
    (folder / "bin/python").symlink_to("/usr/bin/python3")
    (folder / "lib/a.so").write_bytes(b"\0\1")
    return folder


def relink(folder: Path) -> None:
    """Let the link lead elsewhere."""
    (folder / "bin/python").unlink()
    (folder / "bin/python").symlink_to("/usr/bin/python4")


CHANGES: Mapping[str, Callable[[Path], object]] = {
    "lib/a.so": lambda folder: (folder / "lib/a.so").write_bytes(b"\0\2"),
    "bin/python": relink,
    "bin/sidecar": lambda folder: (folder / "bin/sidecar").chmod(0o700),
    "lib/b.pyc": lambda folder: (folder / "lib/b.pyc").touch(),
    "lib/empty": lambda folder: (folder / "lib/empty").mkdir(),
}


@pytest.mark.parametrize("path", CHANGES)
def test_a_difference_between_trees_is_named(tmp_path: Path, path: str) -> None:
    """Content, the target of a link, a mode, a file too many, a folder too many."""
    one, other = tree(tmp_path / "one"), tree(tmp_path / "other")
    assert differences(content(one), content(other)) == []
    CHANGES[path](other)
    assert differences(content(one), content(other)) == [path]
    assert differences(content(other), content(one)) == [path]


def test_a_build_sees_what_the_image_sees(tmp_path: Path) -> None:
    """Both locks and both scripts are there, and nothing of the tests."""
    folder = context(tmp_path)
    for name in (".docker/build.sh", ".docker/requirements.txt", ".build/requirements.txt", "sidecar/app"):
        assert (folder / name).exists(), name
    assert not (folder / "tests").exists()
    assert list(folder.rglob("*.pyc")) == []
