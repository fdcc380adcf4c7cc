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
    """A clock whose wall time follows trio's own, from ``start`` on.

    Make it inside the running test. Implements :class:`alicia_scheduler.kernel.clock.Clock`.
    """

    def __init__(self, start: datetime = START) -> None:
        self._start = start
        self._began = trio.current_time()
        self._stepped = trio.Event()

    def now(self) -> datetime:
        return self._start + timedelta(seconds=trio.current_time() - self._began)

    def monotonic(self) -> float:
        return trio.current_time()

    def step(self, seconds: float) -> None:
        """Set the wall clock forward (or back, when negative), as NTP or a person does."""
        self._start += timedelta(seconds=seconds)
        self._stepped.set()

    async def wait_until(self, instant: datetime | None, changed: trio.Event) -> None:
        self._stepped = stepped = trio.Event()
        timeout = float("inf")
        if instant is not None:
            timeout = max(0.0, (instant - self.now()).total_seconds())
        with trio.move_on_after(timeout):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_either, stepped, nursery.cancel_scope)
                await changed.wait()
                nursery.cancel_scope.cancel()


async def _either(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()
