"""The events the kernel has in hand: definition, state and built schedule of what is near.

The store keeps everything; this is a bounded part of it, loaded when it comes due. While an event
is in the catalog its entry is the truth about its state, and the store follows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from alicia_scheduler.api.errors import ConfigError
from alicia_scheduler.api.model import EventRecord, EventState, ScheduledEvent
from alicia_scheduler.api.store import Store
from alicia_scheduler.kernel.clock import Clock
from alicia_scheduler.kernel.prepared import Prepared, Types, Unresolved

__all__ = ["Catalog", "Entry"]


@dataclass(slots=True)
class Entry:
    """One event in hand.

    Attributes:
        prepared: what to plan and run it with, or None when it is unresolved.
        problem: the sentence that says why it is unresolved.
    """

    event: ScheduledEvent
    state: EventState
    prepared: Prepared | None = None
    problem: str | None = None

    @property
    def record(self) -> EventRecord:
        return EventRecord(self.event, self.state)

    def failed(self, error: Exception) -> None:
        """Its schedule raised: it is unresolved until something about it changes."""
        self.prepared = None
        self.problem = f"its schedule failed: {type(error).__name__}: {error}"


class Catalog:
    """Entries by event id.

    Args:
        removed: true of an event that the store still has only because it cannot be written.
        limit: how many entries are kept when more than that have been used.
    """

    def __init__(
        self,
        store: Store,
        types: Types,
        clock: Clock,
        removed: Callable[[str], bool],
        limit: int = 20_000,
    ) -> None:
        self._store = store
        self._removed = removed
        self._types = types
        self._clock = clock
        self._limit = limit
        self._entries: dict[str, Entry] = {}
        self._removals = 0

    def get(self, event_id: str) -> Entry | None:
        """The entry in hand, if it is."""
        return self._entries.get(event_id)

    def put(self, event: ScheduledEvent, state: EventState) -> Entry:
        """Take an event in hand, with its schedule built. One that is in hand stays the same entry:
        a decision about it that is being committed goes on with what was edited meanwhile."""
        fresh = self.entry(event, state)
        entry = self._entries.setdefault(event.event_id, fresh)
        entry.event, entry.state = fresh.event, fresh.state
        entry.prepared, entry.problem = fresh.prepared, fresh.problem
        return entry

    def entry(self, event: ScheduledEvent, state: EventState) -> Entry:
        """An entry with its schedule built, without taking the event in hand."""
        entry = Entry(event, state)
        self.prepare(entry)
        return entry

    def remove(self, event_id: str) -> None:
        """Let go of an event that is no more."""
        self._entries.pop(event_id, None)
        self._removals += 1

    def prepare(self, entry: Entry) -> None:
        """Build the entry's schedule, or note why it cannot be built."""
        anchor = entry.state.anchor or entry.event.starts_at or self._clock.now()
        try:
            entry.prepared = self._types.prepare(entry.event, anchor)
            entry.problem = None
        except (Unresolved, ConfigError) as error:
            entry.prepared = None
            entry.problem = str(error)
        except Exception as error:  # noqa: BLE001 - a schedule type may raise anything
            entry.failed(error)

    def follows_elapsed_time(self, event: ScheduledEvent) -> bool:
        """See :meth:`Types.follows_elapsed_time`."""
        return self._types.follows_elapsed_time(event)

    def records(self) -> list[EventRecord]:
        """Everything in hand."""
        return [entry.record for entry in self._entries.values()]

    async def load(self, event_ids: Iterable[str]) -> None:
        """Bring events in hand that are not, as far as the store has them."""
        absent = {event_id for event_id in event_ids if event_id not in self._entries}
        if not absent:
            return
        found: dict[str, EventRecord] = {}
        read_at = -1
        while read_at != self._removals:
            # What was read before something was removed may be no more.
            read_at = self._removals
            found = await self._store.records(absent)
        for event_id, record in found.items():
            if event_id not in self._entries and not self._removed(event_id):
                self.put(record.event, record.state)

    def trim(self, busy: Callable[[str], bool]) -> None:
        """Let go of the oldest entries beyond the limit that have nothing under way."""
        excess = len(self._entries) - self._limit
        if excess <= 0:
            return
        idle = (event_id for event_id in self._entries if not busy(event_id))
        for event_id in [event_id for event_id, _ in zip(idle, range(excess), strict=False)]:
            del self._entries[event_id]
