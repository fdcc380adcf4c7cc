"""``alicia events remove``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import click

from alicia_scheduler.cli.door import Door, door_options
from alicia_scheduler.cli.output import fail, json_option, printable
from alicia_scheduler.cli.selection import chosen, selection_options, steer

__all__ = ["remove"]

NAMED = 10
"""Ids that the question names at the most."""


@click.command("remove")
@selection_options
@click.option("--yes", is_flag=True, help="Do not ask.")
@door_options
@json_option
def remove(events: tuple[str, ...], tag: str | None, yes: bool, door: Door, as_json: bool) -> None:
    """Remove events; what of them is under way is cancelled, their history stays.

    Asks on a terminal. Events of a configuration file are removed there. Needs a running host.
    """
    selected = chosen(events, tag)
    if not yes and sys.stdin.isatty() and not _sure(door, selected):
        fail("nothing is removed")
    steer(door, "events/delete", selected, _removed, as_json=as_json)


def _sure(door: Door, selected: Mapping[str, Any]) -> bool:
    page = door.ask("events/list", limit=1000, **selected)
    found = [record["event_id"] for record in page["events"]]
    if not found:
        return True  # the host says what is wrong with the selection
    names = ", ".join(map(printable, found[:NAMED]))
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    many = " (and more)" if page["next"] is not None else ""
    noun = "event" if len(found) == 1 else f"{len(found)}{many} events"
    return click.confirm(f"Remove {noun}: {names}{more}?", err=True)


def _removed(item: Mapping[str, Any]) -> Iterator[str]:
    yield f"{item['event_id']}: removed"
