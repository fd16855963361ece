"""`make reference`: write the manual page, and the parts of README.md that follow from the code, between markers.

Tests hold them in step.
"""

from textwrap import fill

from sidecar.fleet.redis.permissions import rules
from tests import ROOT
from tests.support.programs import manual
from tests.support.programs.pages import every_page

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
    every_page.write()
