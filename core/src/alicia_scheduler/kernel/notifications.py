"""What the kernel tells the outside: numbered notifications to whoever listens.

Listeners are called in place and must only hand over (to a bounded queue); one that raises is
dropped and logged, so that nothing that watches can stop what is watched.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from itertools import count
from typing import Any

from alicia_scheduler.api.model import EventExecution, EventRecord, Notification, to_wire
from alicia_scheduler.kernel.clock import Clock
from alicia_scheduler.kernel.ledger import describe, notification_type

__all__ = ["Listener", "Notifier"]

logger = logging.getLogger(__name__)

Listener = Callable[[Notification], None]


class Notifier:
    """Numbers notifications and hands each to every listener, in order.

    Args:
        clock: stamps them.
        source: who speaks; the Alicia bus knows this service as ``event_scheduler``.
    """

    def __init__(self, clock: Clock, source: str = "event_scheduler") -> None:
        self._clock = clock
        self._source = source
        self._sequence = count(1)
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Call ``listener`` with every notification from now on."""
        self._listeners.append(listener)

    def emit(self, event_type: str, event_data: dict[str, Any]) -> None:
        """Tell all listeners."""
        notification = Notification(
            event_type=event_type,
            event_data=event_data,
            timestamp=self._clock.now(),
            source=self._source,
            sequence=next(self._sequence),
        )
        for listener in tuple(self._listeners):
            try:
                listener(notification)
            except Exception:
                logger.exception("a listener of notifications failed and is dropped")
                self._listeners.remove(listener)

    def execution(self, execution: EventExecution, name: str) -> None:
        """Tell how an execution stands now."""
        self.emit(notification_type(execution), describe(execution, name))

    def event(self, event_type: str, record: EventRecord) -> None:
        """Tell what became of a definition."""
        self.emit(event_type, to_wire(record))

    def error(self, message: str, *, event_id: str | None = None, kind: str = "error") -> None:
        """Tell about trouble that is no execution's own failure."""
        self.emit("error", {"message": message, "event_id": event_id, "class": kind})
