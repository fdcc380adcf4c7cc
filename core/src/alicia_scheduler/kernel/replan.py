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
import math
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from alicia_scheduler.api.model import (
    EventExecution,
    EventRecord,
    EventState,
    Status,
    from_epoch,
    to_epoch,
)
from alicia_scheduler.api.store import SaveExecution, SaveFact, SaveState
from alicia_scheduler.kernel.catalog import Entry
from alicia_scheduler.kernel.definitions import refreshed
from alicia_scheduler.kernel.slots import (
    CORRECTION,
    MICROSECOND,
    advance,
    first_slot,
    last_between,
)

if TYPE_CHECKING:
    from alicia_scheduler.kernel.kernel import Kernel

__all__ = ["CORRECTION", "follow_clock_set_back", "note_clock", "replan", "replan_calendars"]

logger = logging.getLogger(__name__)

FACT = "clock"
CAME = frozenset(Status) - {Status.SKIPPED}
"""What tells that the clock has shown a slot; ``min_interval`` skips slots ahead of time."""
BEHIND = 1.0
"""Seconds that the clock may be behind what it showed before, at a start."""


async def note_clock(kernel: Kernel) -> None:
    """Keep what the clock shows, so that the next start can tell that it was set back."""
    await kernel.records.keep([SaveFact(FACT, to_epoch(kernel.clock.now()))])


async def follow_clock_set_back(kernel: Kernel) -> None:
    """At start: when the clock is behind what it showed before, as on a board without a battery
    that boots in 1970, move what would otherwise wait until it shows that again.

    How far a slot has to move is read off its own event: when the clock showed nothing later than
    the slot before it, that one has been decided about. So a second boot moves nothing twice.
    """
    now = kernel.clock.now()
    seen = (await kernel.store.facts()).get(FACT)
    newest = await kernel.store.list_executions(statuses=CAME, limit=1)
    showed = [from_epoch(seen)] if seen is not None else []
    showed += [execution.scheduled_time for execution in newest]
    behind = (max(showed, default=now) - now).total_seconds()
    if behind <= BEHIND:
        return
    moved = await _move_all(kernel, lambda record: _moved_at_start(kernel, record, behind, now))
    for waiting in kernel.runner.retries.all():
        ended = waiting.start_time or waiting.scheduled_time
        moved += await _move_retry(kernel, waiting, min(0.0, (now - ended).total_seconds()))
    if moved:
        _tell(kernel, -behind, moved)


async def replan(kernel: Kernel, step: float) -> None:
    """Move every next slot that a clock set by ``step`` seconds (negative: back) moves."""
    now = kernel.clock.now()
    moved = await _move_all(kernel, lambda record: _moved(kernel, record, step, now))
    for waiting in kernel.runner.retries.all():
        await _move_retry(kernel, waiting, step)
    await note_clock(kernel)
    kernel.restart_agenda()
    _tell(kernel, step, moved)


def _tell(kernel: Kernel, step: float, moved: int) -> None:
    logger.warning("the wall clock was set %s", describe_step(step))
    kernel.notifier.emit(
        "clock_stepped",
        {
            "message": f"the wall clock was set {describe_step(step)}; {moved} events re-planned",
            "step": step,
            "now": to_epoch(kernel.clock.now()),
            "moved": moved,
        },
    )


async def _move_all(kernel: Kernel, move: Callable[[EventRecord], Entry | None]) -> int:
    """Move the next slot of every event that ``move`` answers with, those too that only memory
    knows; how many these are."""
    after: str | None = None
    moved = 0
    unwritten = kernel.records.unwritten_events()
    while page := await _page(kernel, after):
        after = page[-1].event.event_id
        unwritten -= {record.event.event_id for record in page}
        moved += await _move(kernel, page, move)
    only_here = [entry.record for entry in map(kernel.catalog.get, unwritten) if entry is not None]
    return moved + await _move(kernel, only_here, move)


async def _move(
    kernel: Kernel, records: Iterable[EventRecord], move: Callable[[EventRecord], Entry | None]
) -> int:
    """Move these, in one transaction; how many moved."""
    entries = [entry for record in records if (entry := move(record)) is not None]
    await kernel.records.keep([SaveState(each.event.event_id, each.state) for each in entries])
    return len(entries)


async def _page(kernel: Kernel, after: str | None) -> list[EventRecord]:
    """Insists on each page, as what was moved already must not be moved again."""
    page = partial(kernel.store.list_events, after_id=after, limit=1000)
    return await kernel.records.insist(page) or []


