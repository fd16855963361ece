"""What users read is in plain words: the component is named, with the verb that operators use for what it does."""

import ast
import json
import re
from collections.abc import Callable, Iterator, Mapping
from html.parser import HTMLParser
from itertools import chain

import pytest
import yaml

from tests import ROOT
from tests.support.pages import PAGES

PERSONS = r"whoever|whom|nobody|no one|somebody|someone|anybody|anyone else|everybody|strangers?|befits?"
SPEECH = r"tells?|told|telling|says?|said|speaks?|spoken|hears?|heard|obeys?|obeyed|asks?|asked|asking|talks?"
STATES = r"dead|alone|behind|(?:is|are|was|were|be|stays?|goes|went|go) out(?! of\b)|(?:is|are) gone"
WISHES = r"wants?|wanted|wanting|minds?|notices? nothing|believed?|looks? at|looked at|lets? us"
TURNS = (
    r"anew|of late|lately|for ever|as good as|goes? before|in vain|anyhow|for want of|from nothing|lest|whence|"
    r"shall|do without|(?:can|cannot|could|may|must|to) be had|takes? (?:it |some )?out"
)
PERSON = re.compile(PERSONS, re.IGNORECASE)
NOBODYS = r"we|us|our|ours|(?:if|what|when|as) one (?:can|may|must|has|does|is|wants)|absent:"
RIDDLES = r"(?<!there )(?:is|are) no (?!longer\b|more\b|less\b|later\b|earlier\b|such\b)[a-z]+"
BANNED = re.compile(
    rf"(?<![\w/.-])(?:{PERSONS}|{SPEECH}|{STATES}|{WISHES}|{TURNS}|{NOBODYS}|{RIDDLES})(?![\w-])",
    re.IGNORECASE,
)

Text = tuple[str, str]
"""Where a text is, and the text."""

ALLOWED: Mapping[str, str] = {
    "Frequently asked questions": "the title that readers search for",
    "hear the others": "a name that the glossary lists as wrong",
}
"""Phrases with such a word that stay, each with the reason."""
NO_TEXT = re.compile(r"redis\.call|\battempt\(|unpack\(KEYS\)|COMP_WORDS|commandline -opc|_arguments -C")
"""What marks a literal of the code as a program: a script for Redis or for a shell."""


def found(text: str) -> list[str]:
    """Return the banned words of a text, without those in phrases that are allowed."""
    for phrase in ALLOWED:
        text = re.sub(re.escape(phrase), "", text, flags=re.IGNORECASE)
    return BANNED.findall(text)


def code() -> Iterator[Text]:
    """Return the literals with a blank in them: flags' help, descriptions, errors, hints, findings, the demo.

    Also those that are a word for a person and nothing else.
    """
    for path in sorted((ROOT / "sidecar").rglob("*.py")):
        tree = ast.parse(path.read_text())
        skipped = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}  # docstrings
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                skipped |= {id(part) for part in node.values}
                text = "".join(
                    str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values
                )
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in skipped:
                text = node.value
            else:
                continue
            is_text = " " in text.strip() or PERSON.fullmatch(text.strip())
            if is_text and not NO_TEXT.search(text):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", text


_LITERALS = re.compile(r'"([^"]*)"|[`}]([^`$"{}=()]* [^`$"{}=()]*)(?=[`$])')
"""The literals of a line of JavaScript, and what a template literal has between its values."""


class _Visible(HTMLParser):
    """Collects the texts of a page, of its attributes, and the literals of its script that have a blank."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[Text] = []
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note where the next text is, and read the attributes that users see."""
        self._inside = tag
        for name, value in attrs:
            if name in {"title", "placeholder", "aria-label"} and value:
                self._add(value)

    def handle_data(self, data: str) -> None:
        """Read a text, or the literals of a script."""
        if self._inside == "script":
            for line in data.splitlines():
                for quoted, between in _LITERALS.findall(re.sub(r"(?:^|\s)//.*", "", line)):
                    self._add(quoted or between)
        elif self._inside != "style":
            self._add(data)

    def _add(self, text: str) -> None:
        self.texts.append((f"sidecar/admin/page.html:{self.getpos()[0]}", text))


def live_page() -> Iterator[Text]:
    """Return what the live page shows."""
    visible = _Visible()
    visible.feed((ROOT / "sidecar/admin/page.html").read_text())
    yield from visible.texts


def chart() -> Iterator[Text]:
    """Return the texts of alerts and dashboard, the comments on values, the notes, and reasons of refusal."""
    rules = yaml.safe_load((ROOT / "helm/rules/credential-sidecar.yaml").read_text())
    for rule in chain.from_iterable(group["rules"] for group in rules["groups"]):
        for name, text in rule["annotations"].items():
            yield f"helm/rules {rule['alert']} {name}", text
    dashboard = (ROOT / "helm/dashboards/credential-sidecar.json").read_text()
    for _, text in re.findall(r'"(title|description|text|legendFormat)": (".*")', dashboard):
        yield "helm/dashboards", json.loads(text)
    comments = re.sub(r"\n *# ?", " ", (ROOT / "helm/values.yaml").read_text())
    for text in comments.splitlines():
        yield "helm/values.yaml", text
    for path in sorted((ROOT / "helm/templates").iterdir()):
        text = path.read_text()
        if path.suffix == ".txt":
            yield f"helm/templates/{path.name}", re.sub(r"\{\{.*?\}\}", "{}", text, flags=re.DOTALL)
        for reason in re.findall(r'fail \(?(?:printf )?"([^"]+)"', text):
            yield f"helm/templates/{path.name}", reason


def pages() -> Iterator[Text]:
    """Return the paragraphs of the pages, without code blocks and code spans, which quote."""
    for name in PAGES:
        text = re.sub(r"^( *)```.*?^\1```$", "", (ROOT / name).read_text(), flags=re.DOTALL | re.MULTILINE)
        for paragraph in re.split(r"\n\s*\n|\n(?=\s*[-|*] )|\n(?=\|)", text):
            yield name, " ".join(re.sub(r"`[^`]*`", "``", paragraph).split())


SURFACES: Mapping[str, Callable[[], Iterator[Text]]] = {
    "code": code,
    "live page": live_page,
    "chart": chart,
    "pages": pages,
}


@pytest.mark.parametrize("surface", SURFACES)
def test_users_read_plain_words(surface: str) -> None:
    """A text names the component or the reader, and the operation: no riddle, no person in the place of a part."""
    assert [(where, words, text) for where, text in SURFACES[surface]() if (words := found(text))] == []


@pytest.mark.parametrize("phrase", ALLOWED)
def test_each_exception_is_needed(phrase: str) -> None:
    """An exception that no text uses is deleted."""
    assert any(phrase.casefold() in text.casefold() for texts in SURFACES.values() for _, text in texts())
