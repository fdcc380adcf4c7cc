"""``alicia executions``."""

from __future__ import annotations

import click

from alicia_scheduler.api.model import EventExecution, Status, to_wire
from alicia_scheduler.cli.output import local_time, print_json, print_table
from alicia_scheduler.cli.state import opened_store, state_options

__all__ = ["executions"]


@click.group()
def executions() -> None:
    """The history of executions."""


@executions.command("list")
@state_options
@click.option("--event", "event_id", help="Only the executions of this event id.")
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice([status.value for status in Status]),
    help="Only executions with this status; may be given more than once.",
)
@click.option("--limit", default=100, type=click.IntRange(1, 100_000), show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def list_executions(
    config: str | None,
    state_dir: str | None,
    event_id: str | None,
    statuses: tuple[str, ...],
    limit: int,
    as_json: bool,
) -> None:
    """List executions, newest slot first. Needs no running host."""
    with opened_store(config, state_dir) as store:
        found = store.list_executions(
            event_id=event_id,
            statuses=[Status(status) for status in statuses] or None,
            limit=limit,
        )
    if as_json:
        print_json([to_wire(execution) for execution in found])
        return
    print_table(
        ["SLOT", "EVENT", "STATUS", "LATENESS", "DURATION", "TRIGGER", "RETRIES", "WHY"],
        [_row(execution) for execution in found],
    )


def _row(execution: EventExecution) -> list[str]:
    why = ": ".join(filter(None, (execution.reason, execution.error_message)))
    return [
        local_time(execution.scheduled_time),
        execution.event_id,
        execution.status,
        _seconds(execution.lateness),
        _seconds(execution.duration),
        execution.trigger,
        str(execution.retry_count),
        why.splitlines()[0] if why else "",
    ]


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f} s"
