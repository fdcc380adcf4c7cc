"""Runs that are written down together: one transaction for all that came meanwhile.

Most executions just start, or just complete. Each in a transaction of its own would cost several
times what it does; and the task that ran an action need not wait for the record of its end.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import trio

from alicia_scheduler.kernel.run import Run

__all__ = ["Gathering"]

TOGETHER = 200
"""Runs in one transaction at the most: what else waits for the loop gets its turn in between."""


class Gathering:
    """Runs on their way to being handled. It holds no more of them than there are places.

    Args:
        handle: writes some of them down and does what follows; raises nothing.
    """

    def __init__(self, handle: Callable[[Sequence[Run]], Awaitable[None]]) -> None:
        self._handle = handle
        self._waiting: deque[Run] = deque()
        self._arrived = trio.Event()

    def put(self, run: Run) -> None:
        """Handle this one soon, behind those that came before."""
        self._waiting.append(run)
        self._arrived.set()

    async def work(self) -> None:
        """Handle what comes, until cancelled."""
        while True:
            self._arrived = trio.Event()
            await self.finish()
            await self._arrived.wait()

    async def finish(self) -> None:
        """Handle what waits."""
        while self._waiting:
            runs = [self._waiting.popleft() for _ in range(min(TOGETHER, len(self._waiting)))]
            await self._handle(runs)
