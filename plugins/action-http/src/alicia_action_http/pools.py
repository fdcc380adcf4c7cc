"""Pools of connections: one for each way of connecting that is in use."""

from __future__ import annotations

import ssl
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpcore
import trio

from alicia_action_http.hosts import Policy
from alicia_action_http.network import PinnedBackend

__all__ = ["Pools"]

IDLE = 30.0
"""Seconds that an unused connection stays open, and a pool that nobody uses."""

MOST_CONNECTIONS = 50
"""Connections of one pool."""

MOST_POOLS = 16
"""Pools that are kept while nobody uses them."""

CLOSING = 1.0
"""Seconds that closing a pool may take, in which servers are told."""


@dataclass
class _Kept:
    pool: httpcore.AsyncConnectionPool
    users: int = 0
    used_at: float = 0.0


class Pools:
    """Pools by what their connections may reach, and by how they are encrypted: a connection
    that was allowed to one event is not handed to another that may not have it."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[Policy, ssl.SSLContext | None], _Kept] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    @asynccontextmanager
    async def lease(
        self, policy: Policy, context: ssl.SSLContext | None
    ) -> AsyncIterator[httpcore.AsyncConnectionPool]:
        """A pool, which stays open inside the block.

        Args:
            context: for https; None for http, which has none.
        """
        key = (policy, context)
        kept = self._kept.get(key)
        if kept is None:
            kept = self._kept[key] = _Kept(
                httpcore.AsyncConnectionPool(
                    ssl_context=context,
                    max_connections=MOST_CONNECTIONS,
                    keepalive_expiry=IDLE,
                    network_backend=PinnedBackend(policy),
                )
            )
        self._kept.move_to_end(key)
        kept.users += 1
        try:
            await self._close_unused()
            yield kept.pool
        finally:
            kept.users -= 1
            kept.used_at = trio.current_time()

    async def close(self) -> None:
        """Close every connection."""
        while self._kept:
            _, kept = self._kept.popitem()
            await _close(kept.pool)

    async def _close_unused(self) -> None:
        """Close the pools that nobody has used for long, and those that are too many."""
        unused = [(key, kept) for key, kept in self._kept.items() if kept.users == 0]
        old = trio.current_time() - IDLE
        surplus = len(self._kept) - MOST_POOLS
        for number, (key, kept) in enumerate(unused):
            if number < surplus or kept.used_at < old:
                # Gone from here first: nobody else may lease it while it closes.
                del self._kept[key]
        for number, (_, kept) in enumerate(unused):
            if number < surplus or kept.used_at < old:
                await _close(kept.pool)


async def _close(pool: httpcore.AsyncConnectionPool) -> None:
    with trio.move_on_after(CLOSING):
        await pool.aclose()
