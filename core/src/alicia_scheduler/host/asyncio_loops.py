"""The asyncio loops of a host: none before a plugin asks for one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from alicia_scheduler.host.asyncio_threads import AsyncioThread

__all__ = ["AsyncioThreads"]


class AsyncioThreads:
    """The loops of all plugins of a host."""

    def __init__(self) -> None:
        self._threads: dict[str, AsyncioThread] = {}

    def of(self, plugin: str) -> AsyncioThread:
        """The loop of a plugin."""
        # asyncio takes half as long to import as trio, and most hosts have no use for it.
        from alicia_scheduler.host.asyncio_threads import AsyncioThread

        return self._threads.setdefault(plugin, AsyncioThread(plugin))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Close all loops when the block ends."""
        try:
            yield
        finally:
            async with trio.open_nursery() as nursery:
                for thread in self._threads.values():
                    nursery.start_soon(thread.aclose)
