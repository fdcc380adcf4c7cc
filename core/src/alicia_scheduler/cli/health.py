"""``alicia health``, ``stats`` and ``commands``: how a running host is, and what it can be told."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import click

from alicia_scheduler.api.model import from_epoch
from alicia_scheduler.cli.door import Door, door_options
from alicia_scheduler.cli.output import (
    EXIT_NO,
    json_option,
    local_time,
    print_json,
    print_table,
    printable,
)
from alicia_scheduler.cli.relative import elapsed

__all__ = ["commands", "health", "size_text", "stats"]


@click.command()
@door_options
@json_option
def health(door: Door, as_json: bool) -> None:
    """Say whether the running host is well; exits 1 when it is not, 3 when there is none."""
    answer = door.ask("health")
    if as_json:
        print_json(answer)
    else:
        paused = " The whole schedule is paused." if answer["paused_until"] is not None else ""
        click.echo(
            f"{printable(answer['instance'])} ({printable(answer['version'])}) is "
            f"{answer['status']}, up for {elapsed(answer['uptime'])}.{paused}"
        )
        if answer["problems"]:
            print_table(
                ["WHAT", "WHICH", "PROBLEM"],
                [[item["kind"], item["subject"], item["message"]] for item in answer["problems"]],
            )
    if answer["status"] != "healthy":
        sys.exit(EXIT_NO)


@click.command()
@door_options
@json_option
def stats(door: Door, as_json: bool) -> None:
    """Show figures of the running host since its start."""
    answer = door.ask("stats")
    if as_json:
        print_json(answer)
        return
    for label, value in _figures(answer):
        click.echo(f"{label:<15}{printable(value)}")


@click.command()
@door_options
@json_option
def commands(door: Door, as_json: bool) -> None:
    """List what the running host can be told, and what permission each needs.

    With --json each has the JSON Schemas of its arguments and its answer.
    """
    answer = door.ask("commands/list")
    if as_json:
        print_json(answer)
        return
    print_table(
        ["COMMAND", "NEEDS", "DOES"],
        [[item["name"], item["permission"], item["summary"]] for item in answer["commands"]],
    )


def _figures(answer: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    started = local_time(from_epoch(answer["started_at"]))
    yield "host", f"{answer['instance']} ({answer['version']})"
    yield "up for", f"{elapsed(answer['uptime'])} (since {started})"
    if answer["paused_until"] is not None:
        yield "paused until", local_time(from_epoch(answer["paused_until"]))
    counts = answer["events"]
    more = "" if counts["complete"] else ", and more that were not counted"
    enabled = f"{counts['enabled']} enabled, {counts['paused']} paused"
    yield "events", f"{counts['total']}: {enabled}, {counts['failing']} failing{more}"
    runs = answer["executions"]
    stuck = f", {runs['stuck']} stuck" if runs["stuck"] else ""
    running = f"{runs['running']} running, {runs['waiting']} waiting"
    yield "under way", f"{running}, {runs['retrying']} to be retried{stuck}"
    ended = ", ".join(f"{count} {status}" for status, count in runs["ended"].items())
    yield "ended", ended or "none"
    late = answer["lateness"]
    if late["count"]:
        yield "lateness", f"{late['mean']:.3f} s on average, {late['max']:.3f} s at the most"
    yield "notifications", str(answer["notifications"])
    store = answer["store"]
    state = store["problem"] or ("durable" if store["durable"] else "in memory only")
    yield "store", f"{state}, {store['waiting']} changes wait, {store['lost']} lost"
    yield "starts", f"{store['starts']}, {store['unclean_starts']} of them after a crash"
    plugins = ", ".join(f"{count} {status}" for status, count in answer["plugins"].items())
    yield "plugins", plugins or "none"
    yield "peak memory", size_text(answer["peak_memory"])


def size_text(size: float) -> str:
    """Bytes as people read them."""
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"
