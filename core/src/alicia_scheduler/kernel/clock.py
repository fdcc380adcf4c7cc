"""The only place that asks what time it is.

Two clocks, never mixed: the *wall clock* says what a person's watch shows and may be stepped; the
*monotonic* clock only moves forward and is what deadlines, timeouts and retries follow. Everything
under one :class:`Clock` lives in that clock's time, so the whole system runs in virtual time when
it is given a virtual one.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

import trio

__all__ = ["Clock", "SystemClock"]


class Clock(Protocol):
    """Wall time, monotonic time, and a wait that ends at an instant."""

    def now(self) -> datetime:
        """The wall clock's instant (aware UTC)."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that is never set; only differences mean something."""
        ...

    async def wait_until(self, instant: datetime | None, changed: trio.Event) -> None:
        """Return when the wall clock has reached ``instant`` or ``changed`` is set, whichever is
        first; with None, only for ``changed``. May return early: ask :meth:`now` again."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return trio.current_time()

    async def wait_until(self, instant: datetime | None, changed: trio.Event) -> None:
        if instant is None:
            await changed.wait()
            return
        with trio.move_on_after(max(0.0, (instant - self.now()).total_seconds())):
            await changed.wait()
