"""The only place that asks what time it is.

Two kinds of time, never mixed. The *wall clock* says what a person's watch shows and may be set
at any moment. *Elapsed time* only ever moves forward, suspended or not, and cannot be set.
Timeouts and deadlines follow trio's clock, which stands still while the machine is suspended.

Everything under one :class:`Clock` lives in that clock's time, so the whole system runs in virtual
time when it is given a virtual one.
"""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import Protocol

import trio

from alicia_scheduler.kernel.walltimer import WallTimer, clock_is_synchronised

__all__ = ["Clock", "StepWatch", "SystemClock"]

BUILT = datetime(2026, 1, 1, tzinfo=UTC)
"""A clock that shows an earlier time than this was written is wrong."""

COMPARE_EVERY = 30.0
"""Seconds between two looks at the wall clock where the system does not tell of its being set."""

SOON = 0.05
"""Seconds within which a wait needs no timer of the system: nobody sets the clock that often, and
a step is noticed at the look that follows."""

TOLERANCE = 0.5
"""Seconds by which two clocks may differ before it counts as a step."""

SLEW = 0.0 if sys.platform.startswith("linux") else 0.001
"""Part of the elapsed time that NTP may slew the wall clock by against it (500 ppm, doubled). Linux
slews ``CLOCK_BOOTTIME`` and ``CLOCK_MONOTONIC`` along with the wall clock."""


class Clock(Protocol):
    """Wall time, elapsed time, and a wait that ends at an instant."""

    def now(self) -> datetime:
        """The wall clock's instant (aware UTC)."""
        ...

    def elapsed(self) -> float:
        """Seconds that have passed since some fixed instant, suspended or not; never set."""
        ...

    def trusted(self) -> bool:
        """False while the wall clock is known not to be set right."""
        ...

    async def wait_until(self, instant: datetime | None, changed: trio.Event) -> None:
        """Return when the wall clock has reached ``instant``, when it has been set, or when
        ``changed`` is, whichever is first. With None there is no instant. May return early: look
        at the clock again."""
        ...


class SystemClock:
    """The machine's clocks."""

    def __init__(self) -> None:
        self._source = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
        self._timer: WallTimer | None
        try:
            self._timer = WallTimer()
            if not self._timer.agrees_with(self.now()):
                self._timer = None
        except (OSError, AttributeError):
            self._timer = None

    def now(self) -> datetime:
        return datetime.now(UTC)

    def elapsed(self) -> float:
        return time.clock_gettime(self._source)

    def trusted(self) -> bool:
        return self.now() >= BUILT and clock_is_synchronised()

    async def wait_until(self, instant: datetime | None, changed: trio.Event) -> None:
        soon = instant is not None and (instant - self.now()).total_seconds() < SOON
        if self._timer is None or soon:
            await self._compare_often(instant, changed)
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._wait_for_timer, self._timer, instant, nursery.cancel_scope)
            await changed.wait()
            nursery.cancel_scope.cancel()

    async def _wait_for_timer(
        self, timer: WallTimer, instant: datetime | None, scope: trio.CancelScope
    ) -> None:
        stepped = await timer.wait_until(instant)
        while instant is not None and not stepped and self.now() < instant:
            # The timer and the clock disagree, as under a faked clock: then compare often.
            remaining = (instant - self.now()).total_seconds()
            await trio.sleep(min(COMPARE_EVERY, max(0.0, remaining)))
            stepped = remaining > COMPARE_EVERY
        scope.cancel()

    async def _compare_often(self, instant: datetime | None, changed: trio.Event) -> None:
        wait = COMPARE_EVERY
        if instant is not None:
            wait = min(wait, max(0.0, (instant - self.now()).total_seconds()))
        with trio.move_on_after(wait):
            await changed.wait()


class StepWatch:
    """Tells when the wall clock was set, by comparing it with elapsed time.

    Load cannot fool it: a pair of readings that were interrupted in between is taken again.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._now, self._elapsed = self._read()

    def look(self) -> float:
        """Seconds that the wall clock was set forward since the last look; negative when it was
        set back, 0.0 when it was not set."""
        now, elapsed = self._read()
        passed = elapsed - self._elapsed
        step = (now - self._now).total_seconds() - passed
        self._now, self._elapsed = now, elapsed
        return step if abs(step) > TOLERANCE + SLEW * abs(passed) else 0.0

    def _read(self) -> tuple[datetime, float]:
        for _ in range(10):
            before = self._clock.elapsed()
            now = self._clock.now()
            after = self._clock.elapsed()
            if after - before < TOLERANCE / 10:
                break
        return now, after
