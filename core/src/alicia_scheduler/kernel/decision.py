"""A decision on its way from the planner to the store and then into the world."""

from __future__ import annotations

from dataclasses import dataclass, field

from alicia_scheduler.api.model import EventExecution
from alicia_scheduler.api.store import Change, SaveExecution, SaveState
from alicia_scheduler.kernel.catalog import Entry
from alicia_scheduler.kernel.ledger import settled
from alicia_scheduler.kernel.notifications import Told, about_execution, about_transitions
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
        also: what else is told, after the ends: what these mean for their events.
    """

    launches: list[Run] = field(default_factory=list)
    queued: list[Run] = field(default_factory=list)
    closed: list[tuple[Entry | None, EventExecution]] = field(default_factory=list)
    moved: list[Entry] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    also: list[Told] = field(default_factory=list)

    def close(self, entry: Entry | None, execution: EventExecution) -> None:
        """Note a final record, and count it into the event's state."""
        if entry is not None:
            before = entry.state
            entry.state = settled(entry.event, before, execution)
            told = about_transitions(entry.event, before, entry.state, execution)
            self.also.extend(told)
        self.closed.append((entry, execution))

    def changes(self) -> list[Change]:
        """What the transaction holds: every record, and the state of every event touched."""
        runs = [*self.launches, *self.queued]
        changes: list[Change] = [SaveExecution(execution) for _, execution in self.closed]
        changes += [SaveExecution(run.execution) for run in runs]
        touched = [*self.moved, *(entry for entry, _ in self.closed if entry is not None)]
        states = {entry.event.event_id: entry.state for entry in touched}
        changes += [SaveState(event_id, state) for event_id, state in states.items()]
        return changes

    def told(self) -> list[Told]:
        """What is told about it, in the order of what happens."""
        ends = [
            about_execution(execution, owner.event.name if owner else execution.event_id)
            for owner, execution in self.closed
        ]
        runs = [*self.queued, *self.launches]
        return [*ends, *self.also] + [
            about_execution(run.execution, run.event.name) for run in runs
        ]

    def drop(self, execution_id: str) -> list[Run]:
        """Take an execution out; the runs that were reserved for it are returned."""
        runs = [*self.launches, *self.queued]
        dropped = [run for run in runs if run.execution.execution_id == execution_id]
        self.launches = [run for run in self.launches if run not in dropped]
        self.queued = [run for run in self.queued if run not in dropped]
        self.closed = [pair for pair in self.closed if pair[1].execution_id != execution_id]
        return dropped
