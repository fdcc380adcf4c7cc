"""Virtual time: the whole kernel under a clock that a test moves.

Run under trio's ``MockClock`` (pytest-trio's ``autojump_clock`` fixture): whenever every task
waits, time jumps to the next deadline, so a month passes in milliseconds.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import trio

__all__ = ["START", "VirtualClock"]

START = datetime(2026, 1, 1, tzinfo=UTC)
"""The instant at which virtual time begins unless a test says otherwise."""


class VirtualClock:
    """A clock whose wall time follows trio's own, from ``start`` on, until it is set.

    Make it inside the running test. Implements :class:`alicia_scheduler.kernel.clock.Clock`.
    """

    def __init__(self, start: datetime = START) -> None:
        self._start = start
        self._began = trio.current_time()
        self._suspended = 0.0
        self._told = trio.Event()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self.elapsed())

    def elapsed(self) -> float:
        return trio.current_time() - self._began + self._suspended

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
