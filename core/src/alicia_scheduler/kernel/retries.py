"""Executions that wait for their next attempt. They are stored; this is what the kernel has in
hand of them, to count them for overlap and to find them again."""

from __future__ import annotations

from alicia_scheduler.api.model import EventExecution

__all__ = ["Retries"]


class Retries:
    """Waiting executions by event. No run, no task and no place belongs to one."""

    def __init__(self) -> None:
        self._by_event: dict[str, dict[str, EventExecution]] = {}
        self._event_of: dict[str, str] = {}

    def hold(self, execution: EventExecution) -> None:
        """Remember an execution that waits, or what has become of it."""
        waiting = self._by_event.setdefault(execution.event_id, {})
        waiting[execution.execution_id] = execution
        self._event_of[execution.execution_id] = execution.event_id

    def take(self, execution_id: str) -> EventExecution | None:
        """Take an execution out of its wait; None when it does not wait."""
        event_id = self._event_of.pop(execution_id, None)
        if event_id is None:
            return None
        waiting = self._by_event[event_id]
        execution = waiting.pop(execution_id)
        if not waiting:
            del self._by_event[event_id]
        return execution

    def get(self, execution_id: str) -> EventExecution | None:
        """The execution of this id, if it waits."""
        event_id = self._event_of.get(execution_id)
        return None if event_id is None else self._by_event[event_id][execution_id]

    def of_event(self, event_id: str) -> list[EventExecution]:
        """Those of an event, in the order in which they began to wait."""
        return list(self._by_event.get(event_id, {}).values())

    def any_of_event(self, event_id: str) -> bool:
        """Whether an event has one."""
        return event_id in self._by_event

    def all(self) -> list[EventExecution]:
        """Every one there is."""
        return [run for waiting in self._by_event.values() for run in waiting.values()]
