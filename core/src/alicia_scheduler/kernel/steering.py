"""What is done to an event from outside: pause, resume, skip a slot, undo it; enable and disable;
cancel what is under way; trigger it on behalf of another event's execution.

A slot that is paused or skipped is recorded as such when it comes due; nothing runs.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from msgspec.structs import replace

from alicia_scheduler.api.model import EventExecution, EventRecord, EventState
from alicia_scheduler.api.store import SaveState
from alicia_scheduler.kernel.chains import ancestors_of
from alicia_scheduler.kernel.definitions import save_event
from alicia_scheduler.kernel.ledger import FOR_EVER
from alicia_scheduler.kernel.notifications import about_event
from alicia_scheduler.kernel.slots import slots_after

if TYPE_CHECKING:
    from alicia_scheduler.kernel.catalog import Entry
    from alicia_scheduler.kernel.kernel import Kernel

__all__ = [
    "FOR_EVER",
    "cancel_event",
    "pause",
    "resume",
    "set_enabled",
    "skip_next",
    "trigger_by",
    "unskip",
]

SKIP_LIMIT = 1000
"""Slots of an event that can be marked to be skipped at the same time."""


async def set_enabled(kernel: Kernel, event_id: str, enabled: bool) -> EventRecord:
    """Enable or disable an event: an edit of that field alone, which makes a new revision and
    keeps history and counts. What is under way goes on. An event that is enabled starts its
    schedule anew.

    An event of a file stays of the file: its next load has the last word. Asking for what is so
    already changes nothing.

    Raises:
        KeyError: there is no such event.
    """
    entry = await _entry(kernel, event_id)
    if entry.event.enabled is enabled:
        return entry.record
    return await save_event(kernel, replace(entry.event, enabled=enabled))


async def trigger_by(kernel: Kernel, event_id: str, by: EventExecution) -> list[EventExecution]:
    """Run an event now on behalf of an execution, which becomes the parent of the new one.

    Returns:
        what came of it, as for :meth:`Kernel.trigger`.

    Raises:
        KeyError: there is no such event.
        ValueError: it is unresolved, or it has led to this execution, so that it would go round.
    """
    if event_id in await ancestors_of(kernel, by):
        raise ValueError(f"event {event_id!r} has triggered this execution in the first place")
    return await kernel.trigger(event_id, by)


async def cancel_event(
    kernel: Kernel, event_id: str, *, spare: EventExecution | None = None
) -> list[str]:
    """Cancel the executions of an event that run, queue or wait for a retry, except ``spare``.

    Returns:
        their ids.

    Raises:
        KeyError: there is no such event.
    """
    await _entry(kernel, event_id)
    spared = spare.execution_id if spare is not None else None
    under_way = [execution.execution_id for execution in kernel.runner.of_event(event_id)]
    return [
        execution_id
        for execution_id in under_way
        if execution_id != spared and await kernel.cancel(execution_id, "cancelled")
    ]


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
