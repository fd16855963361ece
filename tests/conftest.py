"""The event loop of every test, the tier that marks it, and the modules with fixtures."""

import gc
import os
from collections.abc import Callable, Generator, Mapping
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

pytest_plugins = (
    "tests.support.aws",
    "tests.support.environment",
    "tests.support.otlp_receiver",
    "tests.support.redis_server",
    "tests.support.sidecar",
)

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


def tier(item: pytest.Item) -> str:
    """Return the folder that the test lies in."""
    return item.path.relative_to(TESTS).parts[0]


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark each test by its tier, and give those time that compile the image's tree or a wheel."""
    item.add_marker(tier(item))
    if item.path.parent.name == "image" or "tree" in getattr(item, "fixturenames", ()):
        item.add_marker(pytest.mark.timeout(COMPILES_WITHIN))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tiers in this order; within each the files' order stays."""
    items.sort(key=lambda item: LONGEST_FIRST.index(tier(item)))
