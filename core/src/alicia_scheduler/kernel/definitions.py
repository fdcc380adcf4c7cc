"""Changes of definitions: create, edit, remove, and the difference that a file makes.

Definitions are immutable: an edit makes a new revision. An edit that leaves the schedule alone
leaves the next slot alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec.structs import replace

from alicia_scheduler.api.model import EventRecord, EventState, ScheduledEvent
from alicia_scheduler.api.store import Change, RemoveEvent, SaveEvent
from alicia_scheduler.kernel.catalog import Entry
from alicia_scheduler.kernel.chains import refuse_cycles
from alicia_scheduler.kernel.listing import known_events
from alicia_scheduler.kernel.notifications import Told, about_error, about_event
from alicia_scheduler.kernel.slots import CORRECTION, advance, first_slot

if TYPE_CHECKING:
    from alicia_scheduler.kernel.kernel import Kernel

__all__ = [
    "Difference",
    "OtherRevision",
    "compare_origin",
    "remove_event",
    "reschedule",
    "save_event",
    "sync_origin",
]

SCHEDULE_FIELDS = (
    "schedule_type",
    "schedule_config",
    "timezone",
    "enabled",
    "jitter",
    "starts_at",
    "ends_at",
    "max_runs",
)
"""The fields that decide when an event runs; a change of one starts the schedule anew."""

FILTER_FIELDS = ("exclude", "dst_gap", "dst_overlap")
"""The fields that decide which slots count; a change of one finds the next slot anew, and a grid
stays where it is."""

TOGETHER = 200
"""Events that a set of definitions changes without a pause: some ten milliseconds."""

KERNEL_FIELDS = ("created_at", "updated_at", "revision", "origin")


@dataclass
class Difference:
    """What a set of definitions changes, by event id."""

    created: list[str] = field(default_factory=list)
    updated: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    unchanged: list[str] = field(default_factory=list)


class OtherRevision(ValueError):
    """An edit was made for a revision that the event does not have.

    Attributes:
        revision: the one that it has; 0 when there is no such event.
    """

    def __init__(self, event_id: str, revision: int, expected: int) -> None:
        there = f"is at revision {revision}" if revision else "does not exist"
        wanted = f"not at revision {expected}" if expected else "and was to be new"
        super().__init__(f"event {event_id!r} {there}, {wanted}")
        self.revision = revision


async def save_event(
    kernel: Kernel, event: ScheduledEvent, *, expected: int | None = None
) -> EventRecord:
    """Create an event, or replace the one with its id by a new revision.

    Args:
        expected: the revision that is to be replaced; 0 when there must be none.

    Raises:
        ConfigError: it would trigger itself in the end.
        OtherRevision: it is at another one than expected; nothing was changed.
    """
    await refuse_cycles(kernel, event)
    known = await known_events(kernel, [event.event_id])
    # From here to the new definition in hand nobody else gets a turn.
    _expect(known.get(event.event_id), event.event_id, expected)
    difference = Difference()
    await _save(kernel, [event], known, difference)
    entry = kernel.catalog.get(event.event_id)
    return entry.record if entry else known[event.event_id]


async def remove_event(kernel: Kernel, event_id: str, *, expected: int | None = None) -> None:
    """Remove an event and cancel what of it is under way; its executions stay as history.

    Args:
        expected: the revision that it must be at.

    Raises:
        KeyError: there is no such event.
        OtherRevision: it is at another one than expected; nothing was changed.
    """
    record = (await known_events(kernel, [event_id])).get(event_id)
    if record is None:
        raise KeyError(event_id)
    _expect(record, event_id, expected)
    await _remove(kernel, [record], Difference())


def _expect(record: EventRecord | None, event_id: str, expected: int | None) -> None:
    revision = record.event.revision if record is not None else 0
    if expected is not None and revision != expected:
        raise OtherRevision(event_id, revision, expected)


async def sync_origin(kernel: Kernel, origin: str, events: Sequence[ScheduledEvent]) -> Difference:
    """Make ``events`` all that there is of an origin: create, edit and remove what differs.

    Of many events some are done at a time, and what is due has its turn in between.
    """
    known = await _known_of_origin(kernel, origin, events)
    difference = Difference()
    for begin in range(0, len(events), TOGETHER):
        some = events[begin : begin + TOGETHER]
        if begin:
            known |= await known_events(kernel, [event.event_id for event in some])
        await _save(kernel, some, known, difference)
    wanted = {event.event_id for event in events}
    gone = [event_id for event_id in known if event_id not in wanted]
    for begin in range(0, len(gone), TOGETHER):
        current = await known_events(kernel, gone[begin : begin + TOGETHER])
        leaving = [record for record in current.values() if record.event.origin == origin]
        await _remove(kernel, leaving, difference)
    return difference


async def compare_origin(
    kernel: Kernel, origin: str, events: Sequence[ScheduledEvent]
) -> tuple[Difference, dict[str, list[str]]]:
    """What :func:`sync_origin` would do now, without doing it; and for each event that it would
    edit, the names of the fields that differ."""
    known = await _known_of_origin(kernel, origin, events)
    now = kernel.clock.now()
    difference, fields = Difference(), {}
    for event in events:
        old = known.pop(event.event_id, None)
        if old is None:
            difference.created.append(event.event_id)
        elif (edited := _revised(old.event, event, now)) is None:
            difference.unchanged.append(event.event_id)
        else:
            difference.updated.append(event.event_id)
            fields[event.event_id] = [
                name
                for name in edited.__struct_fields__
                if name not in ("revision", "updated_at")
                and getattr(edited, name) != getattr(old.event, name)
            ]
    difference.removed.extend(known)
    return difference, fields


async def _known_of_origin(
    kernel: Kernel, origin: str, events: Sequence[ScheduledEvent]
) -> dict[str, EventRecord]:
    """The events of an origin as they are, and those of other origins that ``events`` replaces."""
    known: dict[str, EventRecord] = {}
    after: str | None = None
    while page := await kernel.store.list_events(origin=origin, after_id=after):
        known |= {record.event.event_id: record for record in page}
        after = page[-1].event.event_id
    # An id may be taken by an event of another origin; then this one replaces it.
    wanted = {event.event_id for event in events}
    # What the store lacks, or has in an older version, because it cannot be written.
    unwritten = kernel.records.unwritten_events()
    known = await known_events(kernel, known.keys() | unwritten | wanted)
    return {
        event_id: record
        for event_id, record in known.items()
        if event_id in wanted or record.event.origin == origin
    }


async def _save(
    kernel: Kernel,
    events: Sequence[ScheduledEvent],
    known: dict[str, EventRecord],
    difference: Difference,
) -> None:
    now = kernel.clock.now()
    entries: list[tuple[str, Entry]] = []
    told: list[Told] = []
    for event in events:
        old = known.get(event.event_id)
        if old is None:
            entry = _scheduled(kernel, event, EventState(), now)
            difference.created.append(event.event_id)
            entries.append(("event_created", entry))
            continue
        state = old.state
        edited = _revised(old.event, event, now)
        if edited is None:
            entry = kernel.catalog.put(old.event, state)
            difference.unchanged.append(event.event_id)
            if state.anchor is None and entry.prepared is not None:
                entries.append(("event_scheduled", _scheduled(kernel, old.event, state, now)))
            elif refreshed(kernel, entry, now):
                entries.append(("event_scheduled", entry))
            continue
        if _same(SCHEDULE_FIELDS, old.event, edited) and state.anchor is not None:
            entry = kernel.catalog.put(edited, state)
            if not _same(FILTER_FIELDS, old.event, edited):
                refreshed(kernel, entry, now, edited=True)
        else:
            entry = _scheduled(kernel, edited, state, now)
        difference.updated.append(event.event_id)
        entries.append(("event_updated", entry))
        if edited.enabled is not old.event.enabled:
            switched = "event_enabled" if edited.enabled else "event_disabled"
            told.append(about_event(switched, entry.record))
    for event_type, entry in entries:
        told.append(about_event(event_type, entry.record))
        if entry.prepared is None and entry.event.enabled:
            event_id = entry.event.event_id
            problem = f"event {event_id!r} is unresolved: {entry.problem}"
            told.append(about_error(problem, event_id=event_id, kind="unresolved"))
    await kernel.records.keep([SaveEvent(entry.event, entry.state) for _, entry in entries], told)
    for _, entry in entries:
        kernel.put_next(entry)


async def reschedule(kernel: Kernel, records: Sequence[EventRecord]) -> list[str]:
    """Start the schedules of events that could not be before, as a type was missing.

    Returns:
        the ids of those that could.
    """
    now = kernel.clock.now()
    entries = [
        entry
        for record in records
        if (entry := _scheduled(kernel, record.event, record.state, now)).prepared is not None
    ]
    told = [about_event("event_scheduled", entry.record) for entry in entries]
    await kernel.records.keep([SaveEvent(entry.event, entry.state) for entry in entries], told)
    for entry in entries:
        kernel.put_next(entry)
    return [entry.event.event_id for entry in entries]


async def _remove(kernel: Kernel, records: Sequence[EventRecord], difference: Difference) -> None:
    changes: list[Change] = []
    for record in records:
        event_id = record.event.event_id
        await _cancel_all(kernel, event_id)
        changes.append(RemoveEvent(event_id))
        difference.removed.append(event_id)
    await kernel.records.keep(changes, [about_event("event_deleted", each) for each in records])
    for record in records:
        event_id = record.event.event_id
        entry = kernel.catalog.get(event_id)
        if entry is not None and entry.event != record.event:
            # Somebody made it anew while that was written down.
            continue
        kernel.catalog.remove(event_id)
        kernel.agenda.discard(event_id)
        # Those that came while the removal was written down.
        await _cancel_all(kernel, event_id)


async def _cancel_all(kernel: Kernel, event_id: str) -> None:
    for execution in kernel.runner.of_event(event_id):
        await kernel.cancel(execution.execution_id, "removed")


def refreshed(kernel: Kernel, entry: Entry, now: datetime, *, edited: bool = False) -> bool:
    """Find the next slot again, because what it is found from may have changed: a calendar of the
    configuration, the rules of a time zone, or (``edited``) the definition's own filters. A slot
    that is due stays: it is the misfire policy's."""
    state, event = entry.state, entry.event
    if entry.prepared is None or not event.enabled:
        return False
    if state.next_run is None and not edited:
        return False
    if state.next_run is not None and state.next_run <= now:
        return False
    after = _last_handled(kernel, entry, now)
    if kernel.catalog.follows_elapsed_time(event):
        filtered = edited or entry.prepared.exclusions is not None
        clock_is_behind = state.anchor is not None and after < state.anchor
        if not filtered or clock_is_behind:
            return False
    try:
        slot = first_slot(entry.prepared.schedule, event, after, state.slot_count)
        if slot == state.next_run:
            return False
        next_run, next_due = advance(entry.prepared.schedule, event, slot)
    except Exception as error:  # noqa: BLE001 - a schedule type may raise anything
        entry.failed(error)
        return False
    entry.state = replace(state, next_run=next_run, next_due=next_due)
    return True


