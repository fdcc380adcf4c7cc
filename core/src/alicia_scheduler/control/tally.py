"""What happened since the host started, counted while it happens."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from alicia_scheduler.api.model import Notification, Trigger
from alicia_scheduler.control.command import Answer
from alicia_scheduler.kernel.clock import Clock

__all__ = ["EventCounts", "Tally"]


class EventCounts(Answer, frozen=True):
    """How many events there are.

    Attributes:
        total: all of them.
        enabled: those that are enabled.
        paused: the enabled ones that are paused at present.
        failing: those whose last execution failed for good.
        complete: false when there are more than were counted.
        age: seconds since they were counted.
    """

    total: int = 0
    enabled: int = 0
    paused: int = 0
    failing: int = 0
    complete: bool = True
    age: float = 0.0


class Tally:
    """Counts ends and lateness; a listener of notifications.

    Attributes:
        ended: how many executions ended, by status.
        punctual: how many of them ran on schedule, which is what the lateness is about.
        max_lateness: seconds of the latest start; None when there was none.
        events: how many events there were when they were counted last; None before.
        counted_at: the uptime at that moment, in seconds.
    """

    def __init__(self, clock: Clock) -> None:
        self.started_at: datetime = clock.now()
        self.ended: Counter[str] = Counter()
        self.punctual = 0
        self.max_lateness: float | None = None
        self.events: EventCounts | None = None
        self.counted_at = 0.0
        self._sum = 0.0
        self._clock = clock
        self._begun = clock.elapsed()

    @property
    def uptime(self) -> float:
        """Seconds since the start, however the clock was set meanwhile."""
        return self._clock.elapsed() - self._begun

    @property
    def mean_lateness(self) -> float | None:
        """Seconds on average, or None."""
        return self._sum / self.punctual if self.punctual else None

    def listen(self, notification: Notification) -> None:
        """Count what ended."""
        data = notification.event_data
        if not data.get("end_time") or "execution_id" not in data:
            return
        self.ended[data["status"]] += 1
        lateness = data.get("lateness")
        if data.get("trigger") == Trigger.SCHEDULE and lateness is not None:
            self.punctual += 1
            self._sum += lateness
            self.max_lateness = max(lateness, self.max_lateness or 0.0)
