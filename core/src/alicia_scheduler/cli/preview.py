"""``alicia preview``."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import click

from alicia_scheduler.api.errors import ConfigError
from alicia_scheduler.api.model import from_epoch
from alicia_scheduler.api.zones import load_timezone
from alicia_scheduler.cli.completion import complete_events
from alicia_scheduler.cli.door import Door, door_options
from alicia_scheduler.cli.moments import finite, moment, zoned_time
from alicia_scheduler.cli.output import fail, json_option, print_json, print_table, printable
from alicia_scheduler.cli.subjects import Surroundings, written_config
from alicia_scheduler.foresight.preview import Row, preview_rows
from alicia_scheduler.foresight.subject import Subject

__all__ = ["preview"]

RANGE_LIMIT = 1000
"""Slots that a range shows unless told otherwise."""


@click.command()
@click.argument("event", shell_complete=complete_events)
@click.argument("spec", required=False)
@click.option("-n", "--count", type=click.IntRange(1, 100_000), help="How many slots; default 10.")
@click.option("--from", "begin", default="now", help="Slots after this instant; default now.")
@click.option("--to", "end", help="Slots up to and with this instant.")
@click.option("--all", "with_excluded", is_flag=True, help="Show excluded slots, marked, as well.")
@click.option("--timezone", help="IANA name of the zone of an unsaved SPEC.")
@click.option("--exclude", multiple=True, help="Days an unsaved SPEC leaves out; repeatable.")
@click.option(
    "--jitter",
    type=click.FloatRange(0),
    callback=finite,
    default=0.0,
    help="Seconds, for a SPEC.",
)
@door_options
@json_option
def preview(
    event: str,
    spec: str | None,
    count: int | None,
    begin: str,
    end: str | None,
    with_excluded: bool,
    timezone: str | None,
    exclude: tuple[str, ...],
    jitter: float,
    door: Door,
    as_json: bool,
) -> None:
    """Show the next slots of EVENT, or of a schedule that is not saved anywhere.

    \b
    alicia preview morning-lights --config home.toml
    alicia preview cron '30 2 * * *' --timezone Europe/Berlin
    alicia preview recurring '{"frequency": "daily", "time_of_day": "07:30"}'

    A host that runs is asked, unless --config names a file; it needs none. A time without an offset
    is one of the event's zone.
    """
    if spec is None and (timezone or exclude or jitter):
        raise click.UsageError("--timezone, --exclude and --jitter are for a SPEC, not an event")
    limit = count or (RANGE_LIMIT if end else 10)
    if door.asks:
        about: dict[str, Any] = {"event_id": event}
        if spec is not None:
            about = {"schedule_type": event, "schedule_config": written_config(event, spec)}
            about |= {"timezone": timezone, "exclude": list(exclude), "jitter": jitter}
        answer = _asked(door, about, begin, end, limit=limit, with_excluded=with_excluded)
    else:
        surroundings = Surroundings.of(door.config, door.state_dir)
        if spec is None:
            with surroundings.saved(event) as (subject, _):
                pass
        else:
            zone_name = timezone or surroundings.settings.timezone
            try:
                now = moment(begin, load_timezone(zone_name))
            except ConfigError as error:
                fail(str(error))
            subject = surroundings.unsaved(
                event,
                written_config(event, spec),
                timezone=timezone,
                exclude=exclude,
                jitter=jitter,
                now=now,
            )
        answer = _found(subject, begin, end, limit=limit, with_excluded=with_excluded)
        if spec is not None:
            answer["event_id"] = None  # it is no event
    if as_json:
        print_json(answer)
    else:
        _print(answer, more=answer["more"] and end is not None)


def _found(
    subject: Subject, begin: str, end: str | None, *, limit: int, with_excluded: bool
) -> dict[str, Any]:
    """The answer of the command `preview`, worked out here."""
    after, until = _bounds(begin, end, subject.zone)
    found = preview_rows(subject, after, until=until, with_excluded=with_excluded)
    rows = list(islice(found, limit))
    more = len(rows) == limit and next(found, None) is not None
    return _wire(subject, rows, more)


def _asked(
    door: Door,
    about: dict[str, Any],
    begin: str,
    end: str | None,
    *,
    limit: int,
    with_excluded: bool,
) -> dict[str, Any]:
    """The answer of the host."""
    bounds: dict[str, str] = {}
    if begin != "now" or end is not None:
        # A time without an offset is one of the event's zone, which the host knows.
        zone = load_timezone(door.ask("preview", **about, count=1)["timezone"])
        after, until = _bounds(begin, end, zone)
        bounds = {"from": after.isoformat()} | ({"to": until.isoformat()} if until else {})
    slots: list[dict[str, Any]] = []
    while True:
        count = min(limit - len(slots), RANGE_LIMIT)
        answer = door.ask("preview", **about, **bounds, count=count, with_excluded=with_excluded)
        slots += answer["slots"]
        if not answer["more"] or len(slots) >= limit:
            return {**answer, "slots": slots}
        bounds["from"] = from_epoch(slots[-1]["slot"]).isoformat()


def _bounds(begin: str, end: str | None, zone: ZoneInfo) -> tuple[datetime, datetime | None]:
    after = moment(begin, zone)
    until = moment(end, zone) if end else None
    if until is not None and until <= after:
        raise click.UsageError("--to must be later than --from")
    return after, until


def _wire(subject: Subject, rows: list[Row], more: bool) -> dict[str, Any]:
    return {
        "event_id": subject.event.event_id,
        "schedule_type": subject.event.schedule_type,
        "timezone": subject.zone.key,
        "description": subject.schedule.describe(),
        "slots": [row.to_wire() for row in rows],
        "more": more,
    }


def _print(answer: dict[str, Any], *, more: bool) -> None:
    says, zone = answer["description"], load_timezone(answer["timezone"])
    click.echo(printable(says if zone.key in says else f"{says}, in {zone.key}"))
    slots = answer["slots"]
    if not slots:
        click.echo("no slots")
        return
    jitter = any(row["due"] != row["slot"] or row["latest"] != row["slot"] for row in slots)
    print_table(
        ["SLOT", "UTC", *(["DUE", "AT THE LATEST"] if jitter else []), "MARKS"],
        [
            [
                _dated(row, zone),
                _utc(from_epoch(row["slot"])),
                *([_clock(row["due"], zone), _clock(row["latest"], zone)] if jitter else []),
                ", ".join(row["marks"]),
            ]
            for row in slots
        ],
    )
    if more:
        click.echo(f"… and more: --count shows more than {len(slots)}")


def _dated(row: dict[str, Any], zone: ZoneInfo) -> str:
    day = datetime.fromisoformat(row["local"])
    return f"{zoned_time(from_epoch(row['slot']), zone)} {day:%a}"


def _clock(instant: float, zone: ZoneInfo) -> str:
    """The time of day in the event's zone; the day is that of the slot beside it."""
    return from_epoch(instant).astimezone(zone).time().isoformat(timespec="milliseconds")


def _utc(instant: datetime) -> str:
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="auto") + "Z"
