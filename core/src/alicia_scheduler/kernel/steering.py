"""What a person does to an event from outside its definition: pause, resume, skip a slot, undo it.

A slot that is paused or skipped is recorded as such when it comes due; nothing runs.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from msgspec.structs import replace

from alicia_scheduler.api.model import EventState
from alicia_scheduler.api.store import SaveState
from alicia_scheduler.kernel.ledger import FOR_EVER
from alicia_scheduler.kernel.notifications import about_event
from alicia_scheduler.kernel.slots import slots_after

if TYPE_CHECKING:
    from alicia_scheduler.kernel.catalog import Entry
    from alicia_scheduler.kernel.kernel import Kernel

__all__ = ["FOR_EVER", "pause", "resume", "skip_next", "unskip"]

SKIP_LIMIT = 1000
"""Slots of an event that can be marked to be skipped at the same time."""


async def pause(kernel: Kernel, event_id: str, until: datetime = FOR_EVER) -> None:
    """Let no slot up to ``until`` (aware) run. Manual triggers still do.

    Raises:
        KeyError: there is no such event.
    """
    entry = await _entry(kernel, event_id)
    state = replace(entry.state, paused_until=until, paused_reason=None)
    await _save(kernel, entry, state, "event_paused")


async def resume(kernel: Kernel, event_id: str) -> None:
    """End a pause; slots that passed meanwhile are not run, and failures are counted anew.

    Raises:
        KeyError: there is no such event.
    """
    entry = await _entry(kernel, event_id)
    state = replace(entry.state, paused_until=None, paused_reason=None, failures_in_row=0)
    await _save(kernel, entry, state, "event_resumed")


async def skip_next(kernel: Kernel, event_id: str) -> datetime | None:
    """Mark the next slot that is not marked yet, so that it does not run.

    Returns:
        the slot, or None when the event has no further one.

    Raises:
        KeyError: there is no such event.
        ValueError: as many slots are marked as can be.
    """
    entry = await _entry(kernel, event_id)
    if len(entry.state.skip_slots) >= SKIP_LIMIT:
        raise ValueError(f"{event_id!r} has {SKIP_LIMIT} skipped slots; pause it instead")
    slot = _next_unmarked(entry)
    if slot is not None:
        skip_slots = (*entry.state.skip_slots, slot)
        await _save(kernel, entry, replace(entry.state, skip_slots=skip_slots), "event_skipping")
    return slot


async def unskip(kernel: Kernel, event_id: str) -> datetime | None:
    """Take the last mark of :func:`skip_next` back.

    Returns:
        the slot that runs again, or None when none was marked.

    Raises:
        KeyError: there is no such event.
    """
    entry = await _entry(kernel, event_id)
    if not entry.state.skip_slots:
        return None
    *others, slot = entry.state.skip_slots
    await _save(kernel, entry, replace(entry.state, skip_slots=tuple(others)), "event_skipping")
    return slot


def _next_unmarked(entry: Entry) -> datetime | None:
    slot = entry.state.next_run
    if slot is None or slot not in entry.state.skip_slots or entry.prepared is None:
        return slot
    following = slots_after(entry.prepared.schedule, entry.event, slot)
    return next((slot for slot in following if slot not in entry.state.skip_slots), None)


async def _entry(kernel: Kernel, event_id: str) -> Entry:
    await kernel.catalog.load([event_id])
    entry = kernel.catalog.get(event_id)
    if entry is None:
        raise KeyError(event_id)
    return entry


async def _save(kernel: Kernel, entry: Entry, state: EventState, event_type: str) -> None:
    entry.state = state
    await kernel.records.keep(
        [SaveState(entry.event.event_id, state)], [about_event(event_type, entry.record)]
    )
