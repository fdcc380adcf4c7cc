"""``alicia events``."""

from __future__ import annotations

import click

from alicia_scheduler.api.model import EventRecord, to_wire
from alicia_scheduler.cli.output import local_time, print_json, print_table
from alicia_scheduler.cli.state import opened_store, state_options

__all__ = ["events"]


@click.group()
def events() -> None:
    """Scheduled events."""


@events.command("list")
@state_options
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def list_events(config: str | None, state_dir: str | None, as_json: bool) -> None:
    """List all events with their next and last run. Needs no running host."""
    records: list[EventRecord] = []
    with opened_store(config, state_dir) as store:
        while page := store.list_events(
            after_id=records[-1].event.event_id if records else None, limit=1000, origin=None
        ):
            records.extend(page)
    if as_json:
        print_json([to_wire(record) for record in records])
        return
    print_table(
        ["EVENT", "NAME", "SCHEDULE", "NEXT RUN", "LAST RUN", "LAST STATUS", "RUNS", "FAILED"],
        [_row(record) for record in records],
    )


def _row(record: EventRecord) -> list[str]:
    event, state = record.event, record.state
    if not event.enabled:
        following = "disabled"
    elif state.anchor is None:
        following = "unresolved"
    else:
        following = local_time(state.next_run)
    return [
        event.event_id,
        event.name,
        event.schedule_type,
        following,
        local_time(state.last_run),
        state.last_status if state.run_count else "never",
        str(state.run_count),
        str(state.failure_count),
    ]
