"""How a host stands at one moment: what `alicia top` shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import trio

from alicia_scheduler.api.errors import StoreError
from alicia_scheduler.api.model import from_epoch, to_epoch
from alicia_scheduler.cli.door import Door
from alicia_scheduler.cli.relative import elapsed, told_time
from alicia_scheduler.control.client import HostSession

__all__ = ["Section", "Snapshot", "header", "sections", "taken"]

MOST = 50
"""Rows of a section at the most; a terminal shows fewer."""

REMOTE_PAGES = 5
"""Pages of 1000 events that are looked through for the next slots of a remote host."""

Wire = dict[str, Any]


@dataclass(frozen=True)
class Snapshot:
    """What a host answered.

    Attributes:
        taken_at: when.
        health: the answer of `health`.
        stats: the answer of `stats`.
        under_way: executions that have not ended, in their wire form.
        following: the next slots and retries, the soonest first: ``due``, ``event_id`` and, for a
            retry, ``execution_id``.
        failing: events whose last execution failed, in their wire form.
    """

    taken_at: datetime
    health: Wire
    stats: Wire
    under_way: list[Wire] = field(default_factory=list)
    following: list[Wire] = field(default_factory=list)
    failing: list[Wire] = field(default_factory=list)

    def to_wire(self) -> Wire:
        """As plain data."""
        return {
            "taken_at": to_epoch(self.taken_at),
            "health": self.health,
            "stats": self.stats,
            "under_way": self.under_way,
            "next": self.following,
            "failing": self.failing,
        }


@dataclass(frozen=True)
class Section:
    """A part of the picture: a title, headings, rows."""

    title: str
    headings: tuple[str, ...]
    rows: list[list[str]]
    nothing: str


async def taken(session: HostSession, door: Door) -> Snapshot:
    """Ask the host for everything.

    Raises:
        NoHost: it went away.
        CommandError: it refused.
    """
    executions = await session.request("executions/list", final=False, limit=MOST)
    failed = await session.request("events/list", status="failed", limit=MOST)
    return Snapshot(
        taken_at=datetime.now(UTC),
        health=await session.request("health"),
        stats=await session.request("stats"),
        under_way=list(executions["executions"]),
        following=await _following(session, door),
        failing=list(failed["events"]),
    )


async def _following(session: HostSession, door: Door) -> list[Wire]:
    if not door.remote:
        try:
            return await trio.to_thread.run_sync(_from_store, door)
        except StoreError:
            pass  # the host goes on without its disk, and can be asked
    found: list[Wire] = []
    after: Wire = {}
    for _ in range(REMOTE_PAGES):
        page = await session.request("events/list", enabled=True, limit=1000, **after)
        found += [
            {"due": event["next_due"], "event_id": event["event_id"], "execution_id": None}
            for event in page["events"]
            if event["next_due"] is not None
        ]
        if page["next"] is None:
            break
        after = {"after_id": page["next"]}
    return sorted(found, key=lambda item: float(item["due"]))[:MOST]


def _from_store(door: Door) -> list[Wire]:
    from alicia_scheduler.store.reader import open_reader

    with open_reader(door.folder) as store:
        return [
            {"due": to_epoch(due.at), "event_id": due.event_id, "execution_id": due.execution_id}
            for due in store.next_due(after=None, limit=MOST)
        ]


def header(snapshot: Snapshot, now: datetime) -> list[tuple[str, str]]:
    """The line above everything, in pieces with a style each."""
    health, stats = snapshot.health, snapshot.stats
    since = (now - snapshot.taken_at).total_seconds()
    runs, counts = stats["executions"], stats["events"]
    status = str(health["status"])
    style = "green" if status == "healthy" else "bold red"
    pieces = [
        (f"{health['instance']} {health['version']}  ", "bold"),
        (status, style),
        (f"  up {elapsed(health['uptime'] + max(since, 0))}", ""),
        (f"  {counts['total']} events, {counts['failing']} failing", ""),
        (f"  {runs['running']} running, {runs['waiting']} waiting", ""),
        (f", {runs['retrying']} to be retried", ""),
    ]
    if health["paused_until"] is not None:
        pieces.append(("  the whole schedule is paused", "bold yellow"))
    return pieces


def sections(snapshot: Snapshot, now: datetime, *, exact: bool = True) -> Iterator[Section]:
    """The tables below it; with ``exact``, the exact times beside the relative ones."""

    def told(instant: float | None) -> str:
        text = told_time(None if instant is None else from_epoch(instant), now)
        return text if exact else text.partition(" (")[0]

    yield Section(
        "UNDER WAY",
        ("EVENT", "STATUS", "ELAPSED", "ATTEMPT", "EXECUTION"),
        [_under_way(run, now) for run in snapshot.under_way],
        "nothing runs",
    )
    yield Section(
        "NEXT",
        ("EVENT", "WHEN", "WHAT"),
        [
            [
                item["event_id"],
                told(item["due"]),
                "retry" if item["execution_id"] else "slot",
            ]
            for item in snapshot.following
        ],
        "nothing is to come",
    )
    yield Section(
        "FAILING",
        ("EVENT", "LAST RUN", "IN A ROW", "SINCE"),
        [
            [
                event["event_id"],
                told(event["last_run"]),
                str(event["failures_in_row"]),
                told(event["failing_since"]),
            ]
            for event in snapshot.failing
        ],
        "nothing fails",
    )
    problems = snapshot.health["problems"]
    if problems:
        yield Section(
            "PROBLEMS",
            ("WHAT", "WHICH", "PROBLEM"),
            [[item["kind"], item["subject"], item["message"]] for item in problems],
            "",
        )


def _under_way(run: Mapping[str, Any], now: datetime) -> list[str]:
    begun = run["start_time"]
    since = "-" if begun is None else elapsed(max((now - from_epoch(begun)).total_seconds(), 0))
    following = run["next_attempt_at"]
    if following is not None:
        since = f"retry {told_time(from_epoch(following), now).split(' (')[0]}"
    return [
        run["event_id"],
        run["status"],
        since,
        str(run["retry_count"] + 1),
        run["execution_id"],
    ]
