"""One edit of an event at a time: whoever comes second sees what the first one did."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

__all__ = ["Edits"]


class Edits:
    """A lock for each event that is being edited."""

    def __init__(self) -> None:
        self._locks: dict[str, trio.Lock] = {}

    @asynccontextmanager
    async def of(self, event_id: str) -> AsyncIterator[None]:
        """Be the only one that edits this event in the block."""
        lock = self._locks.setdefault(event_id, trio.Lock())
        try:
            async with lock:
                yield
        finally:
            # The last one takes the lock away.
            if not lock.locked() and not lock.statistics().tasks_waiting:
                self._locks.pop(event_id, None)
