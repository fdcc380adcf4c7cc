"""``alicia pause``, ``resume``, ``reload`` and ``backup``: the running host as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from alicia_scheduler.cli.door import Door, door_options
from alicia_scheduler.cli.events import pause_length, until_text
from alicia_scheduler.cli.health import size_text
from alicia_scheduler.cli.moments import span
from alicia_scheduler.cli.output import json_option, patience, print_json, printable

__all__ = ["backup", "pause", "reload", "resume"]

PATIENCE = 600.0
"""Seconds that reading a configuration or copying a store may take on a slow disk."""


@click.command()
@click.option("--until", help="An instant, as 2026-12-24T18:00+01:00; default: until resumed.")
@click.option("--for", "length", callback=span, help="How long: 90s, 15m, 24h, 30d.")
@door_options
@json_option
def pause(until: str | None, length: timedelta | None, door: Door, as_json: bool) -> None:
    """Let no slot of any event run, also over a restart; each is recorded as skipped.

    What is under way goes on, and `alicia events trigger` still runs an event.
    """
    _say_pause(door.ask("scheduler/pause", **pause_length(until, length)), as_json=as_json)


@click.command()
@door_options
@json_option
def resume(door: Door, as_json: bool) -> None:
    """Let the whole schedule run again; slots that passed meanwhile are not run."""
    _say_pause(door.ask("scheduler/resume"), as_json=as_json)


@click.command()
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@door_options
@json_option
def reload(dry_run: bool, door: Door, as_json: bool) -> None:
    """Read the configuration of the running host again and apply what differs.

    It is applied as a whole or, with a mistake in it, not at all. What runs is not touched.
    """
    with patience("reading the configuration"):
        plan = door.ask("scheduler/reload", timeout=PATIENCE, dry_run=dry_run)
    if as_json:
        print_json(plan)
        return
    lines = list(_plan_lines(plan))
    for line in lines:
        click.echo(printable(line))
    if not lines:
        click.echo("nothing differs")
    elif plan["applied"]:
        click.echo("applied")
    else:
        click.echo("nothing is applied yet; leave --dry-run out to do it")


@click.command()
@click.argument("path", required=False, type=click.Path())
@door_options
@json_option
def backup(path: str | None, door: Door, as_json: bool) -> None:
    """Copy the store of the running host to PATH, a new file, while it is used.

    By default into the folder `backups` of its state directory. The host writes the file, with its
    own rights, on its own machine.
    """
    if path is not None and not door.remote:
        path = str(Path(path).absolute())
    arguments = {} if path is None else {"path": path}
    with patience("copying"):
        answer = door.ask("backup", timeout=PATIENCE, **arguments)
    if as_json:
        print_json(answer)
        return
    click.echo(f"{printable(answer['path'])}: {size_text(answer['size'])}")


def _say_pause(answer: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(answer)
    else:
        click.echo(f"the whole schedule {_verb(until_text(answer['paused_until']))}")


def _verb(text: str) -> str:
    return f"is {text}" if text.startswith("paused") else text


def _plan_lines(plan: Mapping[str, Any]) -> Iterator[str]:
    for event_id in plan["created"]:
        yield f"+ {event_id}: new"
    for edited in plan["updated"]:
        yield f"~ {edited['event_id']}: {', '.join(edited['fields'])}"
    for event_id in plan["removed"]:
        yield f"- {event_id}: removed"
    for sentence in plan["settings"]:
        yield f"* {sentence}"
    for sentence in plan["at_next_start"]:
        yield f"* with the next start of the host: {sentence}"
    for sentence in plan["unresolved"]:
        yield f"! unresolved: {sentence}"
