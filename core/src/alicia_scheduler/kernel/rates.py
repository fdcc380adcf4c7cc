"""Events that come too often: told once, so that a loop of triggers or a schedule gone wild is
noticed long before it fills a disk."""

from __future__ import annotations

import logging

from alicia_scheduler.api.model import ScheduledEvent
from alicia_scheduler.kernel.clock import Clock
from alicia_scheduler.kernel.notifications import Notifier

__all__ = ["TRIGGERS_PER_HOUR", "Rates"]

logger = logging.getLogger(__name__)

TRIGGERS_PER_HOUR = 1000
"""An event that is triggered more often raises an alarm (reliability.md R72)."""

HOUR = 3600.0
BUCKET = 60.0
"""Seconds whose triggers are counted together: the hour slides by so much."""

FORGET_BEYOND = 1000
"""Events in the book of triggers beyond which those of the last hour are picked out; and events
whose pace was told that are remembered."""


class _Triggers:
    """How often one event was triggered within the last hour."""

    def __init__(self) -> None:
        self.alarmed_at = -HOUR
        self._buckets: dict[int, int] = {}

    def add(self, now: float) -> int:
        """Count one more; how many there were within the hour."""
        current = int(now // BUCKET)
        oldest = current - int(HOUR // BUCKET)
        self._buckets = {start: n for start, n in self._buckets.items() if start > oldest}
        self._buckets[current] = self._buckets.get(current, 0) + 1
        return sum(self._buckets.values())

    def idle(self, now: float) -> bool:
        newest = max(self._buckets, default=0)
        return (newest + 1) * BUCKET + HOUR < now and self.alarmed_at + HOUR < now


class Rates:
    """Watches how often events come, and raises the alarm: an ``error`` of class ``rate``."""

    def __init__(self, clock: Clock, notifier: Notifier, min_interval: float) -> None:
        self._clock = clock
        self._notifier = notifier
        self.min_interval = min_interval
        self._crowded: dict[str, int] = {}
        self._triggers: dict[str, _Triggers] = {}

    def crowded(self, event: ScheduledEvent) -> None:
        """Slots of the event follow each other too fast: told once for each revision of it."""
        if self._crowded.get(event.event_id) == event.revision:
            return
        self._crowded[event.event_id] = event.revision
        if len(self._crowded) > FORGET_BEYOND:
            # Events come and go; one that is forgotten is told once more.
            del self._crowded[next(iter(self._crowded))]
        self._tell(
            event,
            f"the schedule of event {event.event_id!r} is faster than min_interval = "
            f"{self.min_interval:g} s; the slots in between are skipped",
        )

    def triggered(self, event: ScheduledEvent) -> None:
        """Somebody triggered the event: too often within an hour, told once in an hour."""
        now = self._clock.elapsed()
        if len(self._triggers) > FORGET_BEYOND:
            busy = self._triggers.items()
            self._triggers = {key: value for key, value in busy if not value.idle(now)}
        triggers = self._triggers.setdefault(event.event_id, _Triggers())
        if triggers.add(now) <= TRIGGERS_PER_HOUR or now < triggers.alarmed_at + HOUR:
            return
        triggers.alarmed_at = now
        self._tell(
            event,
            f"event {event.event_id!r} was triggered more than {TRIGGERS_PER_HOUR} times within "
            "an hour; is something triggering it in a loop?",
        )

    def _tell(self, event: ScheduledEvent, message: str) -> None:
        logger.warning("%s", message)
        self._notifier.error(message, event_id=event.event_id, kind="rate")
