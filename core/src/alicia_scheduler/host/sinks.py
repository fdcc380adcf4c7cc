"""Sinks: each behind its own bounded queue, so that a slow or dead one delays nothing."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import trio

from alicia_scheduler.api.contracts import Sink
from alicia_scheduler.api.descriptors import SinkType
from alicia_scheduler.api.model import Notification
from alicia_scheduler.host.context import HostContext, Surroundings
from alicia_scheduler.host.registry import Offer
from alicia_scheduler.host.supervision import Backoff, describe_error

__all__ = ["ConfiguredSink", "SinkQueue", "sinks_running"]

logger = logging.getLogger(__name__)

QUEUE_LIMIT = 10_000
BATCH_LIMIT = 200
FLUSH_TIMEOUT = 2.0
"""Seconds a sink gets to write what it still has when the host stops."""


@dataclass(frozen=True)
class ConfiguredSink:
    """A sink type with its validated configuration."""

    offer: Offer[SinkType]
    config: Any


class SinkQueue:
    """Notifications on their way to one sink. When it is full the oldest are dropped, counted."""

    def __init__(self, accepts: frozenset[str] | None, limit: int = QUEUE_LIMIT) -> None:
        self.dropped = 0
        self._accepts = accepts
        self._limit = limit
        self._waiting: deque[Notification] = deque()
        self._arrived = trio.Event()
        self._closed = False

    def put(self, notification: Notification) -> None:
        """Take a notification in, without waiting."""
        if self._accepts is not None and notification.event_type not in self._accepts:
            return
        if len(self._waiting) >= self._limit:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(notification)
        self._arrived.set()

    def close(self) -> None:
        """Nothing more comes; :meth:`batch` ends when all is taken."""
        self._closed = True
        self._arrived.set()

    async def batch(self, limit: int = BATCH_LIMIT) -> list[Notification]:
        """The oldest notifications, at least one; an empty list once closed and empty."""
        while not self._waiting and not self._closed:
            self._arrived = trio.Event()
            await self._arrived.wait()
        return [self._waiting.popleft() for _ in range(min(limit, len(self._waiting)))]


@asynccontextmanager
async def sinks_running(
    sinks: Sequence[ConfiguredSink], surroundings: Surroundings
) -> AsyncIterator[None]:
    """Feed the sinks while the block is open; then give them time to write what is left."""
    queues: list[SinkQueue] = []
    async with trio.open_nursery() as nursery:
        for sink in sinks:
            queue = SinkQueue(sink.offer.type.accepts)
            queues.append(queue)
            surroundings.notifier.listen(queue.put)
            context = surroundings.context(sink.offer.plugin)
            nursery.start_soon(_feed, sink, context, queue, name=f"sink {sink.offer.type.name}")
        try:
            yield
        finally:
            for queue in queues:
                queue.close()
            nursery.cancel_scope.deadline = trio.current_time() + FLUSH_TIMEOUT


async def _feed(sink: ConfiguredSink, context: HostContext, queue: SinkQueue) -> None:
    """Open the sink, write batch after batch; after a fault open it again with the same batch."""
    kind = sink.offer.type
    backoff = Backoff()
    batch: list[Notification] = []
    failing = False
    told_dropped = 0
    while True:
        try:
            async with kind.open(sink.config, context) as opened:
                while batch := batch or await queue.batch():
                    await _write(opened, batch)
                    batch = []
                    backoff.reset()
                    if failing:
                        logger.info("sink %s works again", kind.name)
                        failing = False
                    if queue.dropped > told_dropped:
                        lost = queue.dropped - told_dropped
                        logger.warning("sink %s lost %d notifications", kind.name, lost)
                        told_dropped = queue.dropped
            return
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may raise anything
            if not failing:
                logger.warning("sink %s failed: %s", kind.name, describe_error(error))
                failing = True
        await trio.sleep(backoff.next())


async def _write(sink: Sink, batch: Sequence[Notification]) -> None:
    await sink.write(batch)
