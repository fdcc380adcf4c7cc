"""Every fenced block of every page.

What stands behind the language says what a test does with the block:

- ``file=NAME``: the block is a file that the commands of its page find;
- ``host``: commands that a host answers, which runs with the page's ``home.toml``;
- ``background``: a command that goes on while the rest of the page is played;
- ``until=NAME``: the same, over as soon as there is a file ``NAME``;
- ``no-run: why``: nothing can run it here.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FENCE = re.compile(r"(?ms)^(?P<mark>`{3,})(?P<info>[^\n`]*)\n(?P<text>.*?)^(?P=mark)$")


class Fence(NamedTuple):
    """A fenced block.

    Attributes:
        page: its page, relative to the repository.
        number: counts the blocks of the page from 1.
        language: the first word behind the fence.
        words: the rest of that line.
        text: what it holds.
    """

    page: str
    number: int
    language: str
    words: str
    text: str

    @property
    def file(self):
        """The name of the file that it is, or None."""
        found = re.search(r"file=(\S+)", self.words)
        return found[1] if found else None

    @property
    def reason(self):
        """Why nothing can run it here, or None."""
        return self.words.partition("no-run: ")[2] or None

    def __str__(self):
        return f"{self.page.removeprefix('docs/')}:{self.number}"


def pages():
    """Every page that people read: the first screen, the documentation, the plugins' own."""
    made = [page for page in DOCS.rglob("*.md") if "_build" not in page.parts]
    return [ROOT / "README.md", *sorted(made), *sorted(ROOT.glob("plugins/*/README.md"))]


def fences(page):
    """The blocks of a page."""
    name = str(page.relative_to(ROOT))
    return [
        Fence(name, number, *_info(found["info"]), found["text"])
        for number, found in enumerate(FENCE.finditer(page.read_text("utf-8")), 1)
    ]


def all_fences(*languages):
    """The blocks of all pages in some languages, without those that nothing can run."""
    return [
        fence
        for page in pages()
        for fence in fences(page)
        if fence.language in languages and fence.reason is None
    ]


def _info(line):
    language, _, words = line.strip().partition(" ")
    return language, words
