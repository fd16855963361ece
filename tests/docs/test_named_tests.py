"""What is promised names the tests that hold it, and they exist."""

import re

import pytest

from tests import ROOT
from tests.protocol.page import PAGE, invariants, macros, named_tests
from tests.protocol.runs import ASSUMPTIONS, GUARDS, constants
from tests.protocol.spin import MODEL

PROMISING = ("docs/explanation/how-the-fleet-agrees.md", "docs/explanation/threat-model.md")

LIVENESS = 12
"""The number of the last invariant of the model."""


def existing() -> set[str]:
    """Return the names of all tests."""
    text = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    functions = re.findall(r"^\s*(?:async )?def (test_\w+)", text, re.MULTILINE)
    return {*functions, *re.findall(r"^(?:class )?(Test\w+)", text, re.MULTILINE)}


@pytest.mark.parametrize("page", PROMISING)
def test_every_test_that_a_page_names_exists(page: str) -> None:
    """A test that was renamed is renamed there too."""
    named = set(named_tests((ROOT / page).read_text()))
    assert named
    assert named - existing() == set()


def test_every_promise_of_the_readme_names_its_tests() -> None:
    """The threat model has the same guarantees, in the same words, with the tests."""
    readme = (
        (ROOT / "README.md")
        .read_text()
        .split("## What it guarantees\n")[1]
        .split("\nThe details", maxsplit=1)[0]
    )
    guarantees = [" ".join(each.split()) for each in re.split(r"^\d+\. ", readme, flags=re.MULTILINE)[1:]]
    section = (
        (ROOT / PROMISING[1])
        .read_text()
        .split("## The guarantees of the README\n")[1]
        .split("\n## ", maxsplit=1)[0]
    )
    rows = re.findall(r"^\| (\d+) \| (.*?) \| (.*?) \|$", section, re.MULTILINE)
    assert [(number, promise) for number, promise, _ in rows] == [
        (str(number), promise) for number, promise in enumerate(guarantees, 1)
    ]
    assert [number for number, _, tests in rows if not list(named_tests(tests))] == []


DESCRIPTIONS = (
    "The sidecar is a localhost reverse proxy that runs beside your application and handles OAuth bearer tokens.",
    "More about the path.",
    "This works on Kubernetes 1.29 and later.",
    "Replace `images.example.com` by your own registry.",
    "In `values.yaml`, put the file above under `config`.",
    "It begins up to a second after `helm install`, so wait before you add labels.",
    "Both ways, step by step: Add the sidecar to a Deployment.",
    "One process on one core, in Python 3.11 or later.",
    "All limits, security.",
)
"""Sentences of the README that promise nothing: what the sidecar is, and what the reader does."""


def sentences(section: str) -> list[str]:
    """Return the sentences of Markdown, without code, list marks and the addresses of links."""
    text = re.sub(r"(?ms)^```.*?^```$", "", section)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", re.sub(r"(?m)^- ", "\n", text))
    found = [re.split(r"(?<=\.)\s+(?=[A-Z`])", " ".join(each.split())) for each in text.split("\n\n")]
    return [each for paragraph in found for each in paragraph if each]


def test_every_other_sentence_of_the_readme_that_promises_names_its_tests() -> None:
    """Those of the introduction, the path, Kubernetes and the limits: each is a promise or a description."""
    readme = (ROOT / "README.md").read_text()
    introduction = readme.split("# Credential sidecar\n")[1].split("\n**Use it if**", maxsplit=1)[0]
    parts = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", readme, re.MULTILINE | re.DOTALL))
    titles = ("The path of a request", "Add it to a Deployment", "Limits")
    said = [each for part in (introduction, *(parts[title] for title in titles)) for each in sentences(part)]
    section = (ROOT / PROMISING[1]).read_text().split("## Other promises of the README\n")[1]
    rows = re.findall(r"^\| (.*?) \| (.*?) \|$", section.split("\n## ", maxsplit=1)[0], re.MULTILINE)[2:]
    assert [sentence for sentence in said if sentence not in DESCRIPTIONS] == [promise for promise, _ in rows]
    assert [promise for promise, tests in rows if not list(named_tests(tests))] == []
    assert set(DESCRIPTIONS) <= set(said)


def test_every_promise_of_the_threat_model_names_its_tests() -> None:
    """What is promised without a test is not promised."""
    section = (
        (ROOT / PROMISING[1]).read_text().split("## What is promised\n")[1].split("\n## ", maxsplit=1)[0]
    )
    rows = re.findall(r"^\| (P\d+) \| .* \| (.*?) \|$", section, re.MULTILINE)
    assert [number for number, _ in rows] == [f"P{number}" for number in range(1, len(rows) + 1)]
    assert len(rows) > 10
    assert [number for number, tests in rows if not list(named_tests(tests))] == []


def test_every_invariant_names_its_tests_and_is_in_the_model() -> None:
    """The last one of the model is the formula of liveness; only the histories check those after it."""
    listed = invariants(PAGE.read_text())
    numbers = [number for number, _ in listed]
    assert numbers == list(range(1, len(listed) + 1))
    assert [number for number, words in listed if not list(named_tests(words))] == []
    asserted = {int(number) for number in re.findall(r"\bholds\((\d+),", MODEL.read_text())}
    assert asserted == set(range(1, LIVENESS))
    assert LIVENESS in numbers


def test_every_guard_of_the_model_is_removed_once() -> None:
    """So each invariant is known to be able to fail; the page lists what a run removes."""
    removals = [*GUARDS, *ASSUMPTIONS]
    assert sorted(each.macro for each in removals) == sorted(
        set(re.findall(r"with\(([A-Z_]+)\)", MODEL.read_text()))
    )
    assert {each.macro for each in removals} <= set(constants())
    assert {each.breaks for each in GUARDS} == set(range(1, LIVENESS))
    assert macros(PAGE.read_text()) == [each.macro for each in removals]
