"""``alicia preview``."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice

import click

from alicia_scheduler.api.errors import ConfigError
from alicia_scheduler.api.zones import load_timezone
from alicia_scheduler.cli.moments import finite, moment, zoned_time
from alicia_scheduler.cli.output import fail, print_json, print_table
from alicia_scheduler.cli.state import state_options
from alicia_scheduler.cli.subjects import Surroundings, written_config
from alicia_scheduler.foresight.preview import Row, preview_rows
from alicia_scheduler.foresight.subject import Subject

__all__ = ["preview"]

RANGE_LIMIT = 1000
"""Slots that a range shows unless told otherwise."""


@click.command()
@click.argument("event")
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
@state_options
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
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
    config: str | None,
    state_dir: str | None,
    as_json: bool,
) -> None:
    """Show the next slots of EVENT, or of a schedule that is not saved anywhere.

    \b
    alicia preview morning-lights --config home.toml
    alicia preview cron '30 2 * * *' --timezone Europe/Berlin
    alicia preview recurring '{"frequency": "daily", "time_of_day": "07:30"}'

    Needs no running host. A time without an offset is one of the event's zone.
    """
    if spec is None and (timezone or exclude or jitter):
        raise click.UsageError("--timezone, --exclude and --jitter are for a SPEC, not an event")
    limit = count or (RANGE_LIMIT if end else 10)
    surroundings = Surroundings.of(config, state_dir)
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
    after = moment(begin, subject.zone)
    until = moment(end, subject.zone) if end else None
    if until is not None and until <= after:
        raise click.UsageError("--to must be later than --from")
    found = preview_rows(subject, after, until=until, with_excluded=with_excluded)
    rows = list(islice(found, limit))
    more = len(rows) == limit and next(found, None) is not None
    if as_json:
        print_json(_wire(subject, rows, more))
    else:
        _print(subject, rows, more=more and end is not None)


def _wire(subject: Subject, rows: list[Row], more: bool) -> dict[str, object]:
    return {
        "event_id": subject.event.event_id,
        "schedule_type": subject.event.schedule_type,
        "timezone": subject.zone.key,
        "description": subject.schedule.describe(),
        "slots": [row.to_wire() for row in rows],
        "more": more,
    }


def _print(subject: Subject, rows: list[Row], *, more: bool) -> None:
    says = subject.schedule.describe()
    click.echo(says if subject.zone.key in says else f"{says}, in {subject.zone.key}")
    if not rows:
        click.echo("no slots")
        return
    jitter = bool(subject.event.jitter)
    print_table(
        ["SLOT", "UTC", *(["DUE", "AT THE LATEST"] if jitter else []), "MARKS"],
        [
            [
                f"{zoned_time(row.slot, subject.zone)} {row.local:%a}",
                _utc(row.slot),
                *([_clock(row.due, row), _clock(row.latest, row)] if jitter else []),
                ", ".join(row.marks),
            ]
            for row in rows
        ],
    )
    if more:
        click.echo(f"… and more: --count shows more than {len(rows)}")


def _clock(instant: datetime, row: Row) -> str:
    """The time of day in the event's zone; the day is that of the slot beside it."""
    return instant.astimezone(row.zone).time().isoformat(timespec="milliseconds")


def _utc(instant: datetime) -> str:
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="auto") + "Z"
