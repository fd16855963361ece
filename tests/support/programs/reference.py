"""`make reference`: write the manual page, docs/reference, and the generated parts of README.md between markers.

Tests hold them in step.
"""

from collections.abc import Callable, Mapping
from textwrap import fill

from sidecar.fleet.redis.permissions import rules
from tests import ROOT
from tests.support.programs import manual
from tests.support.programs.pages import (
    cli,
    configuration,
    dialects,
    environment,
    errors,
    limits,
    log_events,
    metrics,
    redis_keys,
    status_api,
)

FOLDER = ROOT / "docs/reference"
PAGES: Mapping[str, Callable[[], str]] = {
    "configuration.md": configuration.text,
    "environment.md": environment.text,
    "cli.md": cli.text,
    "metrics.md": metrics.text,
    "log-events.md": log_events.text,
    "status-api.md": status_api.text,
    "errors.md": errors.text,
    "limits.md": limits.text,
    "redis-keys.md": redis_keys.text,
    "dialects.md": dialects.text,
}
BY_HAND = frozenset({"glossary.md"})
README = ROOT / "README.md"
WIDTH = 125


def readme() -> str:
    """Return the page with these parts as they must be."""
    page = README.read_text()
    for name, content in (("acl", acl()),):
        before, _, rest = page.partition(f"<!-- {name} -->\n")
        _, _, after = rest.partition(f"<!-- /{name} -->\n")
        page = f"{before}<!-- {name} -->\n{content}<!-- /{name} -->\n{after}"
    return page


def acl() -> str:
    """Return the rules of the sidecar's user in Redis, as a block of Markdown."""
    line = " ".join(("on", ">secret", *rules()))
    return f"```\n{fill(line, WIDTH, break_long_words=False, break_on_hyphens=False)}\n```\n"


if __name__ == "__main__":
    README.write_text(readme())
    manual.PAGE.write_text(manual.page())
    for name, text in PAGES.items():
        (FOLDER / name).write_text(text())
