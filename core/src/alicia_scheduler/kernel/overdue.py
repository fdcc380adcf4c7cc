"""Attempts that do not end although they were told to: noticed, told, and no longer waited for."""

from __future__ import annotations

import heapq
from collections.abc import Awaitable, Callable
from itertools import count
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from alicia_scheduler.kernel.runner import Run

__all__ = ["GRACE", "Overdue"]

GRACE = 2.0
"""Seconds from a cancellation until an attempt that goes on counts as stuck."""

PRUNE_AT_LEAST = 1000
"""Entries in the heap below which dropping those that have ended is not worth the while."""


class Overdue:
    """Watches over deadlines with one timer.

    Args:
        still_running: whether a run is still under way.
        stuck: awaited for each run that is, ``GRACE`` seconds after it should have ended.
    """

    def __init__(
        self, still_running: Callable[[Run], bool], stuck: Callable[[Run], Awaitable[None]]
    ) -> None:
        self._still_running = still_running
        self._stuck = stuck
        self._heap: list[tuple[float, int, Run]] = []
        self._sequence = count()
        self._earlier = trio.Event()
        self._prune_at = PRUNE_AT_LEAST

    def expect(self, run: Run, within: float) -> None:
        """The run must have ended ``within`` seconds from now, and the grace."""
        at = trio.current_time() + within + GRACE
        heapq.heappush(self._heap, (at, next(self._sequence), run))
        if self._heap[0][2] is run:
            self._earlier.set()
        if len(self._heap) > self._prune_at:
            self._prune()

    def _prune(self) -> None:
        """Drop what has ended, so that the heap follows what runs and not what ran."""
        self._heap = [entry for entry in self._heap if self._still_running(entry[2])]
        heapq.heapify(self._heap)
        self._prune_at = 2 * len(self._heap) + PRUNE_AT_LEAST

    async def watch(self) -> None:
        """Watch until cancelled."""
        while True:
            self._earlier = trio.Event()
            while self._heap and not self._still_running(self._heap[0][2]):
                heapq.heappop(self._heap)
            if not self._heap:
                await self._earlier.wait()
                continue
            at, _, run = self._heap[0]
            with trio.move_on_at(at):
                await self._earlier.wait()
            if trio.current_time() >= at:
                heapq.heappop(self._heap)
                if self._still_running(run):
                    await self._stuck(run)
