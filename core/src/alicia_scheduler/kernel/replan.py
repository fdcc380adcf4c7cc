"""The wall clock was set: what that means for the next slots.

- Slots that are *elapsed time* (intervals) move with the clock: an event every ten minutes runs
  ten minutes after its last slot, whatever the clock now shows. Waiting retries do the same.
- Slots of the *calendar* stay. Set forward, what was jumped over is late and goes through the
  misfire policy: at the most one run. Set back by up to three hours, the slots that have run are
  not repeated and the next one is waited for. Set back further it was a correction, and the next
  slot is found anew from what the clock shows (the rule of cronie and Debian's cron).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from msgspec.structs import replace

from alicia_scheduler.api.model import EventRecord, to_epoch
from alicia_scheduler.api.store import Change, SaveExecution, SaveState
from alicia_scheduler.kernel.catalog import Entry
from alicia_scheduler.kernel.definitions import refreshed
from alicia_scheduler.kernel.slots import CORRECTION, advance, first_slot

if TYPE_CHECKING:
    from alicia_scheduler.kernel.kernel import Kernel

__all__ = ["CORRECTION", "replan", "replan_calendars", "step_since_last_run"]

logger = logging.getLogger(__name__)

MICROSECOND = timedelta(microseconds=1)


async def step_since_last_run(kernel: Kernel) -> float:
    """Seconds by which the clock is behind what it showed when the host last ran, as a negative
    step; 0.0 when it is not implausibly behind. So a board without a clock that boots in 1970 is
    told from one that was off for a while."""
    newest = await kernel.store.list_executions(limit=1)
    if not newest:
        return 0.0
    behind = (newest[0].scheduled_time - kernel.clock.now()).total_seconds()
    return -behind if behind > CORRECTION else 0.0


async def replan(kernel: Kernel, step: float) -> None:
    """Move every next slot that a clock set by ``step`` seconds (negative: back) moves."""
    logger.warning("the wall clock was set %s", describe_step(step))
    now = kernel.clock.now()
    after: str | None = None
    moved = 0
    unwritten = kernel.records.unwritten_events()
    while page := await kernel.store.list_events(after_id=after, limit=1000):
        after = page[-1].event.event_id
        unwritten -= {record.event.event_id for record in page}
        moved += await _move_all(kernel, page, step, now)
    only_here = [entry.record for entry in map(kernel.catalog.get, unwritten) if entry is not None]
    moved += await _move_all(kernel, only_here, step, now)
    await _move_retries(kernel, step)
    kernel.restart_agenda()
    kernel.notifier.emit(
        "clock_stepped",
        {
            "message": f"the wall clock was set {describe_step(step)}; {moved} events re-planned",
            "step": step,
            "now": to_epoch(now),
            "moved": moved,
        },
    )


async def _move_all(
    kernel: Kernel, records: Sequence[EventRecord], step: float, now: datetime
) -> int:
    """Move those that move, in one transaction; how many did."""
    changes: list[Change] = []
    for record in records:
        entry = _moved(kernel, record, step, now)
        if entry is not None:
            changes.append(SaveState(entry.event.event_id, entry.state))
    await kernel.records.keep(changes)
    return len(changes)


async def replan_calendars(kernel: Kernel, why: str) -> int:
    """Build every schedule of the calendar anew and find its next slot again, because what it is
    found from has changed. Slots that are due already stay.

    Returns:
        how many events moved.
    """
    now = kernel.clock.now()
    after: str | None = None
    moved = 0
    while page := await kernel.store.list_events(after_id=after, limit=1000):
        after = page[-1].event.event_id
        entries = []
        for record in page:
            held = kernel.catalog.get(record.event.event_id)
            if held is not None:
                kernel.catalog.prepare(held)
            entry = held or kernel.catalog.entry(record.event, record.state)
            if refreshed(kernel, entry, now):
                entries.append(entry)
        await kernel.records.keep(
            [SaveState(entry.event.event_id, entry.state) for entry in entries]
        )
        for entry in entries:
            kernel.put_next(entry)
        moved += len(entries)
    kernel.notifier.emit(
        "calendars_replanned", {"message": f"{why}; {moved} events moved", "moved": moved}
    )
    return moved


def describe_step(step: float) -> str:
    """``forward by 3600.0 s`` or ``back by 1.5 s``."""
    return f"{'forward' if step > 0 else 'back'} by {abs(step):.1f} s"


def _moved(kernel: Kernel, record: EventRecord, step: float, now: datetime) -> Entry | None:
    """The event with its next slot moved, or None when it stays where it is."""
    entry = kernel.catalog.get(record.event.event_id)
    state = entry.state if entry is not None else record.state
    if state.next_run is None or not record.event.enabled:
        return None
    if kernel.catalog.follows_elapsed_time(record.event):
        return _shifted(kernel, record, entry, step)
    if step >= -CORRECTION:
        return None
    entry = entry or kernel.catalog.entry(record.event, record.state)
    if entry.prepared is None:
        return None
    schedule = entry.prepared.schedule
    slot = first_slot(schedule, entry.event, now, state.slot_count)
    if slot is None or slot >= state.next_run:
        return None
    next_run, next_due = advance(schedule, entry.event, slot)
    entry.state = replace(entry.state, next_run=next_run, next_due=next_due)
    return entry


def _shifted(kernel: Kernel, record: EventRecord, entry: Entry | None, step: float) -> Entry:
    """The grid of elapsed time moved along with the clock."""
    state = entry.state if entry is not None else record.state
    # One microsecond more when set back: no slot may fall on one that has run already.
    shift = timedelta(seconds=step) + (MICROSECOND if step < 0 else timedelta())
    state = replace(
        state,
        anchor=state.anchor + shift if state.anchor else None,
        next_run=state.next_run + shift if state.next_run else None,
        next_due=state.next_due + shift if state.next_due else None,
    )
    if entry is None:
        return kernel.catalog.entry(record.event, state)
    entry.state = state
    kernel.catalog.prepare(entry)
    return entry


async def _move_retries(kernel: Kernel, step: float) -> None:
    changes: list[Change] = []
    for waiting in kernel.runner.retries.all():
        if waiting.next_attempt_at is None:
            continue
        moved = replace(waiting, next_attempt_at=waiting.next_attempt_at + timedelta(seconds=step))
        kernel.runner.retries.hold(moved)
        changes.append(SaveExecution(moved))
    await kernel.records.keep(changes)
