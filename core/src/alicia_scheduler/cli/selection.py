"""Which events a verb is about: ids, patterns and tags, and what became of each of them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Any, TypeVar

import click

from alicia_scheduler.cli.completion import complete_events
from alicia_scheduler.cli.door import Door
from alicia_scheduler.cli.output import EXIT_NO, complain, print_json, printable

__all__ = ["chosen", "matches", "selection_options", "steer"]

F = TypeVar("F", bound=Callable[..., Any])

PATIENCE = 300.0
"""Seconds that a verb about many events may take."""


def selection_options(command: F) -> F:
    """Give a command ``EVENT…`` (ids or patterns) and ``--tag``."""
    command = click.option("--tag", help="All events with this tag.")(command)
    return click.argument("events", metavar="[EVENT]...", nargs=-1, shell_complete=complete_events)(
        command
    )


def chosen(events: tuple[str, ...], tag: str | None) -> dict[str, Any]:
    """The arguments that select so in any command.

    Raises:
        click.UsageError: nothing is selected.
    """
    if not events and tag is None:
        raise click.UsageError("name an event, several, a pattern such as 'lights-*', or --tag")
    found: dict[str, Any] = {"tag": tag} if tag is not None else {}
    if events:
        found["event_id"] = events[0] if len(events) == 1 else list(events)
    return found


def matches(record: Mapping[str, Any], events: Iterable[str], tag: str | None) -> bool:
    """Whether an event in its wire form is among the selected, of which none means all."""
    wanted = tuple(events)
    if tag is not None and tag not in record["tags"]:
        return False
    event_id = record["event_id"]
    return not wanted or any(event_id == item or fnmatchcase(event_id, item) for item in wanted)


def steer(
    door: Door,
    command: str,
    selected: Mapping[str, Any],
    say: Callable[[Mapping[str, Any]], Iterable[str]],
    *,
    as_json: bool,
    **arguments: Any,
) -> Mapping[str, Any]:
    """Have the host do something to the selected events and say what became of each; exits 1 when
    it could not be done to one of them, or there are none. Returns the answer.

    Args:
        say: the lines about one that it was done to.
    """
    answer = door.ask(command, timeout=PATIENCE, **selected, **arguments)
    done, failed = answer["done"], answer["failed"]
    if as_json:
        print_json(answer)
    else:
        for item in done:
            for line in say(item):
                click.echo(printable(line))
        for item in failed:
            complain(_refusal(item))
        if not done and not failed:
            complain("no event is selected by that; `alicia events list` shows them")
    if failed or not done:
        sys.exit(EXIT_NO)
    return dict(answer)


def _refusal(item: Mapping[str, Any]) -> str:
    error = item.get("error", item)
    message = error.get("message", error) if isinstance(error, Mapping) else error
    hint = error.get("hint") if isinstance(error, Mapping) else None
    about = item.get("event_id") or item.get("execution_id") or "?"
    return f"{about}: {message}{f' ({hint})' if hint else ''}"
