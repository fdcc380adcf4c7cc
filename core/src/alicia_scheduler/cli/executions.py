"""``alicia executions``."""

from __future__ import annotations

import sys
from datetime import datetime

import click
import msgspec

from alicia_scheduler.api.model import EventExecution, Status, to_wire
from alicia_scheduler.cli.output import (
    EXIT_NO,
    fail,
    local_time,
    print_json,
    print_table,
    printable,
)
from alicia_scheduler.cli.state import host_answer, opened_store, state_options

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
@click.option("--final", is_flag=True, help="Only executions that no attempt follows any more.")
@click.option("--limit", default=100, type=click.IntRange(1, 100_000), show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def list_executions(
    config: str | None,
    state_dir: str | None,
    event_id: str | None,
    statuses: tuple[str, ...],
    final: bool,
    limit: int,
    as_json: bool,
) -> None:
    """List executions, newest slot first. Needs no running host.

    `--status failed --final` are the dead letters: what failed with all its attempts. Run them
    again with `alicia executions retry`.
    """
    wanted = [Status(status) for status in statuses] or list(Status)
    if final:
        wanted = [status for status in wanted if status.final]
    with opened_store(config, state_dir) as store:
        found = store.list_executions(
            event_id=event_id, statuses=wanted if statuses or final else None, limit=limit
        )
    if as_json:
        print_json([to_wire(execution) for execution in found])
        return
    print_table(
        ["SLOT", "EVENT", "STATUS", "LATENESS", "DURATION", "TRIGGER", "RETRIES", "WHY"],
        [_row(execution) for execution in found],
    )


@executions.command("show")
@click.argument("execution_id")
@state_options
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def show(execution_id: str, config: str | None, state_dir: str | None, as_json: bool) -> None:
    """Show one execution with its steps. Needs no running host."""
    with opened_store(config, state_dir) as store:
        execution = store.execution(execution_id)
    if execution is None:
        fail(f"there is no execution {execution_id!r}")
    if as_json:
        print_json(to_wire(execution))
        return
    for label, value in _facts(execution):
        if value is not None:
            click.echo(f"{label:<13}{printable(value)}")
    if execution.steps:
        print_table(
            ["AFTER DUE", "STEP"],
            [[f"{step.offset:+.3f} s", step.name] for step in execution.steps],
        )
    if execution.error_message:
        click.echo("error:")
        for line in execution.error_message.splitlines():
            click.echo(f"  {printable(line)}")


@executions.command("cancel")
@click.argument("execution_id")
@state_options
def cancel(execution_id: str, config: str | None, state_dir: str | None) -> None:
    """Stop an execution that runs, or waits to run or to be retried. Needs a running host."""
    from alicia_scheduler.api.control import CommandError

    try:
        host_answer(config, state_dir, "executions/cancel", execution_id=execution_id)
    except CommandError as error:
        why = "nothing of it is under way" if error.code == "not_found" else str(error)
        fail(f"execution {execution_id}: {why}")
    click.echo(f"execution {execution_id}: cancelled")


@executions.command("retry")
@click.argument("execution_ids", metavar="EXECUTION_ID...", nargs=-1, required=True)
@state_options
def retry(execution_ids: tuple[str, ...], config: str | None, state_dir: str | None) -> None:
    """Run ended executions again: the same slots, as new executions. Needs a running host.

    Exits 1 when one of them could not be; the others are run all the same.
    """
    from alicia_scheduler.api.control import CommandError

    refused = False
    for execution_id in execution_ids:
        try:
            answer = host_answer(config, state_dir, "executions/retry", execution_id=execution_id)
        except CommandError as error:
            refused = True
            click.echo(f"alicia: {error}", err=True)
            continue
        for execution in answer["done"][0]["executions"]:
            why = f": {execution['error_message']}" if execution["error_message"] else ""
            click.echo(
                f"execution {execution_id}: again as {execution['execution_id']}, "
                f"{execution['status']}{why}"
            )
    if refused:
        sys.exit(EXIT_NO)


def _facts(execution: EventExecution) -> list[tuple[str, str | None]]:
    return [
        ("execution", execution.execution_id),
        ("event", f"{execution.event_id} (revision {execution.revision})"),
        ("slot", local_time(execution.scheduled_time)),
        ("status", execution.status),
        ("reason", execution.reason),
        ("error class", execution.error_class),
        ("trigger", execution.trigger),
        ("retry of", execution.retry_of),
        ("attempts", str(execution.attempt) if execution.start_time else "none"),
        ("next attempt", _time(execution.next_attempt_at)),
        ("started", _time(execution.start_time)),
        ("ended", _time(execution.end_time)),
        ("lateness", _seconds(execution.lateness)),
        ("duration", _seconds(execution.duration)),
        ("result", msgspec.json.encode(execution.result).decode() if execution.result else None),
    ]


def _time(instant: datetime | None) -> str | None:
    return local_time(instant) if instant else None


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
