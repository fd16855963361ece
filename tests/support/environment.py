"""The environment of child processes, and whether coverage counts what they run.

Coverage finds by a variable that a process belongs to a measured run (`patch = ["subprocess"]` in pyproject.toml). A
child with the environment of the tests has it; one with an environment of its own gets it from `bare`. It costs a
child memory, start-up time and half its speed, so a test that measures a child itself is marked `unmeasured`.

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


def bare(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return these variables, those that say which code runs and whether it is measured, and no others."""
    passed = {name: os.environ[name] for name in (VARIABLE, SAFE_PATH) if name in os.environ}
    return {**passed, **(environ or {})}


@pytest.fixture(autouse=True)
def measured(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep coverage out of the children of a test with the mark `unmeasured`."""
    if request.node.get_closest_marker("unmeasured"):
        monkeypatch.delenv(VARIABLE, raising=False)
