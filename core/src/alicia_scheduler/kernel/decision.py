"""A decision on its way from the planner to the store and then into the world."""

from __future__ import annotations

from dataclasses import dataclass, field

from alicia_scheduler.api.model import EventExecution
from alicia_scheduler.kernel.catalog import Entry
from alicia_scheduler.kernel.ledger import settled
from alicia_scheduler.kernel.runner import Run

__all__ = ["Decision"]


@dataclass
class Decision:
    """What one transaction will hold and what follows it.

    Attributes:
        launches: runs that have a place and start once this is committed.
        queued: runs that wait in their lane or for a place.
        closed: executions that are final, with their event if it still exists.
        moved: events whose next slot has changed.
        cancelled: ids of executions to cancel.
    """

    launches: list[Run] = field(default_factory=list)
    queued: list[Run] = field(default_factory=list)
    closed: list[tuple[Entry | None, EventExecution]] = field(default_factory=list)
    moved: list[Entry] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)

    def close(self, entry: Entry | None, execution: EventExecution) -> None:
        """Note a final record, and count it into the event's state."""
        if entry is not None:
            entry.state = settled(entry.state, execution)
        self.closed.append((entry, execution))
