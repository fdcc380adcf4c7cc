"""``alicia explain``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import click

from alicia_scheduler.api.model import from_epoch
from alicia_scheduler.api.zones import load_timezone
from alicia_scheduler.cli.completion import complete_events
from alicia_scheduler.cli.door import Door, door_options
from alicia_scheduler.cli.moments import moment, zoned_time
from alicia_scheduler.cli.output import fail, json_option, print_json, print_table, printable
from alicia_scheduler.cli.subjects import History, Surroundings
from alicia_scheduler.foresight.explanation import explain, slot_near
from alicia_scheduler.foresight.subject import Subject

__all__ = ["explain_command"]

HISTORY_LIMIT = 1000
"""Executions of the event, up to a slot, that are looked through for what tells of it."""


@click.command("explain")
@click.argument("event", shell_complete=complete_events)
@click.argument("time", required=False)
@door_options
@json_option
def explain_command(event: str, time: str | None, door: Door, as_json: bool) -> None:
    """Say why EVENT runs, or does not, at TIME: each filter in order with its verdict.

    A time that is past is answered from the history, one to come by what the planner will look
    at. Without TIME: the last slot that has a record, and the next one. A TIME without an offset
    is one of the event's zone. A host that runs is asked, unless --config names a file; without one
    the answer comes from the file and the state directory.
    """
    answer = _asked(door, event, time) if door.asks else _found(door, event, time)
    if as_json:
        print_json(answer)
        return
    if not answer["slots"]:
        fail(f"{event} has no slot from now on, and the history none before")
    for number, slot in enumerate(answer["slots"]):
        if number:
            click.echo("")
        _print(event, slot, load_timezone(answer["timezone"]))


def _asked(door: Door, event: str, time: str | None) -> dict[str, Any]:
    """The answer of the host."""
    if time is None:
        return dict(door.ask("explain", event_id=event))
    # A time without an offset is one of the event's zone, which the host knows.
    zone = load_timezone(door.ask("preview", event_id=event, count=1)["timezone"])
    return dict(door.ask("explain", event_id=event, at=moment(time, zone).isoformat()))


def _found(door: Door, event: str, time: str | None) -> dict[str, Any]:
    """The answer of the command `explain`, worked out here."""
    now = datetime.now(UTC)
    with Surroundings.of(door.config, door.state_dir).saved(event) as (subject, history):
        if time is not None:
            slots = [slot_near(subject, moment(time, subject.zone))]
        else:
            slots = _last_and_next(subject, history, now)
        answers = [
            explain(subject, slot, now, history.executions(HISTORY_LIMIT, until=slot))
            for slot in slots
        ]
    return {
        "event_id": event,
        "timezone": subject.zone.key,
        "slots": [answer.to_wire() for answer in answers],
    }


def _last_and_next(subject: Subject, history: History, now: datetime) -> list[datetime]:
    last = history.executions(1)
    following = subject.state.next_run or subject.schedule.next_after(now)
    found = {last[0].scheduled_time} if last else set()
    if following is not None:
        found.add(following)
    return sorted(found)


def _print(event: str, slot: Mapping[str, Any], zone: ZoneInfo) -> None:
    when = zoned_time(from_epoch(slot["slot"]), zone)
    click.echo(printable(f"{event} at {when}: {slot['outcome']}"))
    print_table(
        ["FILTER", "VERDICT", "WHY"],
        [
            [item["filter"], "passes" if item["passed"] else "stops", item["why"]]
            for item in slot["verdicts"]
        ],
    )
