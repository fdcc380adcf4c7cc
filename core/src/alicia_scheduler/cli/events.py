"""``alicia events``: what events there are, and steering them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import click
import msgspec

from alicia_scheduler.api.model import EventState, ScheduledEvent, from_epoch
from alicia_scheduler.cli.adding import add
from alicia_scheduler.cli.completion import complete_events
from alicia_scheduler.cli.door import Door, door_options
from alicia_scheduler.cli.editing import edit
from alicia_scheduler.cli.listing import listed_events, one_event
from alicia_scheduler.cli.moments import span
from alicia_scheduler.cli.output import (
    EXIT_NO,
    json_option,
    local_time,
    print_json,
    print_table,
    printable,
)
from alicia_scheduler.cli.relative import told_time
from alicia_scheduler.cli.removing import remove
from alicia_scheduler.cli.selection import chosen, selection_options, steer
from alicia_scheduler.cli.trial import test

__all__ = ["events", "standing", "until_text"]

FOR_EVER_YEARS = 9000
"""A pause until a year beyond is one without end."""


@click.group()
def events() -> None:
    """Scheduled events."""


@events.command("list")
@selection_options
@door_options
@json_option
def list_events(events: tuple[str, ...], tag: str | None, door: Door, as_json: bool) -> None:
    """List events with their next and last run: all, or those selected. Needs no running host."""
    found = listed_events(door, events, tag)
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("no events" if events or tag else "no events yet; `alicia events add` makes one")
        return
    print_table(
        ["EVENT", "NAME", "SCHEDULE", "NEXT RUN", "LAST RUN", "LAST STATUS", "RUNS", "FAILED"],
        [_row(record) for record in found],
    )


@events.command("show")
@click.argument("event", shell_complete=complete_events)
@door_options
@json_option
def show(event: str, door: Door, as_json: bool) -> None:
    """Show one event: what it is beyond the defaults, how it stands. Needs no running host."""
    record = one_event(door, event)
    if as_json:
        print_json(record)
        return
    for label, value in _facts(record):
        if value not in (None, "", "-"):
            click.echo(f"{label:<16}{printable(str(value))}")


@events.command("enable")
@selection_options
@door_options
@json_option
def enable(events: tuple[str, ...], tag: str | None, door: Door, as_json: bool) -> None:
    """Let events run again that are disabled. Needs a running host."""
    steer(door, "events/enable", chosen(events, tag), _switched, as_json=as_json)


@events.command("disable")
@selection_options
@door_options
@json_option
def disable(events: tuple[str, ...], tag: str | None, door: Door, as_json: bool) -> None:
    """Let events run no more, until they are enabled. Needs a running host."""
    steer(door, "events/disable", chosen(events, tag), _switched, as_json=as_json)


@events.command("trigger")
@selection_options
@door_options
@json_option
def trigger(events: tuple[str, ...], tag: str | None, door: Door, as_json: bool) -> None:
    """Run events now, by their own rules of overlap. Needs a running host."""

    def say(item: Mapping[str, Any]) -> Iterator[str]:
        for execution in item["executions"]:
            why = f": {execution['error_message']}" if execution["error_message"] else ""
            yield (
                f"{item['event_id']}: execution {execution['execution_id']} "
                f"{execution['status']}{why}"
            )

    steer(door, "events/trigger", chosen(events, tag), say, as_json=as_json)


@events.command("skip")
@selection_options
@click.option("--undo", is_flag=True, help="Take the last skip back.")
@door_options
@json_option
def skip(events: tuple[str, ...], tag: str | None, undo: bool, door: Door, as_json: bool) -> None:
    """Skip the next slot of events that is not skipped yet. Needs a running host.

    Exits 1 when one of them has no slot to skip, or to take back.
    """
    _skip_or_not(door, chosen(events, tag), undo=undo, as_json=as_json)


@events.command("unskip")
@selection_options
@door_options
@json_option
def unskip(events: tuple[str, ...], tag: str | None, door: Door, as_json: bool) -> None:
    """Take the last skip of events back, as `skip --undo`. Needs a running host."""
    _skip_or_not(door, chosen(events, tag), undo=True, as_json=as_json)


def _skip_or_not(door: Door, selected: dict[str, Any], *, undo: bool, as_json: bool) -> None:
    def say(item: Mapping[str, Any]) -> Iterator[str]:
        if item["slot"] is None:
            yield f"{item['event_id']}: no slot to {'take back' if undo else 'skip'}"
        else:
            what = "runs" if undo else "is skipped"
            yield f"{item['event_id']}: the slot {told_time(from_epoch(item['slot']))} {what}"

    command = "events/unskip" if undo else "events/skip"
    answer = steer(door, command, selected, say, as_json=as_json)
    if any(item["slot"] is None for item in answer["done"]):
        sys.exit(EXIT_NO)


@events.command("pause")
@selection_options
@click.option("--until", help="An instant, as 2026-12-24T18:00+01:00; default: until resumed.")
@click.option("--for", "length", callback=span, help="How long: 90s, 15m, 24h, 30d.")
@door_options
@json_option
def pause(
    events: tuple[str, ...],
    tag: str | None,
    until: str | None,
    length: timedelta | None,
    door: Door,
    as_json: bool,
) -> None:
    """Let no slot of events run for a while. Needs a running host."""
    steer(
        door,
        "events/pause",
        chosen(events, tag),
        _paused,
        as_json=as_json,
        **pause_length(until, length),
    )


@events.command("resume")
@selection_options
@door_options
@json_option
def resume(events: tuple[str, ...], tag: str | None, door: Door, as_json: bool) -> None:
    """End the pause of events. Needs a running host."""
    steer(door, "events/resume", chosen(events, tag), _paused, as_json=as_json)


for _command in (add, edit, remove, test):
    events.add_command(_command)


def pause_length(until: str | None, length: timedelta | None) -> dict[str, Any]:
    """The arguments of a pause command for the options of a pause.

    Raises:
        click.UsageError: both are given.
    """
    if until is not None and length is not None:
        raise click.UsageError("give --until or --for, not both")
    if length is not None:
        return {"duration": length.total_seconds()}
    return {"until": until} if until is not None else {}


def until_text(paused_until: float | None) -> str:
    """What an instant up to which something is paused says."""
    if paused_until is None:
        return "runs again"
    instant = from_epoch(paused_until)
    if instant.year >= FOR_EVER_YEARS:
        return "paused until it is resumed"
    return f"paused until {local_time(instant)}, which is {told_time(instant).split(' (')[0]}"


def standing(record: Mapping[str, Any], now: datetime | None = None) -> str:
    """When an event runs next, or why it does not."""
    paused = record["paused_until"]
    if not record["enabled"]:
        return "disabled"
    if record["anchor"] is None:
        return "unresolved"
    following = told_time(_instant(record["next_run"]), now)
    if paused is not None and record["next_run"] is not None and record["next_run"] <= paused:
        return "paused"
    return following


def _paused(item: Mapping[str, Any]) -> Iterator[str]:
    yield f"{item['event_id']}: {until_text(item['paused_until'])}"


def _switched(item: Mapping[str, Any]) -> Iterator[str]:
    state = "enabled" if item["enabled"] else "disabled"
    following = _instant(item.get("next_run"))
    after = f", runs {told_time(following)}" if following and item["enabled"] else ""
    yield f"{item['event_id']}: {state}{after}"


def _instant(seconds: float | None) -> datetime | None:
    return None if seconds is None else from_epoch(seconds)


def _row(record: Mapping[str, Any]) -> list[str]:
    return [
        record["event_id"],
        record["name"],
        record["schedule_type"],
        standing(record),
        told_time(_instant(record["last_run"])),
        record["last_status"] if record["run_count"] else "never",
        str(record["run_count"]),
        str(record["failure_count"]),
    ]


def _facts(record: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "event", f"{record['event_id']} (revision {record['revision']}, {record['origin']})"
    yield "next run", standing(record)
    if record["paused_until"] is not None:
        yield "pause", until_text(record["paused_until"])
    if record["skip_slots"]:
        yield "skipped slots", ", ".join(local_time(from_epoch(s)) for s in record["skip_slots"])
    yield "last run", told_time(_instant(record["last_run"]))
    yield "last status", record["last_status"] if record["run_count"] else "never run"
    runs = f"{record['run_count']}: {record['success_count']} completed"
    yield "runs", f"{runs}, {record['failure_count']} failed"
    yield "failing since", told_time(_instant(record["failing_since"]))
    ours = {"event_id", "revision", "origin", "enabled", *EventState.__struct_fields__}
    usual = {item.name: item.default for item in msgspec.structs.fields(ScheduledEvent)}
    for name, value in record.items():
        if name in ("created_at", "updated_at", "starts_at", "ends_at"):
            yield name.replace("_", " "), told_time(_instant(value))
        elif name not in ours and value not in (None, [], "", {}, usual.get(name)):
            yield name.replace("_", " "), _shown(value)


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return msgspec.json.encode(value).decode()
