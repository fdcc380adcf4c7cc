"""How the command line prints: JSON for machines, columns for people, colour on a terminal."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import TYPE_CHECKING, Any, NoReturn

import click
import msgspec

from alicia_scheduler.api.control import CommandError

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "EXIT_NO",
    "EXIT_NO_HOST",
    "EXIT_USAGE",
    "complain",
    "console",
    "fail",
    "json_option",
    "local_time",
    "patience",
    "print_json",
    "print_table",
    "printable",
    "refuse",
    "styled",
]

EXIT_NO = 1
"""Exit code for "the answer is no"; 0 is ok."""

EXIT_USAGE = 2
"""Exit code for wrong usage."""

EXIT_NO_HOST = 3
"""Exit code for a command that needs a running host when there is none."""

STYLES = {
    "completed": "green",
    "active": "green",
    "running": "cyan",
    "pending": "cyan",
    "failed": "bold red",
    "failing": "bold red",
    "broken": "bold red",
    "interrupted": "red",
    "missed": "yellow",
    "skipped": "yellow",
    "cancelled": "yellow",
    "paused": "yellow",
    "disabled": "dim",
    "unresolved": "yellow",
}
"""How such a word looks where there is colour."""

TELLING = frozenset(("STATUS", "LAST STATUS", "NEXT RUN", "DISPOSITION"))
"""Headings of the columns in which these words are a status, and no name of something."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
"""The option that every command with an answer has."""


def print_json(value: object) -> None:
    """Print one JSON document, indented. What could drive a terminal is escaped in it."""
    encoded = msgspec.json.format(msgspec.json.encode(value), indent=2)
    click.echo(escaped_json(encoded.decode()))


def escaped_json(document: str) -> str:
    """The same JSON, in which what is no visible character is written as ``\\uXXXX``."""
    return re.sub(r"[^\n\x20-\x7e]", _escaped, document)


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    if character.isprintable():
        return character
    raw = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{raw[at]:02x}{raw[at + 1]:02x}" for at in range(0, len(raw), 2))


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows below headings: a table as wide as the terminal, or plain columns, as wide as
    their widest cell, into a pipe or a file."""
    cells = [[printable(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        console().print(_rich_table(headings, cells))
        return
    everything = [list(headings), *cells]
    widths = [max(len(row[column]) for row in everything) for column in range(len(headings))]
    for row in everything:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo(line.rstrip())


def _rich_table(headings: Sequence[str], cells: Sequence[Sequence[str]]) -> Any:
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for row in cells:
        table.add_row(*(styled(cell, column) for cell, column in zip(row, headings, strict=True)))
    return table


def styled(cell: str, heading: str) -> Any:
    """A cell as rich's text: never read as markup, and coloured when it tells a status."""
    from rich.text import Text

    style = STYLES.get(cell, "") if heading in TELLING else ""
    return Text(printable(cell), style=style)


def console(*, stderr: bool = False) -> Console:
    """What draws on this terminal; without any colour or style where ``NO_COLOR`` is set."""
    from rich.console import Console

    plain = bool(os.environ.get("NO_COLOR"))
    return Console(
        color_system=None if plain else "auto",
        stderr=stderr,
        highlight=False,
        markup=False,
        emoji=False,
    )


def patience(what: str) -> AbstractContextManager[object]:
    """Show on a terminal that something goes on while the block runs; nothing elsewhere, and
    never on standard output."""
    if not sys.stderr.isatty():
        return nullcontext()
    return console(stderr=True).status(f"{what} …")


def printable(text: str) -> str:
    """``text`` on one line, without control characters, which could drive a terminal."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def local_time(instant: datetime | None) -> str:
    """An instant as local ISO time with its offset, or a dash."""
    return instant.astimezone().isoformat(sep=" ", timespec="seconds") if instant else "-"


def complain(message: str) -> None:
    """Say on stderr what went wrong, and go on."""
    click.echo("alicia: " + "\n".join(map(printable, message.splitlines())), err=True)


def fail(message: str, code: int = EXIT_NO) -> NoReturn:
    """Say what is wrong on stderr and end with ``code``."""
    complain(message)
    sys.exit(code)


def refuse(error: CommandError, message: str | None = None) -> NoReturn:
    """Say on stderr that a command was refused and end with 1; with ``--json`` the refusal is also
    the answer: the object ``error``, as every other door gives it.

    Args:
        message: for people, in place of the refusal's own words.
    """
    context = click.get_current_context(silent=True)
    if context is not None and context.params.get("as_json"):
        print_json({"error": error.to_json()})
    fail(message or str(error))
