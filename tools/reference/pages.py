"""All pages that are made of the code, by file name."""

from __future__ import annotations

from tools.reference.configuration import configuration_page
from tools.reference.failures import failures
from tools.reference.interface import interface_pages
from tools.reference.notifications import notifications_page
from tools.reference.options import option_pages

__all__ = ["MADE", "pages"]

MADE = "% Made of the code: make reference. Do not edit."
"""A comment below the title of each such page."""


def pages() -> dict[str, str]:
    """Every page by its name in ``docs/reference``."""
    made = interface_pages() | option_pages()
    made["errors.md"] += "\n\n" + failures()
    made["notifications.md"] = notifications_page()
    made["configuration.md"] = configuration_page()
    return {name: _finished(text) for name, text in sorted(made.items())}


def _finished(text: str) -> str:
    title, _, rest = text.partition("\n")
    lines = [line.rstrip() for line in f"{title}\n\n{MADE}\n{rest}".split("\n")]
    return "\n".join(line for n, line in enumerate(lines) if line or lines[n - 1]).strip() + "\n"
