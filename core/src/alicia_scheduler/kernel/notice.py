"""Since when the kernel has known what is due: lateness that policies judge begins there.

A slot is a misfire when nobody looked: the host was down, asleep, or stood still. One that waits
behind thousands that are due with it was noticed in time, however long its turn takes to come.
"""

from __future__ import annotations

from datetime import datetime

from alicia_scheduler.kernel.clock import Clock

__all__ = ["STOOD_STILL", "Notice"]

STOOD_STILL = 5.0
"""Seconds between two looks beyond which nobody looked in between."""


class Notice:
    """What the loop's looks at the agenda say about when something was noticed."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: datetime | None = None
        self._looked = 0.0

    def look(self, now: datetime) -> None:
        """Something is due at this look."""
        elapsed = self._clock.elapsed()
        if self._since is None or elapsed - self._looked > STOOD_STILL:
            self._since = now
        self._looked = elapsed

    def rest(self) -> None:
        """Nothing is due any more."""
        self._since = None

    def of(self, due: datetime, now: datetime) -> datetime:
        """When something that was due at ``due`` was noticed: at the first of these looks, or,
        when it came due since then, at once."""
        since = now if self._since is None else self._since
        return min(now, max(since, due))
