"""The environment of child processes, and whether coverage counts what they run.

Coverage finds by a variable that a process belongs to a measured run (`patch = ["subprocess"]` in pyproject.toml). A
child with the environment of the tests has it; one with an environment of its own gets it from `bare`. It costs a
child memory, 0.3 s of CPU time to start and half its speed. A child that is killed leaves no data, so all that is for
nothing. Therefore a test is marked `unmeasured` that measures or kills its children.

`PYTHONSAFEPATH` keeps the folder of the sources off the import path, so that `make test-compiled` tests the installed
package. A child is passed it in the same way.
"""

import os
from collections.abc import Mapping

import pytest

VARIABLE = "COVERAGE_PROCESS_CONFIG"
SAFE_PATH = "PYTHONSAFEPATH"
BUILD = os.environ.get("TESTED_BUILD", "pure")
"""What the tests are to find: the sources, or with `make test-compiled` the compiled package."""


NO_BYTE_CODE = {"PYTHONDONTWRITEBYTECODE": "1"}
"""For programs of trees in which nothing may be written."""


def bare(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return these variables, those that say which code runs and whether it is measured, and no others."""
    passed = {name: os.environ[name] for name in (VARIABLE, SAFE_PATH) if name in os.environ}
    return {**passed, **(environ or {})}


def unmeasured() -> dict[str, str]:
    """Return the environment of the tests without coverage's variable, for a tool that runs no code of the product."""
    return {name: value for name, value in os.environ.items() if name != VARIABLE}


@pytest.fixture
def without_coverage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep coverage out of the children of a test."""
    monkeypatch.delenv(VARIABLE, raising=False)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Give a test with the mark `unmeasured` that fixture, before its own: for six thousand others it would be work."""
    if item.get_closest_marker("unmeasured"):
        assert isinstance(item, pytest.Function)
        if "without_coverage" not in item.fixturenames:
            item.fixturenames.insert(0, "without_coverage")
