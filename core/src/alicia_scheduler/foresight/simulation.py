"""A rehearsal: the real kernel under a virtual clock, with actions that only take time.

Nothing is modelled here: agenda, planner, runner and store are those of a running host, so what
a rehearsal shows is what the host does, overlaps and retries included.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from alicia_scheduler.api.model import EventExecution, Notification, ScheduledEvent, from_epoch
from alicia_scheduler.config.settings import Settings
from alicia_scheduler.host.kernelsettings import kernel_settings
from alicia_scheduler.host.registry import Registry
from alicia_scheduler.host.resolver import Resolver
from alicia_scheduler.kernel.definitions import sync_origin
from alicia_scheduler.kernel.kernel import Kernel, KernelSettings
from alicia_scheduler.kernel.loop import run_kernel
from alicia_scheduler.kernel.notifications import Notifier
from alicia_scheduler.kernel.prepared import Prepared
from alicia_scheduler.kernel.records import Records
from alicia_scheduler.kernel.virtual import VirtualClock
from alicia_scheduler.store.memory import MemoryStore

__all__ = ["Happening", "Rehearsal", "rehearse"]

ENDS = {
    "execution_completed",
    "execution_failed",
    "execution_timed_out",
    "execution_cancelled",
    "execution_interrupted",
    "execution_skipped",
    "execution_missed",
}


@dataclass(frozen=True, order=True)
class Happening:
    """What became of one slot.

    Attributes:
        slot: the slot (aware UTC).
        disposition: the execution's status; ``running`` or ``pending`` when the rehearsal ended
            before it did.
        lateness: seconds from the slot to the start; None when it never started.
    """

    slot: datetime
    event_id: str
    disposition: str
    reason: str | None = field(default=None, compare=False)
    lateness: float | None = field(default=None, compare=False)
    retries: int = field(default=0, compare=False)


@dataclass
class Rehearsal:
    """What a rehearsal showed.

    Attributes:
        begin, end: the time it covers (aware UTC): after ``begin``, up to and with ``end``.
        happenings: every slot that came up, in order.
        problems: sentences about events that could not run.
        cut: True when it ended early because there were too many executions.
    """

    begin: datetime
    end: datetime
    happenings: list[Happening] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    cut: bool = False

    def summary(self) -> dict[str, Counter[str]]:
        """How many slots ended how, by event."""
        counts: dict[str, Counter[str]] = {}
        for happening in self.happenings:
            counts.setdefault(happening.event_id, Counter())[happening.disposition] += 1
        return counts


class _Recorders(Resolver):
    """The installed schedule types, with every action replaced by a wait."""

    duration = 0.0

    async def run_action(self, prepared: Prepared, execution: EventExecution) -> object | None:
        await trio.sleep(self.duration)
        return None


def rehearse(
    events: Sequence[ScheduledEvent],
    registry: Registry,
    settings: Settings,
    calendars: Mapping[str, frozenset[date]],
    *,
    begin: datetime,
    end: datetime,
    duration: float = 0.0,
    limits: Mapping[str, int] | None = None,
    limit: int = 1_000_000,
) -> Rehearsal:
    """Run ``events`` from ``begin`` to ``end`` as a host would that starts at ``begin``.

    Must not be called from within a trio loop: it runs one of its own, in virtual time.

    Args:
        begin, end: aware UTC instants.
        duration: seconds that every action takes.
        limits: the capacity of each named limit that events may share.
        limit: after so many executions the rehearsal ends early.
    """
    types = _Recorders(registry, settings, calendars, limits=limits or {})
    types.duration = duration
    # There is a clock here that is right from the beginning.
    as_run = replace(kernel_settings(settings, limits or {}), wait_for_clock=0.0)
    clock = MockClock(autojump_threshold=0)
    return trio.run(_rehearsed, events, types, as_run, begin, end, limit, clock=clock)


async def _rehearsed(
    events: Sequence[ScheduledEvent],
    types: Resolver,
    settings: KernelSettings,
    begin: datetime,
    end: datetime,
    limit: int,
) -> Rehearsal:
    seen = Rehearsal(begin, end)
    clock = VirtualClock(begin)
    notifier = Notifier(clock)
    enough = trio.Event()

    def listen(notification: Notification) -> None:
        if notification.event_type == "error":
            seen.problems.append(notification.event_data["message"])
        elif notification.event_type in ENDS:
            seen.happenings.append(_ended(notification.event_data))
            if len(seen.happenings) >= limit:
                enough.set()

    notifier.listen(listen)
    async with (
        MemoryStore.open() as store,
        Records.running(store, notifier, clock) as records,
    ):
        kernel = Kernel(records, types, clock, settings)
        await sync_origin(kernel, "file", events)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_kernel, kernel)
            with trio.move_on_after((end - begin).total_seconds()) as whole_span:
                await enough.wait()
            # What is due at the very end wakes up in the same instant and may still be at work.
            await wait_all_tasks_blocked()
            seen.cut = not whole_span.cancelled_caught
            seen.end = min(end, clock.now())
            under_way = await store.unfinished()
            nursery.cancel_scope.cancel()
    unfinished = sorted(_unfinished(execution) for execution in under_way)
    seen.happenings = list(heapq.merge(sorted(seen.happenings), unfinished))
    return seen


def _ended(data: dict[str, Any]) -> Happening:
    return Happening(
        from_epoch(data["scheduled_time"]),
        data["event_id"],
        data["status"],
        data["reason"],
        data["lateness"],
        data["retry_count"],
    )


def _unfinished(execution: EventExecution) -> Happening:
    return Happening(
        execution.scheduled_time,
        execution.event_id,
        execution.status.value,
        execution.reason,
        execution.lateness,
        execution.retry_count,
    )
