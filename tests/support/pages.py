"""The pages that users read: README.md, the others of the top level, the chart's, and all of docs/."""

import re
from pathlib import Path

from tests import ROOT

PAGES = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "helm/README.md",
    *sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md")),
)
GENERATED = frozenset(
    ROOT / f"docs/reference/{name}.md"
    for name in (
        "cli",
        "configuration",
        "dialects",
        "environment",
        "errors",
        "glossary",
        "limits",
        "log-events",
        "metrics",
        "redis-keys",
        "status-api",
        "token-api",
    )
)
"""The pages that `make reference` writes. Others link to them by these names."""


def fences(page: Path) -> list[tuple[str, str]]:
    """Return the page's fenced code blocks, each with its language, in order."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)


def blocks(page: Path, language: str) -> list[str]:
    """Return the page's code blocks of one language."""
    return [text for found, text in fences(page) if found == language]


def documented_rules() -> list[str]:
    """Return the rules of `ACL SETUSER` for the sidecar's user in Redis, as users copy them."""
    text = (ROOT / "docs/how-to/share-through-redis.md").read_text()
    return text.split("`ACL SETUSER`")[1].split("```")[1].split()
