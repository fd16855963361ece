"""`make reference`: write the manual page, the page of incidents, and the generated parts of the how-to pages, between
markers.

Tests hold them in step.
"""

from textwrap import fill

from sidecar.fleet.redis.permissions import rules
from tests import ROOT
from tests.support.programs import manual
from tests.support.programs.pages import every_page, incidents

PAGE = ROOT / "docs/how-to/share-through-redis.md"
WIDTH = 125


def page() -> str:
    """Return the page with these parts as they must be."""
    text = PAGE.read_text()
    for name, content in (("acl", acl()),):
        before, _, rest = text.partition(f"<!-- {name} -->\n")
        _, _, after = rest.partition(f"<!-- /{name} -->\n")
        text = f"{before}<!-- {name} -->\n{content}<!-- /{name} -->\n{after}"
    return text


def acl() -> str:
    """Return the rules of the sidecar's user in Redis, as a block of Markdown."""
    line = " ".join(("on", ">secret", *rules()))
    return f"```\n{fill(line, WIDTH, break_long_words=False, break_on_hyphens=False)}\n```\n"


if __name__ == "__main__":
    PAGE.write_text(page())
    manual.PAGE.write_text(manual.page())
    every_page.write()
    incidents.PAGE.write_text(incidents.text())
