"""The event loop of every test, the tier that marks it, and the modules with fixtures."""

import gc
import os
from collections.abc import Callable, Generator, Mapping
from functools import cache
from pathlib import Path

import pytest
import uvloop
from hypothesis import HealthCheck, settings

from sidecar.cli import dumps
from tests.support.examples import IN_CI

TESTS = Path(__file__).parent
LONGEST_FIRST = ("system", "integration", "contracts", "docs", "unit")
"""The tiers by how long their tests wait. One worker cannot take over what another has begun: short tests come last,
so that all workers end together."""

COMPILES_WITHIN = 1800
"""Seconds: pip fetches a compiler, and the C compiler runs for a minute or two of CPU."""

SERVERS = (
    "tests.support.aws",
    "tests.support.otlp_receiver",
    "tests.support.redis_server",
    "tests.support.sidecar",
)
"""Modules with fixtures that the unit tests do without: each process would import them for a second of CPU time."""

pytest_plugins = ("tests.support.environment",)
pytest.register_assert_rewrite(*SERVERS)

os.environ.setdefault(dumps.ALLOW, "true")  # commands that run in the tests' own process leave that as it is

NO_CLOCK = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""How long an example takes says nothing of the code: the machine may be busy."""
settings.register_profile("people", NO_CLOCK, max_examples=IN_CI // 4)
settings.register_profile("ci", NO_CLOCK, max_examples=IN_CI, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "people")


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], uvloop.Loop]]:
    """Run every test on the event loop the product runs on."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Spare the garbage collector what collection loads: it stays to the end, and is much to look through each time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@cache
def tier(path: Path) -> str:
    """Return the folder that the test lies in."""
    return path.relative_to(TESTS).parts[0]


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> None:
    """Load the fixtures of servers before the first module that may use them."""
    if tier(module_path) != "unit":
        for name in SERVERS:
            parent.config.pluginmanager.import_plugin(name)


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark each test by its tier, and give those time that compile the image's tree or a wheel."""
    item.add_marker(tier(item.path))
    if item.path.parent.name == "image" or "tree" in getattr(item, "fixturenames", ()):
        item.add_marker(pytest.mark.timeout(COMPILES_WITHIN))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tiers in this order; within each the files' order stays."""
    items.sort(key=lambda item: LONGEST_FIRST.index(tier(item.path)))
