"""What the kernel tells the outside: numbered notifications to whoever listens.

Numbers grow by one and are given when something is decided; whoever listens hears it when it is
durable, in the order of the numbers. Listeners are called in place and must only hand over (to a
bounded queue); one that raises is dropped and logged, so that nothing that watches can stop what
is watched.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from alicia_scheduler.api.model import (
    EventExecution,
    EventRecord,
    EventState,
    Notification,
    ScheduledEvent,
    to_epoch,
    to_wire,
)
from alicia_scheduler.kernel.clock import Clock
from alicia_scheduler.kernel.ledger import describe, notification_type

__all__ = [
    "Listener",
    "Notifier",
    "Told",
    "about_error",
    "about_event",
    "about_execution",
    "about_transitions",
]

logger = logging.getLogger(__name__)

Listener = Callable[[Notification], None]


class Told(NamedTuple):
    """Something to tell, before it has its number."""

    event_type: str
    event_data: dict[str, Any]


def about_execution(execution: EventExecution, name: str) -> Told:
    """How an execution of the event called ``name`` stands now."""
    return Told(notification_type(execution), describe(execution, name))


def about_event(event_type: str, record: EventRecord) -> Told:
    """What became of a definition."""
    return Told(event_type, to_wire(record))


def about_transitions(
    event: ScheduledEvent, before: EventState, after: EventState, ended: EventExecution
) -> list[Told]:
    """What an ended execution changed about its event as a whole: it began to fail, it works
    again, it pauses itself."""
    told: list[Told] = []
    if after.failing_since == before.failing_since and after.paused_until == before.paused_until:
        return told
    record = EventRecord(event, after)
    if after.failing_since and not before.failing_since:
        told.append(about_event("event_failing", record))
    if before.failing_since and not after.failing_since:
        recovered = about_event("event_recovered", record)
        recovered.event_data["failures"] = before.failures_in_row
        recovered.event_data["failed_since"] = to_epoch(before.failing_since)
        if ended.end_time is not None:
            outage = (ended.end_time - before.failing_since).total_seconds()
            recovered.event_data["outage"] = outage
        told.append(recovered)
    if after.paused_until != before.paused_until:
        logger.warning("event %r pauses: %s", event.event_id, after.paused_reason)
        told.append(about_event("event_paused", record))
    return told


def about_error(message: str, *, event_id: str | None = None, kind: str = "error") -> Told:
    """Trouble that is no execution's own failure; ``kind`` is its class, a stable word."""
    return Told("error", {"message": message, "event_id": event_id, "class": kind})


class Notifier:
    """Numbers notifications and hands each to every listener, in order.

    Args:
        clock: stamps them.
        source: who speaks; the Alicia bus knows this service as ``event_scheduler``.
        redact: takes out of the data what must not be told.

    Attributes:
        last: the number given last.
        redact: as given; for what is cut before it is told, as a part may not be recognised.
    """

    def __init__(
        self,
        clock: Clock,
        source: str = "event_scheduler",
        redact: Callable[[dict[str, Any]], dict[str, Any]] = lambda data: data,
    ) -> None:
        self.last = 0
        self._clock = clock
        self._source = source
        self.redact = redact
        self._heard = 0
        self._jumps: dict[int, int] = {}
        self._ready: dict[int, Notification] = {}
        self._listeners: list[Listener] = []
        self._keep: Callable[[Notification], None] | None = None

    def listen(self, listener: Listener) -> None:
        """Call ``listener`` with every notification from now on."""
        self._listeners.append(listener)

    def unlisten(self, listener: Listener) -> None:
        """Call ``listener`` no more."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    def resume(self, last: int) -> None:
        """Go on behind the number that was given last, by an earlier run of the host. What has its
        number already is heard before what comes."""
        if last <= self.last:
            return
        self._jumps[self.last] = last
        self.last = last
        self._heard = self._jumps.pop(self._heard, self._heard)

    def keep_with(self, keep: Callable[[Notification], None] | None) -> None:
        """Hand what is emitted to ``keep``, which makes it durable and then delivers it; with
        None it is delivered at once."""
        self._keep = keep

    def reserve(self, count: int) -> int:
        """Take the next ``count`` numbers; each must be delivered. Returns the first."""
        first = self.last + 1
        self.last += count
        return first

    def numbered(self, told: Iterable[Told], first: int) -> list[Notification]:
        """The notifications for what is to be told, with reserved numbers from ``first`` on."""
        now = self._clock.now()
        return [
            Notification(
                event_type=item.event_type,
                event_data=self.redact(item.event_data),
                timestamp=now,
                source=self._source,
                sequence=number,
            )
            for number, item in enumerate(told, first)
        ]

    def deliver(self, notifications: Iterable[Notification]) -> None:
        """Let listeners hear these, each as soon as all that have lower numbers were heard."""
        for notification in notifications:
            self._ready[notification.sequence] = notification
        while (following := self._ready.pop(self._heard + 1, None)) is not None:
            self._heard = self._jumps.pop(self._heard + 1, self._heard + 1)
            self._call_listeners(following)

    def emit(self, event_type: str, event_data: dict[str, Any]) -> None:
        """Tell something that goes with no change of the store."""
        (notification,) = self.numbered([Told(event_type, event_data)], self.reserve(1))
        if self._keep is None:
            self.deliver([notification])
        else:
            self._keep(notification)

    def error(self, message: str, *, event_id: str | None = None, kind: str = "error") -> None:
        """Tell about trouble that is no execution's own failure."""
        self.emit(*about_error(message, event_id=event_id, kind=kind))

    def _call_listeners(self, notification: Notification) -> None:
        for listener in tuple(self._listeners):
            try:
                listener(notification)
            except Exception:
                logger.exception("a listener of notifications failed and is dropped")
                self._listeners.remove(listener)
