"""The reference pages are what `make reference` writes, and they leave nothing out."""

import ast
import re
from typing import get_args

import pytest

from sidecar.core import problem
from sidecar.fleet import foreign_messages
from sidecar.fleet.settings import Dialect
from sidecar.system import tls_faults
from sidecar.telemetry.events import Event
from sidecar.telemetry.sinks.request_line import RequestLine
from tests import ROOT
from tests.support.programs.pages import (
    configuration,
    docstrings,
    environment,
    every_page,
    limits,
    log_events,
)


@pytest.mark.parametrize("name", every_page.GENERATED)
def test_a_reference_page_is_up_to_date(name: str) -> None:
    """After a change of a key, flag, variable, metric, event, error or limit, run `make reference`."""
    assert (every_page.FOLDER / name).read_text() == every_page.GENERATED[name]()


def test_each_page_of_the_folder_is_generated_or_known() -> None:
    """A page whose source is gone is deleted."""
    assert {path.name for path in every_page.FOLDER.glob("*.md")} == {
        *every_page.GENERATED,
        *every_page.BY_HAND,
    }


def test_an_optional_key_says_what_happens_if_it_is_unset() -> None:
    """Unless it has a default, or another key takes its place."""
    silent = [
        key.path
        for key in configuration.all_keys()
        if key.default == "none" and "Unset:" not in key.meaning and "Set exactly one" not in key.meaning
    ]
    assert silent == []


def test_a_key_inside_a_section_that_needs_a_restart_says_so() -> None:
    """And no key that a reload can change."""
    marked = {key.path for key in configuration.all_keys() if "Needs a restart." in key.meaning}
    assert {"redis.tls.ca_file", "busts.listen[].dialect", "cache.mode", "log.format"} <= marked
    assert marked.isdisjoint({"cache.leeway", "log.level", "routes[].name", "admin.token.file"})


NO_VARIABLES = {"CLOCK_BOOTTIME", *tls_faults._OTHERWISE}
"""Upper-case words in the code that name something else than an environment variable."""


def test_every_environment_variable_that_the_code_names_is_on_the_page() -> None:
    """And no other."""
    trees = [ast.parse(module.read_text()) for module in (ROOT / "sidecar").rglob("*.py")]
    texts = {str(node.value) for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    named = {text for text in texts if re.fullmatch(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+", text)}
    assert environment.names() == named - NO_VARIABLES


@pytest.mark.parametrize("event", log_events.EVENTS, ids=lambda event: event.name)
def test_an_event_and_each_of_its_fields_has_a_meaning(event: type[Event]) -> None:
    """Its docstring, the field's, or that of fields which several events have."""
    assert docstrings.of_class(event)
    assert [name for name, meaning in log_events.described(event).items() if not meaning] == []


def test_each_field_of_a_request_has_a_meaning() -> None:
    """In the order of the line."""
    meanings = docstrings.of_fields(RequestLine)
    assert [name for name in RequestLine.__struct_fields__ if not meanings[name]] == []


def test_each_event_is_on_the_page() -> None:
    """Also those of a module that the page does not know."""
    assert {event.name for event in Event.__subclasses__()} == {event.name for event in log_events.EVENTS}


def test_limits_of_every_room_are_on_the_page() -> None:
    """A limit in a room without a heading would be left out."""
    left = {room for room in limits.rooms() - set(limits.ROOMS) if list(limits.of_room(room))}
    assert left == set()


@pytest.mark.parametrize("room", limits.ROOMS)
def test_a_room_with_a_heading_has_limits(room: str) -> None:
    """A docstring that is not read leaves an empty table."""
    assert list(limits.of_room(room)) != []


def test_every_word_of_an_error_has_a_meaning_and_an_action() -> None:
    """In sentences."""
    words = (*problem.REFUSED.values(), *problem.FAILED.values(), problem.INTERNAL)
    assert [
        each.word for each in words if not (each.meaning.endswith(".") and each.action.endswith("."))
    ] == []


def test_o19_each_dialect_is_on_the_page_with_its_messages() -> None:
    """Those that the configuration takes, and every kind that is read."""
    page = every_page.GENERATED["dialects.md"]()
    assert re.findall(r"^## `([^`]+)`$", page, re.MULTILINE) == list(get_args(Dialect))
    listed = re.findall(r"^\| `([^`:]+):?", page, re.MULTILINE)
    assert set(listed) == {*foreign_messages.GATEWAY_KINDS, foreign_messages.ROTATED}
