"""How Sphinx builds the site: `make docs`. A link that leads nowhere is an error."""

import os
import re
from pathlib import Path

from sphinx.application import Sphinx

project = "Credential sidecar"
extensions = ["myst_parser"]
myst_heading_anchors = 4
highlight_language = "none"
html_theme = "furo"
html_title = project
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False

SOURCE = os.environ.get("SOURCE", "")
"""URL of the repository. Links to files outside of this folder lead there. Unset: the site has copies of the files."""
_LINK = re.compile(r"(?<!!)(\[[^]]*\])\(((?:\.\./)+[^)#]+)(#[^)]*)?\)")


def _leave(app: Sphinx, name: str, source: list[str]) -> None:
    """Rewrite links that leave this folder; the pages themselves have relative links, for the forge."""
    folder = (app.srcdir / name).parent

    def rewritten(link: re.Match[str]) -> str:
        text, path, anchor = link[1], link[2], link[3] or ""
        target = (folder / path).resolve()
        if target.is_relative_to(app.srcdir):
            return link[0]
        place = target.relative_to(Path(app.srcdir).parent)
        return f"{text}({SOURCE}/blob/HEAD/{place}{anchor})" if SOURCE else f"{text}(path:{path})"

    source[0] = _LINK.sub(rewritten, source[0])


def setup(app: Sphinx) -> None:
    """Register what is special here."""
    app.connect("source-read", _leave)