async def replan_calendars(kernel: Kernel, why: str) -> int:
    """Build every schedule of the calendar anew and find its next slot again, because what it is
    found from has changed. Slots that are due already stay.

    Returns:
        how many events moved.
    """
    now = kernel.clock.now()
    after: str | None = None
    moved = 0
    while page := await _page(kernel, after):
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
        return _shifted(kernel, entry or kernel.catalog.entry(record.event, state), step, now)
    if step >= -CORRECTION and not _ran_already(state, now):
        return None
    return _found_anew(entry or kernel.catalog.entry(record.event, state), now)


def _moved_at_start(
    kernel: Kernel, record: EventRecord, behind: float, now: datetime
) -> Entry | None:
    """As :func:`_moved`, for an event that a clock which is ``behind`` has left in the future."""
    held = kernel.catalog.get(record.event.event_id)
    entry = held or kernel.catalog.entry(record.event, record.state)
    if entry.state.next_run is None or not entry.event.enabled:
        return None
    if not kernel.catalog.follows_elapsed_time(entry.event):
        return _found_anew(entry, now) if behind > CORRECTION else None
    decided = _decided_before(entry, now)
    if decided is None or decided <= now:
        return None
    # Whole seconds, and with them the microsecond that a shift adds: a boot that shows the very
    # same time as the one before finds other slots.
    return _shifted(kernel, entry, float(math.floor((now - decided).total_seconds())), now)


def _decided_before(entry: Entry, now: datetime) -> datetime | None:
    """The last instant that the clock is known to have shown when a grid's next slot was found."""
    event, state = entry.event, entry.state
    if entry.prepared is None or state.next_run is None:
        return None
    try:
        slot = last_between(entry.prepared.schedule, event, now, state.next_run - MICROSECOND)
    except Exception as error:  # noqa: BLE001 - a schedule type may raise anything
        entry.failed(error)
        return None
    # A grid that begins at starts_at may not have begun.
    return slot if slot is not None or event.starts_at is not None else state.anchor


def _ran_already(state: EventState, now: datetime) -> bool:
    """Whether a clock that was set back and is right again has put the next slot before one that
    has run."""
    return (
        state.last_run is not None
        and state.next_run is not None
        and state.next_run <= state.last_run <= now
    )


def _found_anew(entry: Entry, now: datetime) -> Entry | None:
    """The calendar's next slot from what the clock shows now, and not one that has run."""
    state = entry.state
    if entry.prepared is None or state.next_run is None:
        return None
    again = _ran_already(state, now)
    after = state.last_run if again and state.last_run is not None else now
    schedule = entry.prepared.schedule
    try:
        slot = first_slot(schedule, entry.event, after, state.slot_count)
        if not again and (slot is None or slot >= state.next_run):
            return None
        next_run, next_due = advance(schedule, entry.event, slot)
    except Exception as error:  # noqa: BLE001 - a schedule type may raise anything
        entry.failed(error)
        return None
    entry.state = replace(state, next_run=next_run, next_due=next_due)
    return entry


def _shifted(kernel: Kernel, entry: Entry, step: float, now: datetime) -> Entry | None:
    """The grid of elapsed time moved along with the clock, within the event's bounds. One that
    waits for its ``starts_at`` does not move: that is a day of the calendar."""
    event, state = entry.event, entry.state
    starts_at = event.starts_at
    before = now - timedelta(seconds=step)
    if starts_at is not None and state.anchor == starts_at and before < starts_at:
        return None
    # One microsecond more when set back: no slot may fall on one that has run already.
    shift = timedelta(seconds=step) + (MICROSECOND if step < 0 else timedelta())
    entry.state = replace(
        state,
        anchor=state.anchor + shift if state.anchor else None,
        next_run=state.next_run + shift if state.next_run else None,
        next_due=state.next_due + shift if state.next_due else None,
    )
    kernel.catalog.prepare(entry)
    _keep_within_bounds(entry)
    return entry


def _keep_within_bounds(entry: Entry) -> None:
    """A slot that moved onto an excluded day, or out of its event's bounds, is not one."""
    event, state = entry.event, entry.state
    if entry.prepared is None or state.next_run is None:
        return
    schedule = entry.prepared.schedule
    try:
        slot = first_slot(schedule, event, state.next_run - MICROSECOND, state.slot_count)
        if slot != state.next_run:
            next_run, next_due = advance(schedule, event, slot)
            entry.state = replace(state, next_run=next_run, next_due=next_due)
    except Exception as error:  # noqa: BLE001 - a schedule type may raise anything
        entry.failed(error)


async def _move_retry(kernel: Kernel, waiting: EventExecution, step: float) -> int:
    """Keep the delay of a waiting retry; how many were moved."""
    if waiting.next_attempt_at is None or not step:
        return 0
    moved = replace(waiting, next_attempt_at=waiting.next_attempt_at + timedelta(seconds=step))
    kernel.runner.retries.hold(moved)
    await kernel.records.keep([SaveExecution(moved)])
    return 1
