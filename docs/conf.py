"""How Sphinx makes these pages. ``make docs`` runs it; every warning is an error."""

import re
from pathlib import Path

from pygments.lexers.special import TextLexer
from sphinx.application import Sphinx

project = "Alicia Scheduler"
author = "the Alicia Scheduler maintainers"
html_title = "Alicia Scheduler"

extensions = ["myst_parser"]
exclude_patterns = ["_build"]
source_suffix = {".md": "markdown"}

myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence"]

html_theme = "furo"
html_static_path = ["_static"]
html_copy_source = False
html_show_sphinx = False
# Nothing is fetched from elsewhere: the pages are read on machines without the internet.
html_theme_options = {"navigation_with_keys": True}
pygments_style = "friendly"
pygments_dark_style = "monokai"

ROOT = Path(__file__).parent.parent
PLUGINS = "reference/plugins/"


def bring_readme(_app: Sphinx, page: str, source: list[str]) -> None:
    """Put the README of a plugin before the options that its page lists, and let what links to
    a README lead to that page. In the repository the same links lead to the files."""
    up = "../" * page.count("/")
    if page.startswith(PLUGINS) and not page.endswith("/index"):
        readme = (ROOT / "plugins" / page.removeprefix(PLUGINS) / "README.md").read_text()
        readme = re.sub(r"\]\(\.\./([a-z-]+)/README\.md", r"](\1.md", readme)
        readme = readme.replace("](../../docs/", f"]({up}")
        source[0] = readme + "\n" + "".join(source[0].partition("## ")[1:])
    source[0] = re.sub(
        r"\]\((?:\.\./)+plugins/([a-z-]+)/README\.md", rf"]({up}{PLUGINS}\1.md", source[0]
    )
    # What else of the repository is linked to is no page here: its path has to do.
    outside = re.escape(f"{up}../")
    source[0] = re.sub(rf"\[([^\]]+)\]\({outside}([^.)][^)]*)\)", r"\1 (`\2`)", source[0])


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    for language in ("crontab", "websocket"):
        app.add_lexer(language, TextLexer)
    app.connect("source-read", bring_readme)
