"""How the command line prints: JSON for machines, aligned columns for people."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime
from typing import NoReturn

import click
import msgspec

__all__ = [
    "EXIT_NO",
    "EXIT_NO_HOST",
    "fail",
    "local_time",
    "print_json",
    "print_table",
    "printable",
]

EXIT_NO = 1
"""Exit code for "the answer is no"; 0 is ok, 2 wrong usage."""

EXIT_NO_HOST = 3
"""Exit code for a command that needs a running host when there is none."""


def print_json(value: object) -> None:
    """Print one JSON document, indented."""
    encoded = msgspec.json.format(msgspec.json.encode(value), indent=2)
    click.echo(encoded.decode())


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows below headings, in columns as wide as their widest cell."""
    cells = [list(headings), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headings))]
    for row in cells:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo(line.rstrip())


def printable(text: str) -> str:
    """``text`` on one line, without control characters, which could drive a terminal."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def local_time(instant: datetime | None) -> str:
    """An instant as local ISO time with its offset, or a dash."""
    return instant.astimezone().isoformat(sep=" ", timespec="seconds") if instant else "-"


def fail(message: str, code: int = EXIT_NO) -> NoReturn:
    """Say what is wrong on stderr and end with ``code``."""
    click.echo(f"alicia: {message}", err=True)
    sys.exit(code)
