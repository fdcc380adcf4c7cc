"""``alicia executions``: what ran, what runs, and steering it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import click
import msgspec

from alicia_scheduler.api.model import Status, from_epoch
from alicia_scheduler.cli.completion import complete_events, complete_executions
from alicia_scheduler.cli.door import Door, door_options
from alicia_scheduler.cli.listing import listed_executions, one_execution
from alicia_scheduler.cli.output import (
    EXIT_NO,
    complain,
    json_option,
    print_json,
    print_table,
    printable,
)
from alicia_scheduler.cli.relative import told_time

__all__ = ["executions"]

F = TypeVar("F", bound=Callable[..., Any])

NOTHING = "nothing of it is under way"

PATIENCE = 300.0
"""Seconds that a verb about many executions may take."""


@click.group()
def executions() -> None:
    """The history of executions."""


@executions.command("list")
@door_options
@click.option(
    "--event",
    "events",
    multiple=True,
    shell_complete=complete_events,
    help="Only of this event, or of those that match (*, ?, […]); repeatable.",
)
@click.option("--tag", help="Only of events with this tag.")
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice([status.value for status in Status]),
    help="Only executions with this status; repeatable.",
)
@click.option("--final", is_flag=True, help="Only executions that no attempt follows any more.")
@click.option(
    "--limit",
    default=100,
    type=click.IntRange(1, 100_000),
    show_default=True,
    help="How many at the most.",
)
@json_option
def list_executions(
    door: Door,
    events: tuple[str, ...],
    tag: str | None,
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
    found = listed_executions(
        door,
        events=events,
        tag=tag,
        statuses=wanted if statuses or final else None,
        limit=limit,
    )
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("no executions")
        return
    print_table(
        [
            "EXECUTION",
            "SLOT",
            "EVENT",
            "STATUS",
            "LATENESS",
            "DURATION",
            "TRIGGER",
            "RETRIES",
            "WHY",
        ],
        [_row(execution) for execution in found],
    )


@executions.command("show")
@click.argument("execution_id", shell_complete=complete_executions)
@door_options
@json_option
def show(execution_id: str, door: Door, as_json: bool) -> None:
    """Show one execution with its steps. Needs no running host."""
    execution = one_execution(door, execution_id)
    if as_json:
        print_json(execution)
        return
    for label, value in _facts(execution):
        if value not in (None, "-"):
            click.echo(f"{label:<13}{printable(str(value))}")
    if execution["steps"]:
        print_table(
            ["AFTER DUE", "STEP"],
            [[f"{offset:+.3f} s", name] for name, offset in map(_step, execution["steps"])],
        )
    if execution["error_message"]:
        click.echo("error:")
        for line in execution["error_message"].splitlines():
            click.echo(f"  {printable(line)}")


def _selecting(*, event: str, tag: str) -> Callable[[F], F]:
    """Give a command the ways to select executions: by id, event or tag.

    Args:
        event: the help of ``--event``.
        tag: the help of ``--tag``.
    """

    def select(command: F) -> F:
        command = click.option("--tag", help=tag)(command)
        command = click.option(
            "--event", "events", multiple=True, shell_complete=complete_events, help=event
        )(command)
        return click.argument(
            "execution_ids",
            metavar="[EXECUTION_ID]...",
            nargs=-1,
            shell_complete=complete_executions,
        )(command)

    return select


@executions.command("cancel")
@_selecting(
    event="All that is under way of this event, or of those that match; repeatable.",
    tag="All that is under way of events with this tag.",
)
@door_options
@json_option
def cancel(
    execution_ids: tuple[str, ...],
    events: tuple[str, ...],
    tag: str | None,
    door: Door,
    as_json: bool,
) -> None:
    """Stop executions that run, or wait to run or to be retried. Needs a running host.

    What waits is cancelled at once. An action that runs is told to stop and may take its time for
    it; `alicia executions show` says when it is over.
    """
    meant = _meant(execution_ids, events, tag)
    answer = door.ask("executions/cancel", timeout=PATIENCE, **meant)

    def say(item: Mapping[str, Any]) -> Iterator[str]:
        said = "cancelled" if item["ended"] else "is being stopped"
        yield f"execution {item['execution_id']}: {said}"

    _tell(answer, say, as_json=as_json, gone=NOTHING)


@executions.command("retry")
@_selecting(
    event="The last of this event, or of those that match, where it failed; repeatable.",
    tag="The last of events with this tag, where it failed.",
)
@door_options
@json_option
def retry(
    execution_ids: tuple[str, ...],
    events: tuple[str, ...],
    tag: str | None,
    door: Door,
    as_json: bool,
) -> None:
    """Run ended executions again: the same slots, as new executions. Needs a running host.

    Exits 1 when one of them could not be; the others are run all the same.
    """
    answer = door.ask("executions/retry", timeout=PATIENCE, **_meant(execution_ids, events, tag))

    def say(item: Mapping[str, Any]) -> Iterator[str]:
        for execution in item["executions"]:
            why = f": {execution['error_message']}" if execution["error_message"] else ""
            yield (
                f"execution {item['execution_id']}: again as {execution['execution_id']}, "
                f"{execution['status']}{why}"
            )

    _tell(answer, say, as_json=as_json)


def _meant(
    execution_ids: tuple[str, ...], events: tuple[str, ...], tag: str | None
) -> dict[str, Any]:
    """The arguments that select so.

    Raises:
        click.UsageError: nothing is selected, or in two ways.
    """
    if bool(execution_ids) is bool(events or tag):
        raise click.UsageError("name executions by their ids, or give --event or --tag")
    selected: dict[str, Any] = {"execution_id": list(execution_ids)} if execution_ids else {}
    if events:
        selected["event_id"] = list(events)
    if tag is not None:
        selected["tag"] = tag
    return selected


def _tell(answer: Mapping[str, Any], say: Any, *, as_json: bool, gone: str | None = None) -> None:
    """Print what became of each execution; exits 1 when something could not be done.

    Args:
        say: the lines about one that it was done to.
        gone: what it means that the host found no such execution; its own words by default.
    """
    if as_json:
        print_json(answer)
    else:
        for item in answer["done"]:
            for line in say(item):
                click.echo(printable(line))
        for item in answer["failed"]:
            complain(f"execution {item['execution_id']}: {_refusal(item, gone)}")
        if not answer["done"] and not answer["failed"]:
            complain(NOTHING)
    if answer["failed"] or not answer["done"]:
        sys.exit(EXIT_NO)


def _refusal(item: Mapping[str, Any], gone: str | None) -> str:
    if gone is not None and item["code"] == "not_found":
        return gone
    return f"{item['message']} ({item['hint']})" if item.get("hint") else str(item["message"])


def _step(step: Any) -> tuple[str, float]:
    """Name and offset of a step, which is an object or a pair on the wire."""
    if isinstance(step, Mapping):
        return str(step["name"]), float(step["offset"])
    return str(step[0]), float(step[1])


def _facts(execution: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    started = _time(execution["start_time"])
    yield "execution", execution["execution_id"]
    yield "event", f"{execution['event_id']} (revision {execution['revision']})"
    yield "slot", _time(execution["scheduled_time"])
    yield "status", execution["status"]
    yield "reason", execution["reason"]
    yield "error class", execution["error_class"]
    yield "trigger", execution["trigger"]
    yield "retry of", execution["retry_of"]
    yield "attempts", execution["retry_count"] + 1 if execution["start_time"] else "none"
    yield "next attempt", _time(execution["next_attempt_at"])
    yield "started", started
    yield "ended", _time(execution["end_time"])
    yield "lateness", _seconds(_between(execution, "scheduled_time", "start_time"))
    yield "duration", _seconds(_between(execution, "start_time", "end_time"))
    result = execution["result"]
    yield "result", msgspec.json.encode(result).decode() if result else None


def _time(seconds: float | None) -> str:
    return told_time(None if seconds is None else from_epoch(seconds))


def _between(execution: Mapping[str, Any], begin: str, end: str) -> float | None:
    first, last = execution[begin], execution[end]
    return None if first is None or last is None else last - first


def _row(execution: Mapping[str, Any]) -> list[str]:
    why = ": ".join(filter(None, (execution["reason"], execution["error_message"])))
    return [
        execution["execution_id"],
        _time(execution["scheduled_time"]),
        execution["event_id"],
        execution["status"],
        _seconds(_between(execution, "scheduled_time", "start_time")),
        _seconds(_between(execution, "start_time", "end_time")),
        execution["trigger"],
        str(execution["retry_count"]),
        why.splitlines()[0] if why else "",
    ]


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f} s"
