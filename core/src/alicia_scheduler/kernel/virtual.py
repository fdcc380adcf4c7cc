"""Virtual time: the whole kernel under a clock that a test or a simulation moves.

Run under trio's ``MockClock`` with ``autojump_threshold=0`` (in a test pytest-trio's
``autojump_clock`` fixture): whenever every task waits, time jumps to the next deadline, so a month
passes in milliseconds.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import trio

from alicia_scheduler.api.walltime import ClockChange, clock_changes

__all__ = ["START", "VirtualClock"]

START = datetime(2026, 1, 1, tzinfo=UTC)
"""The instant at which virtual time begins unless a test says otherwise."""


class VirtualClock:
    """A clock whose wall time follows trio's own, from ``start`` on, until it is set.

    Make it inside the running trio loop. Implements :class:`alicia_scheduler.kernel.clock.Clock`.
    """

    def __init__(self, start: datetime = START) -> None:
        self._start = start
        self._began = trio.current_time()
        self._suspended = 0.0
        self._told = trio.Event()
        self.synchronised = True
        self._powered: list[trio.CancelScope] = []

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self.elapsed())

    def elapsed(self) -> float:
        return trio.current_time() - self._began + self._suspended

    def trusted(self) -> bool:
        return self.synchronised

    async def advance(self, seconds: float) -> None:
        """Let time pass, and everything happen that is due meanwhile."""
        await trio.sleep(seconds)

    def step(self, seconds: float) -> None:
        """Set the wall clock forward (or back, when negative), as NTP or a person does."""
        self._start += timedelta(seconds=seconds)
        self._told.set()

    def set(self, instant: datetime) -> None:
        """Set the wall clock to an instant."""
        self.step((instant - self.now()).total_seconds())

    def suspend(self, seconds: float) -> None:
        """Let the machine sleep: time passes, on the wall clock too, and nothing runs."""
        self._suspended += seconds
        self._told.set()

    async def cross_dst(self, zone: ZoneInfo, *, margin: float = 3600.0) -> ClockChange:
        """Set the clock to ``margin`` seconds before the next clock change of ``zone``, and let
        time pass until as long after it.

        Returns:
            the change that was crossed.

        Raises:
            ValueError: the clocks of the zone are not changed within 800 days.
        """
        now = self.now()
        change = next(clock_changes(now, now + timedelta(days=800), zone), None)
        if change is None:
            raise ValueError(f"the clocks of {zone.key} are not changed from {now:%Y-%m-%d} on")
        self.set(change.at - timedelta(seconds=margin))
        await self.advance(2 * margin)
        return change

    @contextmanager
    def powered(self) -> Iterator[None]:
        """What runs inside ends at once when the power is lost, without any clean-up of its own."""
        with trio.CancelScope() as scope:
            self._powered.append(scope)
            try:
                yield
            finally:
                self._powered.remove(scope)

    def lose_power(self, seconds: float, *, boots_at: datetime | None = None) -> None:
        """Cut the power for ``seconds``: everything :meth:`powered` ends where it is, and the next
        thing that runs is a new start.

        Args:
            seconds: how long the machine is off.
            boots_at: what the wall clock shows when it is on again, for a machine whose clock has
                no battery; by default the right time.
        """
        for scope in self._powered:
            scope.cancel()
        self._suspended += seconds
        if boots_at is not None:
            self.set(boots_at)

    async def wait_until(self, instant: datetime | None, changed: trio.Event) -> None:
        self._told = told = trio.Event()
        timeout = float("inf")
        if instant is not None:
            timeout = max(0.0, (instant - self.now()).total_seconds())
        with trio.move_on_after(timeout):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_end_with, told, nursery.cancel_scope)
                await changed.wait()
                nursery.cancel_scope.cancel()


async def _end_with(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()
