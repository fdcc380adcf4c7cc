"""What could not be written, kept in memory until it can be: bounded, the newest of each."""

from __future__ import annotations

from collections.abc import Iterable

from alicia_scheduler.api.store import (
    Change,
    DropNotifications,
    RemoveEvent,
    SaveEvent,
    SaveExecution,
    SaveFact,
    SaveNotification,
    SaveState,
)

__all__ = ["HISTORY_LIMIT", "STATE_LIMIT", "Backlog"]

HISTORY_LIMIT = 10_000
"""Executions and notifications kept at the most; the oldest go first, counted."""

STATE_LIMIT = 100_000
"""Definitions and states kept at the most. Beyond it the oldest go too, counted."""

Key = tuple[str, str]


class Backlog:
    """Changes in the order of their latest version, one for each thing that changed.

    Attributes:
        lost: how many changes were given up because there was no room.
    """

    def __init__(self, history_limit: int = HISTORY_LIMIT, state_limit: int = STATE_LIMIT) -> None:
        self.lost = 0
        self._history: dict[Key, Change] = {}
        self._states: dict[Key, Change] = {}
        self._history_limit = history_limit
        self._state_limit = state_limit

    def __len__(self) -> int:
        return len(self._history) + len(self._states)

    def holds(self, event_id: str) -> bool:
        """True while a state of this event is newer here than in the store."""
        return ("state", event_id) in self._states or ("event", event_id) in self._states

    def holds_removal(self, event_id: str) -> bool:
        """True while the store has this event and should not."""
        return ("removal", event_id) in self._states and ("event", event_id) not in self._states

    def events(self) -> set[str]:
        """The ids of the events whose definition is newer here than in the store."""
        return {event_id for kind, event_id in self._states if kind == "event"}

    def add(self, changes: Iterable[Change]) -> None:
        """Take changes in; a newer version of a thing takes the place of an older one."""
        for change in changes:
            kind, name = _key(change)
            if kind == "removal":
                for older in ("event", "state"):
                    self._states.pop((older, name), None)
            history = kind in ("execution", "notification")
            room = self._history if history else self._states
            room.pop((kind, name), None)
            room[kind, name] = change
            limit = self._history_limit if history else self._state_limit
            if len(room) > limit:
                del room[next(iter(room))]
                self.lost += 1

    def first(self, limit: int) -> list[Change]:
        """The oldest changes, definitions and states before the history that refers to them."""
        found = [*self._states.values()][:limit]
        return found + [*self._history.values()][: limit - len(found)]

    def written(self, changes: Iterable[Change]) -> None:
        """Let go of changes that the store has now, unless there is a newer version by now."""
        for change in changes:
            key = _key(change)
            for room in (self._states, self._history):
                if room.get(key) is change:
                    del room[key]


def _key(change: Change) -> Key:
    match change:
        case SaveEvent():
            return "event", change.event.event_id
        case SaveState():
            return "state", change.event_id
        case RemoveEvent():
            return "removal", change.event_id
        case SaveExecution():
            return "execution", change.execution.execution_id
        case SaveFact():
            return "fact", change.name
        case SaveNotification():
            return "notification", str(change.notification.sequence)
        case DropNotifications():
            return "fact", "dropped notifications"
