"""`sidecar inject` takes time in proportion to the manifest, however it is nested."""

import time
from collections.abc import Callable

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.core.errors import ManifestRefused
from sidecar.kubernetes.container import Blanks
from sidecar.kubernetes.inject import inject
from sidecar.kubernetes.yaml_tree import MAX_DEPTH, Scanner

NATIVE = Blanks("config", secret_files=(("fleet", "/var/run/secrets/fleet"),))
APP = "{name: app, image: x}"
POD = f"kind: Pod\nspec:\n  containers: [{APP}]\n"
DEEP = MAX_DEPTH - 5
"""Collections in each other that are still allowed in a pod's."""
CHAIN = 1500
"""Merges, one of the other: more than calls that Python nests."""


def merges(levels: int, each: str) -> str:
    """Mappings that merge the one before; the pod merges the last, which has none of its keys."""
    before = "".join(f"x{n}: &x{n} {{<<: {each.format(f'*x{n - 1}')}}}\n" for n in range(1, levels))
    return f"kind: Pod\nx0: &x0 {{a: 1}}\n{before}spec:\n  <<: *x{levels - 1}\n  containers: [{APP}]\n"


@pytest.mark.parametrize(
    "text",
    [
        merges(60, "[{0}, {0}]"),
        merges(60, "[{0}, {0}, {0}, {0}, {0}]"),
        merges(CHAIN, "{0}"),
        merges(CHAIN, "[{0}]"),
        f"kind: Pod\nspec: &s\n  <<: *s\n  containers: [{APP}]\n",
        "kind: Pod\nx0: &x0 [a]\n"
        + "".join(f"x{n}: &x{n} [*x{n - 1}, *x{n - 1}]\n" for n in range(1, 60))
        + POD.removeprefix("kind: Pod\n"),
    ],
    ids=["merged twice", "merged five times", "chain", "chain of lists", "in itself", "aliases"],
)
def test_s17_merges_within_merges_end(text: str) -> None:
    """Each mapping is searched once, not once for each way that leads to it; what is refused is refused at once."""
    try:
        assert "sidecar" in inject(text, NATIVE)
    except ManifestRefused as refused:
        assert "an alias" in str(refused)  # noqa: PT017


def _in_flow(count: int) -> str:
    return f"{POD}x:\n" + f"- {'[' * DEEP}{']' * DEEP}\n" * count


def _in_maps(count: int) -> str:
    return f"{POD}x:\n" + f"- {'{a: ' * DEEP}{'}' * DEEP}\n" * count


def _in_blocks(count: int) -> str:
    nested = "".join(f"{'  ' * level}a:\n" for level in range(DEEP))
    return POD + nested + "".join(f"{'  ' * DEEP}k{n}: v\n" for n in range(count * 20))


def _in_a_list(count: int) -> str:
    return "kind: List\nitems:\n" + f"- {{kind: Pod, spec: {{containers: [{APP}]}}}}\n" * count


def _in_documents(count: int) -> str:
    return f"{POD}---\n" * count


def _in_a_pod(count: int) -> str:
    return "kind: Pod\nspec:\n  containers:\n" + "".join(f"  - {{name: a{n}}}\n" for n in range(count * 4))


def least(text: str) -> float:
    """Seconds of CPU time for this text."""
    took = []
    for _ in range(3):
        began = time.process_time()
        inject(text, NATIVE)
        took.append(time.process_time() - began)
    return min(took)


@pytest.mark.parametrize(
    "made",
    [_in_flow, _in_maps, _in_blocks, _in_a_list, _in_documents, _in_a_pod],
    ids=lambda made: made.__name__,
)
def test_s17_four_times_the_manifest_takes_about_four_times_as_long(made: Callable[[int], str]) -> None:
    """In CPU time, at any depth: sixteen times would be quadratic."""

    assert least(made(12)) < 9 * least(made(3))


def test_s17_depth_alone_takes_no_time() -> None:
    """The same brackets take as long within a hundred and more others as within a few; it was twice as long."""
    deep, flat = (f"{POD}x:\n" + f"- {'[' * d}{']' * d}\n" * (1000 // d) for d in (DEEP, 25))
    assert least(deep) < 1.6 * least(flat)


def events(text: str, loader: type[yaml.SafeLoader]) -> list[str]:
    """Everything in the text and where it stands, up to the first fault."""
    found = []
    try:
        for event in yaml.parse(text, Loader=loader):
            marks = [
                (mark.index, mark.line, mark.column) for mark in (event.start_mark, event.end_mark) if mark
            ]
            found.append(f"{event} {marks}")
    except yaml.YAMLError as error:
        found.append(str(error))
    return found


@given(st.text("[]{},:?- a\n'&*#", max_size=60))
@example("[" * 30 + "a" * 1030 + "]" * 30 + ": b")
@example("a" * 1025 + ": b")
@example("{[a,\nb]: c}")
@example("a:\nb\nc: d")
def test_s17_the_scanner_finds_what_pyyamls_finds(text: str) -> None:
    """Faults too."""
    assert events(text, Scanner) == events(text, yaml.SafeLoader)
