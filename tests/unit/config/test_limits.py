"""What a configuration may cost: whatever its file holds, it is loaded or refused soon, and gives way meanwhile."""

import gc
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from sidecar.config import rules
from sidecar.config.load import load
from sidecar.config.yaml_text import document
from sidecar.core.errors import ConfigError
from tests.support.heavy_files import HEAD, HEAVY, MIB

ENOUGH = 5.0
"""Seconds of CPU time: the costliest takes a tenth."""
STRETCH = 0.1
"""Seconds of CPU time between two moments at which a thread gives way; the longest is a tenth of it."""
MESSAGES = 100_000
"""Characters of all faults together."""


@pytest.fixture
def no_collector() -> Iterator[None]:
    """The heap of the tests is not a sidecar's."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("name", HEAVY)
def test_s2_a_file_of_a_mebibyte_is_loaded_or_refused_soon(tmp_path: Path, name: str) -> None:
    """The faults are few and short, and on the way there it gives way often."""
    path = tmp_path / "config.yaml"
    path.write_text(HEAVY[name])
    stretches, before = [0.0], time.thread_time()

    def breathe() -> None:
        nonlocal before
        now = time.thread_time()
        stretches.append(now - before)
        before = now

    outcome = ""
    try:
        outcome = f"{len(load(str(path), {}, breathe).routes)} routes"
    except ConfigError as error:
        outcome = str(error)
    breathe()
    assert 0 < len(outcome) < MESSAGES
    assert path.stat().st_size <= MIB
    assert sum(stretches) < ENOUGH
    assert max(stretches) < STRETCH


@pytest.mark.parametrize(
    ("content", "line", "reason"),
    [
        (HEAVY["aliases of lists"], 5, "more than 100,000 keys and values, each alias written out"),
        (HEAVY["merge keys"], 5, "more than 100,000 keys and values, each alias written out"),
        (HEAVY["aliases of a long text"], 2, "more than 1 MiB of text, each alias written out"),
        (HEAVY["an alias of itself"], 1, "an alias of the mapping or list that it is in"),
        (HEAVY["flow mappings, nested"], 1, "nested too deeply: at most 32 levels"),
        ("a: &a {b: {c: {d: 1}}}\n" + "e: " + "[" * 29 + "*a" + "]" * 29, 2, "nested too deeply"),
        ("a:\n  b: " + "x" * 8193, 2, "a text of more than 8,192 characters: shorten it"),
        ("a: 1\nb: " + "9" * 65, 2, "a number or a date of more than 64 characters: put it in quotes"),
        ("a: 1\n1234567890123456789012: 1", 2, "a key that is a number of more than 18 digits"),
        (
            "a: &a -0xfffffffffffffffff\nb: {\n*a : 1}",
            3,
            "a key that is a number of more than 18 digits",
        ),
        ("%TAG ! tag:x,2002:\n---\na: 1", 1, "a %TAG directive: remove it"),
        ("a: {<<: 1}", 1, "<< merges a mapping, or a list of mappings"),
        ("a: 1\nb: !!bool x", 2, "put it in quotes"),
        (HEAVY["routes that are all wrong"], 0, "perhaps more is wrong: correct these first"),
        (
            f"{HEAD}routes: [{{name: a, upstream: 'http://u', token: n}}]",
            3,
            "there is no such entry; there is: t",
        ),
    ],
)
def test_s2_a_limit_is_told_with_its_line(tmp_path: Path, content: str, line: int, reason: str) -> None:
    """And with what to do."""
    file = tmp_path / "config.yaml"
    file.write_text(content)
    with pytest.raises(ConfigError) as raised:
        load(str(file), {})
    assert [fault for fault in raised.value.faults if fault.line == line and reason in fault.reason]


@pytest.mark.parametrize("loader", [yaml.CSafeLoader, yaml.SafeLoader])
@pytest.mark.parametrize(
    "content",
    [
        "a: 1\nb: [x, 2, null, ~, true, 1.5, 0x1F, 2001-12-14, 'y', \"z\\n\", 1:30]",
        "a: &a {b: 1, c: 2}\nd: {<<: *a, c: 3}\ne: [*a, *a]\nf: {<<: [*a, {g: 4, b: 5}]}",
        "a: |\n  b\n  c\nd: >\n  e\n  f\n? g\n: h\n1: i\n=: j\n'<<': k",
        "a: !!str 1\nb: !!binary eA==\nc: !!int '3'\nd: ! 4\n",
        "--- {a: {}}\n...\n",
        "",
        "[]",
        "7",
    ],
)
def test_s2_documents_mean_what_they_mean_to_pyyaml(content: str, loader: type[yaml.SafeLoader]) -> None:
    """Whichever of its parsers is there."""
    builder = document.Builder(loader(document.Chunks(content.encode(), lambda: None)))
    read = builder.build()
    assert (read.value, read.twice) == (yaml.safe_load(content), [])


HOSTILE = [
    unit * (document.MAX_SCALAR // len(unit) - 1) + end
    for unit in (
        "a",
        "1",
        " ",
        "!",
        "a.",
        "a-",
        "/",
        "/.",
        "%2e",
        "http://",
        "[",
        ":",
        "~0",
        "{tenant}",
        "1:",
        "é",
    )
    for end in ("", "\x01", "\n", "!", "/", "]")
]


@pytest.mark.parametrize("name", rules.checks({}))
def test_s2_no_rule_takes_long_for_any_text(name: str) -> None:
    """None tries a text in more ways than it has characters: a pattern keeps the whole process waiting."""
    check = rules.checks({})[name]
    for text in HOSTILE:
        began = time.thread_time()
        with suppress(ValueError):
            check(text)
        assert time.thread_time() - began < STRETCH, text[:40]
