"""Docstrings and comments of the product name the part that acts, and use the field's verbs and words for states."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests import ROOT

WORDS = (
    "who|whoever|whom|nobody|somebody|anybody|everybody|someone|anyone|everyone|strangers?"
    "|tells?|telling|told|says?|said|saying|speaks?|spoken|asks?|asked|asking|hears?|heard|obeys?|obeyed|obeying"
    "|wants?|wanting|look(?:s|ed|ing)? at|goes before"
    "|dead|dies|died|gone|alone|no good|as good as|be had"
    "|anew|of late|lately|for ever|behind"
)
"""Whole words: persons in place of parts, verbs of persons, and words for states that an operator does not use."""
RIDDLES = re.compile(rf"\b(?:{WORDS})\b", re.IGNORECASE)
BEGINNINGS = re.compile(r"Tell\b|See the port\b")
"""A docstring in PEP 257's form begins with Return, Emit or the like; a method of a protocol needs none."""
NAMES = re.compile(r"`[^`]*`|https?://\S+|\b[A-Z0-9]+_[A-Z0-9_]+\b")
"""Code, addresses and constants are names, not prose."""
EXCEPTIONS: Mapping[str, Mapping[str, str]] = {
    "oauth/refusals/clock_skew.py": {"behind": "a clock is behind another one"},
}
"""By module and word: why the word is right there."""


def docstrings(source: str) -> Iterator[str]:
    """Yield the docstrings of a module and of everything in it, those below constants and fields included."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            for statement in node.body:
                match statement:
                    case ast.Expr(value=ast.Constant(value=str() as text)):
                        yield text


def comments(source: str) -> Iterator[str]:
    """Yield the comments of a module."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.string


def riddles(text: str) -> set[str]:
    """Return the words of a text that are not plain, in lower case."""
    return {found.lower() for found in RIDDLES.findall(NAMES.sub("", " ".join(text.split())))}


def of_yaml(source: str) -> str:
    """Return the comments of a YAML file, and those of a template."""
    return "\n".join([*re.findall(r"(?m)^ *#(.*)$", source), *re.findall(r"(?s)\{\{-? */\*(.*?)\*/", source)])


def found_in(module: Path) -> set[str]:
    """Return the words of a module's docstrings and comments that are not plain."""
    source = module.read_text()
    return set().union(*map(riddles, docstrings(source)), *map(riddles, comments(source)))


def allowed(module: Path) -> set[str]:
    """Return the words that a module may have."""
    return set(EXCEPTIONS.get(str(module.relative_to(ROOT / "sidecar")), ()))


def test_docstrings_and_comments_use_plain_words() -> None:
    """Every module of the product, but for the exceptions, each of which is still needed."""
    modules = sorted((ROOT / "sidecar").rglob("*.py"))
    found = {str(module.relative_to(ROOT)): found_in(module) ^ allowed(module) for module in modules}
    assert {module: words for module, words in found.items() if words} == {}


def test_comments_of_the_chart_use_plain_words() -> None:
    """In the container's definition, which the wheel has too, in the examples of values, and in the templates."""
    files = [
        ROOT / "helm/files/container.yaml",
        *sorted((ROOT / "helm/ci").glob("*.yaml")),
        *sorted(path for path in (ROOT / "helm/templates").rglob("*") if path.is_file()),
    ]
    found = {str(file.relative_to(ROOT)): riddles(of_yaml(file.read_text())) for file in files}
    assert {file: words for file, words in found.items() if words} == {}


def test_no_docstring_begins_with_tell_or_refers_to_the_port() -> None:
    """Neither in the product nor in the tests."""
    modules = sorted(path for room in ("sidecar", "tests") for path in (ROOT / room).rglob("*.py"))
    found = [
        (str(module.relative_to(ROOT)), text)
        for module in modules
        for text in docstrings(module.read_text())
        if BEGINNINGS.match(text)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ('"""Whoever asks is told."""', {"whoever", "asks", "told"}),
        ('def f() -> None:\n    """Hear of an event."""', {"hear"}),
        ('class C:\n    field: int\n    """Of late."""', {"of late"}),
        ('LIMIT = 1\n"""As good\nas none."""', {"as good as"}),
        ("x = 1  # nobody waits", {"nobody"}),
        ('"""`told` is a name, as DEAD_LETTER is."""', set()),
        ('"""A hearing. Retold."""', set()),
        ('x = "nobody"  # a text, not prose', set()),
    ],
)
def test_the_check_finds_what_is_not_plain(source: str, words: set[str], tmp_path: Path) -> None:
    """In each kind of docstring and in comments, as whole words, over line ends, but not in names and texts."""
    module = tmp_path / "module.py"
    module.write_text(source)
    assert found_in(module) == words


@pytest.mark.parametrize(
    "text", ["Tell whether it is.", "Tell of it.", "See the port.", "See the port. It may wait."]
)
def test_the_check_finds_such_beginnings(text: str) -> None:
    """Whatever follows."""
    assert BEGINNINGS.match(text)
