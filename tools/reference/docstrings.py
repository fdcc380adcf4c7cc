"""Docstrings as Markdown: prose, and what the sections say about each name."""

from __future__ import annotations

import inspect
import re
from typing import Any, NamedTuple

__all__ = ["Prose", "attributes", "flat", "markdown", "prose_of"]

SECTIONS = ("Args", "Attributes", "Raises", "Returns", "Yields")
ROLE = re.compile(r":(?:class|meth|func|mod|attr|data|exc):`~?\.?([^`]+)`")
ITEM = re.compile(r"(?ms)^(\*{0,2}\w[\w, *]*): (.*?)(?=^\*{0,2}\w[\w, *]*: |\Z)")


class Prose(NamedTuple):
    """A docstring, taken apart.

    Attributes:
        text: what stands before the sections, as Markdown.
        sections: for each section its items, name and meaning; an empty name for one that has none.
    """

    text: str
    sections: dict[str, list[tuple[str, str]]]


def prose_of(thing: Any) -> Prose:
    """The docstring of a class, function or module, without those it inherits."""
    text = inspect.cleandoc(getattr(thing, "__doc__", None) or "")
    parts = re.split(rf"(?m)^({'|'.join(SECTIONS)}):\n", text)
    sections: dict[str, list[tuple[str, str]]] = {}
    # What follows a section without being indented belongs to the prose.
    rest = [parts[0]]
    for name, body in zip(parts[1::2], parts[2::2], strict=True):
        indented = re.compile(r"(?:    .*(?:\n|\Z)|\n)*").match(body)
        end = indented.end() if indented else 0
        items = inspect.cleandoc(body[:end])
        named = [(item[1], flat(item[2])) for item in ITEM.finditer(items)]
        whole = name in {"Returns", "Yields"} or not named
        sections[name] = [("", flat(items))] if whole else named
        rest.append(body[end:])
    return Prose(markdown("\n".join(rest)), sections)


def attributes(cls: type[Any]) -> dict[str, str]:
    """What the docstrings of a class and of its bases say about each field."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        for names, meaning in prose_of(base).sections.get("Attributes", ()):
            for name in names.split(", "):
                found[name] = meaning
    return found


def markdown(text: str) -> str:
    """Text of a docstring as Markdown: roles and literals become code, literal blocks fences."""
    text = ROLE.sub(lambda role: f"`{role[1].rpartition('.')[2]}`", text)
    text = re.sub(r"``([^`]+)``", r"`\1`", text)
    text = re.sub(r"(?m)::\n\n((?:    .*\n?|\n)+)", _fence, text)
    return text.strip()


def flat(text: str) -> str:
    """The same on one line, for a cell of a table."""
    return " ".join(markdown(text).split()).replace("|", r"\|")


def _fence(block: re.Match[str]) -> str:
    return f":\n\n```text\n{inspect.cleandoc(block[1])}\n```\n"
