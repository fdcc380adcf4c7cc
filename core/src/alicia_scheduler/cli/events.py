"""``alicia events``."""

from __future__ import annotations

import click

from alicia_scheduler.api.model import EventRecord, from_epoch, to_wire
from alicia_scheduler.cli.output import fail, local_time, print_json, print_table
from alicia_scheduler.cli.state import opened_store, state_options, told_host
from alicia_scheduler.cli.trial import test

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


@events.command("skip")
@click.argument("event")
@click.option("--undo", is_flag=True, help="Take the last skip back.")
@state_options
def skip(event: str, undo: bool, config: str | None, state_dir: str | None) -> None:
    """Skip the next slot of EVENT that is not skipped yet. Needs a running host."""
    command = "events/unskip" if undo else "events/skip"
    slot = told_host(config, state_dir, command, event_id=event)["done"][0]["slot"]
    if slot is None:
        fail(f"{event} has no slot to {'take back' if undo else 'skip'}")
    click.echo(
        f"{event}: the slot {local_time(from_epoch(slot))} {'runs' if undo else 'is skipped'}"
    )


@events.command("pause")
@click.argument("event")
@click.option("--until", help="An instant, as 2026-12-24T18:00+01:00; default: until resumed.")
@state_options
def pause(event: str, until: str | None, config: str | None, state_dir: str | None) -> None:
    """Let no slot of EVENT run for a while. Needs a running host."""
    arguments = {"event_id": event} | ({"until": until} if until else {})
    told_host(config, state_dir, "events/pause", **arguments)
    click.echo(f"{event}: paused {f'until {until}' if until else 'until it is resumed'}")


@events.command("resume")
@click.argument("event")
@state_options
def resume(event: str, config: str | None, state_dir: str | None) -> None:
    """End the pause of EVENT. Needs a running host."""
    told_host(config, state_dir, "events/resume", event_id=event)
    click.echo(f"{event}: runs again")


@events.command("trigger")
@click.argument("event")
@state_options
def trigger(event: str, config: str | None, state_dir: str | None) -> None:
    """Run EVENT now, by its own rules of overlap. Needs a running host."""
    (done,) = told_host(config, state_dir, "events/trigger", event_id=event)["done"]
    for execution in done["executions"]:
        why = f": {execution['error_message']}" if execution["error_message"] else ""
        click.echo(f"{event}: execution {execution['execution_id']} {execution['status']}{why}")


events.add_command(test)


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
