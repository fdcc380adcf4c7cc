"""Ends that nothing follows, written down together: one transaction for all that came meanwhile.

Most executions just complete. Each in a transaction of its own would cost several times what it
does; and the task that ran the action need not wait for it.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import trio

from alicia_scheduler.kernel.run import Run

__all__ = ["Ends"]

logger = logging.getLogger(__name__)

TOGETHER = 200
"""Ends in one transaction at the most: what else waits for the loop gets its turn in between."""


class Ends:
    """The runs that have ended and are to be written down. One for each runner; it holds no more
    of them than have places.

    Args:
        write: makes the ends of some runs durable.
        leave: called for each run that is written down; it gives back what the run held.
    """

    def __init__(
        self, write: Callable[[Sequence[Run]], Awaitable[None]], leave: Callable[[Run], None]
    ) -> None:
        self._write = write
        self._leave = leave
        self._waiting: deque[Run] = deque()
        self._arrived = trio.Event()

    def put(self, run: Run) -> None:
        """Write this one down soon."""
        self._waiting.append(run)
        self._arrived.set()

    async def write_down(self) -> None:
        """Work until cancelled; what waits then is written down first."""
        try:
            while True:
                self._arrived = trio.Event()
                await self._write_waiting()
                await self._arrived.wait()
        finally:
            with trio.CancelScope(shield=True):
                await self._write_waiting()

    async def _write_waiting(self) -> None:
        while self._waiting:
            runs = [self._waiting.popleft() for _ in range(min(TOGETHER, len(self._waiting)))]
            try:
                await self._write(runs)
            except Exception:
                # A fault of ours must not end the host: these are lost to the next recovery.
                logger.exception("%d executions could not be accounted", len(runs))
            for run in runs:
                self._leave(run)
