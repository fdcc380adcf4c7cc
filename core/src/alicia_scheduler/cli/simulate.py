"""``alicia simulate``."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import click

from alicia_scheduler.api.model import to_epoch
from alicia_scheduler.api.zones import load_timezone
from alicia_scheduler.cli.configured import load_checked
from alicia_scheduler.cli.moments import finite, later, moment, span, zoned_time
from alicia_scheduler.cli.output import patience, print_json, print_table
from alicia_scheduler.foresight.simulation import Happening, Rehearsal, rehearse

__all__ = ["simulate"]


@click.command()
@click.argument("config", type=click.Path())
@click.option("--from", "begin", default="now", help="When the host starts; default now.")
@click.option("--for", "length", callback=span, help="How long: 24h (the default), 30d, 2w.")
@click.option("--until", help="The end, in place of --for.")
@click.option(
    "--duration",
    type=click.FloatRange(0),
    callback=finite,
    default=0.0,
    show_default=True,
    help="Seconds that every action takes.",
)
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=1_000_000,
    show_default=True,
    help="End early after so many executions.",
)
@click.option("--summary", "only_summary", is_flag=True, help="Leave the single executions out.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def simulate(
    config: str,
    begin: str,
    length: timedelta | None,
    until: str | None,
    duration: float,
    limit: int,
    only_summary: bool,
    as_json: bool,
) -> None:
    """Show what a host with CONFIG would run, without doing any of it.

    The kernel of `alicia run` runs in virtual time, in memory, as if started at --from; actions
    only take their --duration. A time without an offset is one of the configured zone.
    """
    if length is not None and until is not None:
        raise click.UsageError("give --for or --until, not both")
    configuration, registry, checked = load_checked(config)
    zone = load_timezone(configuration.settings.timezone)
    start = moment(begin, zone)
    end = moment(until, zone) if until else later(start, length or timedelta(hours=24))
    if end <= start:
        raise click.UsageError("--until must be later than --from")
    with patience("rehearsing"):
        rehearsal = rehearse(
            checked.events,
            registry,
            configuration.settings,
            checked.calendars,
            begin=start,
            end=end,
            duration=duration,
            limits=checked.limits,
            limit=limit,
        )
    for problem in rehearsal.problems:
        click.echo(f"warning: {problem}", err=True)
    counts = rehearsal.summary()
    for event in checked.events:
        counts.setdefault(event.event_id, Counter())
    if as_json:
        print_json(_wire(rehearsal, counts, with_executions=not only_summary))
        return
    if not only_summary and rehearsal.happenings:
        print_table(
            ["SLOT", "EVENT", "DISPOSITION", "REASON", "LATENESS"],
            [[zoned_time(item.slot, zone), *_row(item)] for item in rehearsal.happenings],
        )
        click.echo("")
    print_table(
        ["EVENT", "SLOTS", "OUTCOMES"],
        [
            [event_id, str(count.total()), _outcomes(count)]
            for event_id, count in sorted(counts.items())
        ],
    )
    click.echo(
        f"{len(rehearsal.happenings)} executions after {zoned_time(rehearsal.begin, zone)} "
        f"until {zoned_time(rehearsal.end, zone)}"
    )
    if rehearsal.cut:
        click.echo(f"warning: ended early after {limit} executions; see --limit", err=True)


def _row(item: Happening) -> list[str]:
    late = "-" if item.lateness is None else f"{item.lateness:.3f} s"
    return [item.event_id, item.disposition, item.reason or "", late]


def _outcomes(count: Counter[str]) -> str:
    return ", ".join(f"{number} {word}" for word, number in sorted(count.items())) or "none"


def _wire(
    rehearsal: Rehearsal, counts: dict[str, Counter[str]], *, with_executions: bool
) -> dict[str, object]:
    answer: dict[str, object] = {
        "from": to_epoch(rehearsal.begin),
        "until": to_epoch(rehearsal.end),
        "cut": rehearsal.cut,
        "problems": rehearsal.problems,
        "events": {event_id: dict(count) for event_id, count in sorted(counts.items())},
    }
    if with_executions:
        answer["executions"] = [
            {
                "scheduled_time": to_epoch(item.slot),
                "event_id": item.event_id,
                "status": item.disposition,
                "reason": item.reason,
                "lateness": item.lateness,
                "retry_count": item.retries,
            }
            for item in rehearsal.happenings
        ]
    return answer
