"""The installed types have changed while the kernel runs: events that lacked one come alive, and
those whose type is gone are set aside with their slots kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio

from alicia_scheduler.api.model import EventRecord, ScheduledEvent
from alicia_scheduler.kernel.definitions import reschedule

if TYPE_CHECKING:
    from alicia_scheduler.kernel.kernel import Kernel

__all__ = ["Followed", "follow_types"]

BITE = 200
"""Events that are looked at before others get their turn."""


@dataclass
class Followed:
    """What a change of the types did, by event id."""

    revived: list[str] = field(default_factory=list)
    unresolved: list[str] = field(default_factory=list)


async def follow_types(kernel: Kernel, concerns: Callable[[ScheduledEvent], bool]) -> Followed:
    """Prepare events anew: those that were unresolved, and those that the change ``concerns``.

    What is under way is not touched. A slot that came due while the event was unresolved is kept,
    and becomes the business of the misfire policy now.
    """
    followed = Followed()
    await _look_at_those_in_hand(kernel, concerns, followed)
    await _look_at_the_others(kernel, followed)
    return followed


async def _look_at_those_in_hand(
    kernel: Kernel, concerns: Callable[[ScheduledEvent], bool], followed: Followed
) -> None:
    waiting: list[EventRecord] = []
    for number, record in enumerate(kernel.catalog.records()):
        if number % BITE == BITE - 1:
            await trio.lowlevel.checkpoint()
        entry = kernel.catalog.get(record.event.event_id)
        if entry is None or (entry.prepared is not None and not concerns(entry.event)):
            continue
        was_resolved = entry.prepared is not None
        kernel.catalog.prepare(entry)
        if entry.prepared is None:
            if was_resolved:
                followed.unresolved.append(entry.event.event_id)
        elif entry.event.enabled and entry.state.anchor is None:
            waiting.append(entry.record)
        elif not was_resolved:
            kernel.put_next(entry)
            followed.revived.append(entry.event.event_id)
    await _schedule(kernel, waiting, followed)


async def _look_at_the_others(kernel: Kernel, followed: Followed) -> None:
    """Those that only the store has: they were never scheduled, so nothing brings them up."""
    after: str | None = None
    while page := await kernel.store.list_events(after_id=after):
        after = page[-1].event.event_id
        waiting = [
            record
            for record in page
            if record.event.enabled
            and record.state.anchor is None
            and kernel.catalog.get(record.event.event_id) is None
            and not kernel.records.removed(record.event.event_id)
            and kernel.catalog.entry(record.event, record.state).prepared is not None
        ]
        await _schedule(kernel, waiting, followed)


async def _schedule(kernel: Kernel, waiting: Sequence[EventRecord], followed: Followed) -> None:
    if waiting:
        followed.revived += await reschedule(kernel, waiting)
