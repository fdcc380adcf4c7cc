"""Sinks: each behind its own bounded queue, so that a slow or dead one delays nothing."""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import trio
from msgspec import Meta

from alicia_scheduler.api.descriptors import SinkType
from alicia_scheduler.api.model import Notification
from alicia_scheduler.host.blame import working_for
from alicia_scheduler.host.context import Surroundings
from alicia_scheduler.host.faults import is_foreign
from alicia_scheduler.host.queues import Journal, JournalQueue, MemoryQueue, Queue
from alicia_scheduler.host.recipes import made
from alicia_scheduler.host.registry import Offer
from alicia_scheduler.host.supervision import Backoff, describe_error
from alicia_scheduler.kernel.notifications import Notifier
from alicia_scheduler.kernel.records import Records

__all__ = ["ConfiguredSink", "RunningSinks", "SinkOptions", "sinks_running"]

logger = logging.getLogger(__name__)

FLUSH_TIMEOUT = 2.0
"""Seconds a sink gets to write what it still has when the host stops."""


class SinkOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The keys of ``[sinks.<name>]`` that are the host's, whatever the sink.

    Attributes:
        durable: what the sink has not written yet waits in the store, so that it outlives a
            crash and hours without whom it writes to.
        durable_limit: so many notifications wait there at the most; then the oldest are dropped
            and counted.
    """

    durable: bool = False
    durable_limit: Annotated[int, Meta(ge=1_000, le=10_000_000)] = 10_000


OPEN_TIMEOUT = 30.0
"""Seconds that opening a sink may take."""


@dataclass(frozen=True)
class ConfiguredSink:
    """A sink type with its validated configuration, or the recipe for it."""

    offer: Offer[SinkType]
    config: Any
    options: SinkOptions


@dataclass(eq=False)
class _Feeding:
    """A sink that is being fed."""

    sink: ConfiguredSink
    queue: Queue
    scope: trio.CancelScope
    done: trio.Event


class RunningSinks:
    """The sinks of a host, each fed from its own queue."""

    def __init__(self, surroundings: Surroundings, journal: Journal, nursery: trio.Nursery) -> None:
        self._surroundings = surroundings
        self._journal = journal
        self._nursery = nursery
        self._fed: list[_Feeding] = []

    def add(self, sink: ConfiguredSink) -> None:
        """Feed one more sink with what is notified from now on."""
        kind = sink.offer.type
        feeding = _Feeding(sink, self._queue_of(sink), trio.CancelScope(), trio.Event())
        self._fed.append(feeding)
        self._surroundings.notifier.listen(feeding.queue.put)
        self._nursery.start_soon(_fed, feeding, self._surroundings, name=f"sink {kind.name}")

    def takes(self, sink: ConfiguredSink) -> bool:
        """False for a durable sink that has no place in the journal, which is opened at start."""
        return not sink.options.durable or sink.offer.type.name in self._journal.heard

    def close(self) -> None:
        """Give all of them :data:`FLUSH_TIMEOUT` to write what is left."""
        for feeding in self._fed:
            feeding.queue.close()
        self._nursery.cancel_scope.deadline = trio.current_time() + FLUSH_TIMEOUT

    async def replace(
        self, gone: Collection[ConfiguredSink], come: Iterable[ConfiguredSink]
    ) -> None:
        """Let some write what is left and close, then feed others. A sink that is durable keeps
        its place in the journal; whether any is durable cannot change."""
        leaving = [feeding for feeding in self._fed if feeding.sink in gone]
        for feeding in leaving:
            self._surroundings.notifier.unlisten(feeding.queue.put)
            feeding.queue.close()
            feeding.scope.deadline = trio.current_time() + FLUSH_TIMEOUT
        for feeding in leaving:
            await feeding.done.wait()
            self._fed.remove(feeding)
        for sink in come:
            self.add(sink)

    def _queue_of(self, sink: ConfiguredSink) -> Queue:
        kind = sink.offer.type
        if sink.options.durable:
            return JournalQueue(kind.name, kind.accepts, self._journal, sink.options.durable_limit)
        return MemoryQueue(kind.accepts)


@asynccontextmanager
async def sinks_running(
    sinks: Sequence[ConfiguredSink], surroundings: Surroundings, records: Records
) -> AsyncIterator[RunningSinks]:
    """Feed the sinks while the block is open; then give them time to write what is left."""
    durable = [sink.offer.type.name for sink in sinks if sink.options.durable]
    journal = await Journal.open(records, durable)
    async with trio.open_nursery() as nursery:
        running = RunningSinks(surroundings, journal, nursery)
        for sink in sinks:
            running.add(sink)
        try:
            yield running
        finally:
            running.close()


async def _fed(feeding: _Feeding, surroundings: Surroundings) -> None:
    sink, queue = feeding.sink, feeding.queue
    try:
        with surroundings.part(f"sink {sink.offer.type.name}"), feeding.scope:
            async with trio.open_nursery() as nursery:
                if isinstance(queue, JournalQueue):
                    nursery.start_soon(queue.keep_bounded)
                with working_for(sink.offer.plugin):
                    await _feed(sink, surroundings, queue)
                nursery.cancel_scope.cancel()
        if feeding.scope.cancelled_caught:
            sentence = f"sink {sink.offer.type.name} did not close within {FLUSH_TIMEOUT:g} s"
            surroundings.faults.error(sink.offer.plugin, "close", sentence)
    finally:
        feeding.done.set()


async def _feed(sink: ConfiguredSink, surroundings: Surroundings, queue: Queue) -> None:
    """Open the sink, write batch after batch; after a fault open it again with the same batch."""
    plugin, name = sink.offer.plugin, sink.offer.type.name
    context, faults = surroundings.context(plugin), surroundings.faults
    health = _Health(name, surroundings.notifier, queue)
    backoff = Backoff()
    batch: list[Notification] = []
    while True:
        opening = trio.CancelScope(deadline=trio.current_time() + OPEN_TIMEOUT)
        try:
            config = await made(sink.config, surroundings.secrets)
            with opening:
                async with sink.offer.type.open(config, context) as opened:
                    opening.deadline = math.inf
                    while batch := batch or await queue.batch():
                        await opened.write(batch)
                        await queue.written(batch)
                        batch = []
                        backoff.reset()
                        health.works()
            if not opening.cancelled_caught:
                return
            said = f"it did not open within {OPEN_TIMEOUT:g} s"
            faults.fault(plugin, "open", f"sink {name}: {said}")
        except BaseException as error:
            if not isinstance(error, Exception) and not is_foreign(error):
                raise
            said = describe_error(error)
            faults.failed(plugin, "sink", error, f"sink {name}: {said}")
        health.failed(said)
        await trio.sleep(backoff.next())


class _Health:
    """Tells when a sink fails, when it works again, and what it has lost: once each."""

    def __init__(self, name: str, notifier: Notifier, queue: Queue) -> None:
        self._name = name
        self._notifier = notifier
        self._queue = queue
        self._failing = False
        self._told_dropped = 0

    def failed(self, problem: str) -> None:
        if not self._failing:
            self._failing = True
            logger.warning("sink %s failed: %s", self._name, problem)
            self._notifier.error(f"sink {self._name} failed: {problem}", kind="sink")

    def works(self) -> None:
        lost = self._queue.dropped - self._told_dropped
        if lost:
            self._told_dropped = self._queue.dropped
            logger.warning("sink %s lost %d notifications", self._name, lost)
        if self._failing or lost:
            self._failing = False
            message = f"sink {self._name} works, {lost} notifications were lost"
            self._notifier.emit(
                "sink_recovered", {"message": message, "sink": self._name, "lost": lost}
            )
            logger.info("sink %s works again", self._name)