def _last_handled(kernel: Kernel, entry: Entry, now: datetime) -> datetime:
    """``now``, or the instant of the last run when the clock was set back to before it by less
    than a correction: that slot is not found again."""
    running = kernel.runner.of_event(entry.event.event_id)
    instants = [execution.scheduled_time for execution in running]
    if entry.state.last_run is not None:
        instants.append(entry.state.last_run)
    near = (instant for instant in instants if (instant - now).total_seconds() <= CORRECTION)
    return max([now, *near])


def _scheduled(kernel: Kernel, event: ScheduledEvent, state: EventState, now: datetime) -> Entry:
    """Start the event's schedule at ``now``; what was counted stays counted."""
    entry = kernel.catalog.put(event, replace(state, anchor=event.starts_at or now))
    slot = due = None
    if entry.prepared is not None and event.enabled:
        try:
            slot = first_slot(entry.prepared.schedule, event, now, entry.state.slot_count)
            slot, due = advance(entry.prepared.schedule, event, slot)
        except Exception as error:  # noqa: BLE001 - a schedule type may raise anything
            entry.failed(error)
    anchor = entry.state.anchor if entry.prepared is not None else None
    entry.state = replace(entry.state, next_run=slot, next_due=due, anchor=anchor)
    return entry


def _revised(old: ScheduledEvent, new: ScheduledEvent, now: datetime) -> ScheduledEvent | None:
    """``new`` as the next revision of ``old``, or None when they say the same."""
    revised = replace(new, created_at=old.created_at, updated_at=now, revision=old.revision + 1)
    kept = {name: getattr(old, name) for name in KERNEL_FIELDS}
    if replace(revised, **kept) == old and revised.origin == old.origin:
        return None
    return revised


def _same(names: Sequence[str], old: ScheduledEvent, new: ScheduledEvent) -> bool:
    return all(getattr(old, name) == getattr(new, name) for name in names)
