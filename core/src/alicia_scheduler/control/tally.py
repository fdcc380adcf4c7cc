"""What happened since the host started, counted while it happens."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from alicia_scheduler.api.model import Notification, Trigger
from alicia_scheduler.kernel.clock import Clock

__all__ = ["Tally"]


class Tally:
    """Counts ends and lateness; a listener of notifications.

    Attributes:
        ended: how many executions ended, by status.
        punctual: how many of them ran on schedule, which is what the lateness is about.
        max_lateness: seconds of the latest start; None when there was none.
    """

    def __init__(self, clock: Clock) -> None:
        self.started_at: datetime = clock.now()
        self.ended: Counter[str] = Counter()
        self.punctual = 0
        self.max_lateness: float | None = None
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
