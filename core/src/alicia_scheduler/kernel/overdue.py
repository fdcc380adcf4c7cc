"""Attempts that do not end although they were told to: noticed, told, and no longer waited for."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from itertools import count

import trio

from alicia_scheduler.kernel.run import Run

__all__ = ["GRACE", "STUCK_LIMIT", "Overdue", "StuckAttempts"]

GRACE = 2.0
"""Seconds from a cancellation until an attempt that goes on counts as stuck."""

STUCK_LIMIT = 8
"""So many stuck attempts of one action type may be open; with these, nothing more of it starts
(reliability.md R54)."""

PRUNE_AT_LEAST = 1000
"""Entries in the heap below which dropping those that have ended is not worth the while."""


class StuckAttempts:
    """The attempts that ignored their cancellation and go on without anybody waiting for them.

    Attributes:
        total: how many there have been.
    """

    def __init__(self) -> None:
        self.total = 0
        self._open: set[Run] = set()
        self._by_type: Counter[str] = Counter()

    def __iter__(self) -> Iterator[Run]:
        return iter(self._open)

    def add(self, run: Run) -> int:
        """Note one more; how many of its action type are open now."""
        self.total += 1
        self._open.add(run)
        self._by_type[run.prepared.action_type] += 1
        return self._by_type[run.prepared.action_type]

    def ended(self, run: Run) -> None:
        """One has ended after all."""
        self._open.remove(run)
        self._by_type[run.prepared.action_type] -= 1

    def refuse(self, action_type: str) -> str | None:
        """The sentence why nothing more of this type may start, or None when it may."""
        still_open = self._by_type.get(action_type, 0)
        if still_open < STUCK_LIMIT:
            return None
        return (
            f"{still_open} attempts of the action type {action_type!r} ignore "
            "their cancellation; nothing more of it starts until one of them ends"
        )


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
            with trio.move_on_at(self._heap[0][0]):
                await self._earlier.wait()
            while self._heap and self._heap[0][0] <= trio.current_time():
                _, _, run = heapq.heappop(self._heap)
                if self._still_running(run):
                    await self._stuck(run)
