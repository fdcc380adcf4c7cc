"""Work in bounded lanes: each sender's commands one after the other, senders beside each other."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable

import trio

__all__ = ["Lanes", "Rate"]

Job = Callable[[], Awaitable[None]]


class Lanes:
    """Jobs that wait for their turn, and those that run.

    Args:
        nursery: where they run.
        in_flight: most that run at a time.
        waiting: most that wait.
    """

    def __init__(self, nursery: trio.Nursery, *, in_flight: int, waiting: int) -> None:
        self._nursery = nursery
        self._places = trio.Semaphore(in_flight)
        self._limit = in_flight + waiting
        self._lanes: dict[str, deque[Job]] = {}
        self._jobs = 0

    @property
    def jobs(self) -> int:
        """How many run or wait."""
        return self._jobs

    def submit(self, sender: str, job: Job) -> bool:
        """Let a job run after those that its sender gave before; False when there is no room.

        A job must not raise.
        """
        if self._jobs >= self._limit:
            return False
        self._jobs += 1
        lane = self._lanes.get(sender)
        if lane is not None:
            lane.append(job)
            return True
        self._lanes[sender] = deque([job])
        self._nursery.start_soon(self._serve, sender)
        return True

    async def _serve(self, sender: str) -> None:
        lane = self._lanes[sender]
        while lane:
            job = lane.popleft()
            try:
                async with self._places:
                    await job()
            finally:
                self._jobs -= 1
        del self._lanes[sender]


class Rate:
    """So many a second on average; twice as many may come at once."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._most = max(1.0, 2 * per_second)
        self._left = self._most
        self._at = trio.current_time()

    def take(self) -> bool:
        """Whether one more may come now."""
        now = trio.current_time()
        self._left = min(self._most, self._left + (now - self._at) * self._per_second)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
