"""Notifications on their way to one sink: in memory, or in the store for one that misses none.

Both are bounded: the oldest are dropped and counted. Neither ever holds up whoever notifies.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Any, Protocol

import msgspec
import trio

from alicia_scheduler.api.errors import StoreError
from alicia_scheduler.api.model import Notification
from alicia_scheduler.api.store import DropNotifications, SaveFact
from alicia_scheduler.kernel.records import Records

__all__ = ["Journal", "JournalQueue", "MemoryQueue", "Queue"]

MEMORY_LIMIT = 10_000

MEMORY_SIZE = 16 * 1024 * 1024
"""Bytes of results that wait in memory for one sink at the most, as JSON."""

BATCH_LIMIT = 200

DURABLE_BATCH = 50
"""A batch that a crash interrupts is written again, so those of a durable sink are small."""

JOURNAL_SIZE = 64 * 1024 * 1024
"""Bytes of JSON that wait in the store for durable sinks at the most."""

LOOK_AFTER = 500
"""Notifications that come in between two looks whether too many wait."""


class Queue(Protocol):
    """What a sink is fed from.

    Attributes:
        dropped: how many notifications the sink has lost.
    """

    dropped: int

    def put(self, notification: Notification) -> None:
        """Take a notification in, without waiting."""
        ...

    def close(self) -> None:
        """Nothing more comes; :meth:`batch` ends when all is taken."""
        ...

    async def batch(self) -> list[Notification]:
        """The oldest notifications, at least one; an empty list once closed and empty."""
        ...

    async def written(self, batch: Sequence[Notification]) -> None:
        """The sink has these for good."""
        ...


class MemoryQueue:
    """Notifications in memory: they end with the process.

    Args:
        accepts: the event types that the sink wants, or None for all.
    """

    def __init__(self, accepts: frozenset[str] | None, limit: int = MEMORY_LIMIT) -> None:
        self.dropped = 0
        self._accepts = accepts
        self._limit = limit
        self._waiting: deque[tuple[Notification, int]] = deque()
        self._size = 0
        self._arrived = trio.Event()
        self._closed = False

    def put(self, notification: Notification) -> None:
        """See :class:`Queue`."""
        if self._accepts is not None and notification.event_type not in self._accepts:
            return
        size = _size_of_result(notification)
        while self._waiting and (
            len(self._waiting) >= self._limit or self._size + size > MEMORY_SIZE
        ):
            self._take()
            self.dropped += 1
        self._waiting.append((notification, size))
        self._size += size
        self._arrived.set()

    def _take(self) -> Notification:
        notification, size = self._waiting.popleft()
        self._size -= size
        return notification

    def close(self) -> None:
        """See :class:`Queue`."""
        self._closed = True
        self._arrived.set()

    async def batch(self) -> list[Notification]:
        """See :class:`Queue`."""
        while not self._waiting and not self._closed:
            self._arrived = trio.Event()
            await self._arrived.wait()
        return [self._take() for _ in range(min(BATCH_LIMIT, len(self._waiting)))]

    async def written(self, batch: Sequence[Notification]) -> None:
        """See :class:`Queue`."""


class Journal:
    """The notifications that the store keeps, and how far each durable sink has come.

    Args:
        records: with its journal on.
        heard: by the name of a sink, the number up to which it has everything.
    """

    def __init__(self, records: Records, heard: dict[str, int]) -> None:
        self.records = records
        self.heard = heard

    @classmethod
    async def open(cls, records: Records, sinks: Sequence[str]) -> Journal:
        """The journal for these sinks; one that is new begins with what comes from now on, and
        what is kept for sinks that are no longer durable goes."""
        last = records.notifier.last
        facts: dict[str, Any] = {}
        try:
            facts = await records.store.facts()
            if not sinks and await records.store.notifications(after=0, limit=1):
                await records.keep([DropNotifications(last)])
        except StoreError as error:
            records.failed("read from", error)
        heard = {name: int(facts.get(_fact(name), last)) for name in sinks}
        await records.keep([SaveFact(_fact(name), number) for name, number in heard.items()])
        return cls(records, heard)

    async def advance(self, name: str, sequence: int) -> None:
        """Remember that a sink has everything up to a number; forget what none needs any more."""
        self.heard[name] = max(sequence, self.heard[name])
        drop = DropNotifications(min(self.heard.values()))
        await self.records.keep([SaveFact(_fact(name), self.heard[name]), drop])


class JournalQueue:
    """Notifications in the store: a sink that is away for hours, or a crash, loses none of them.

    While the store cannot be written the newest wait in memory instead.

    Args:
        name: of the sink; its place in the journal is kept under it.
        limit: so many notifications wait at the most.
    """

    def __init__(
        self, name: str, accepts: frozenset[str] | None, journal: Journal, limit: int
    ) -> None:
        self.dropped = 0
        self._name = name
        self._accepts = accepts
        self._journal = journal
        self._limit = limit
        self._unwritten: deque[Notification] = deque(maxlen=MEMORY_LIMIT)
        self._last = journal.records.notifier.last
        self._looked = 0
        self._arrived = trio.Event()
        self._too_many = trio.Event()
        self._closed = False

    def put(self, notification: Notification) -> None:
        """See :class:`Queue`."""
        self._last = notification.sequence
        if self._journal.records.degraded is not None:
            self.dropped += len(self._unwritten) == MEMORY_LIMIT
            self._unwritten.append(notification)
        self._arrived.set()
        waiting = self._last - self._journal.heard[self._name]
        if waiting > LOOK_AFTER and self._last - self._looked >= LOOK_AFTER:
            self._looked = self._last
            self._too_many.set()

    def close(self) -> None:
        """See :class:`Queue`."""
        self._closed = True
        self._arrived.set()

    async def batch(self) -> list[Notification]:
        """See :class:`Queue`."""
        while True:
            self._arrived = trio.Event()
            page = await self._page()
            wanted = [item for item in page if self._wants(item)]
            if wanted:
                return wanted
            if page:
                await self._journal.advance(self._name, page[-1].sequence)
            elif self._closed:
                return []
            else:
                await self._arrived.wait()

    async def written(self, batch: Sequence[Notification]) -> None:
        """See :class:`Queue`."""
        await self._journal.advance(self._name, batch[-1].sequence)

    async def keep_bounded(self) -> None:
        """Drop the oldest whenever too many wait, until cancelled."""
        while True:
            await self._too_many.wait()
            self._too_many = trio.Event()
            store = self._journal.records.store
            try:
                excess = await store.excess_notifications(count=self._limit, size=JOURNAL_SIZE)
            except StoreError:
                continue
            lost = excess - self._journal.heard[self._name]
            if lost > 0:
                self.dropped += lost
                await self._journal.advance(self._name, excess)

    async def _page(self) -> list[Notification]:
        heard = self._journal.heard[self._name]
        store = self._journal.records.store
        try:
            page = await store.notifications(after=heard, limit=DURABLE_BATCH)
        except StoreError:
            page = []
        while self._unwritten and self._unwritten[0].sequence <= heard:
            self._unwritten.popleft()
        # The store has those from before it could not be written, and those that were kept for it;
        # it never gets those for which there was no room.
        known = {item.sequence: item for item in (*islice(self._unwritten, DURABLE_BATCH), *page)}
        return [known[number] for number in sorted(known)[:DURABLE_BATCH]]

    def _wants(self, notification: Notification) -> bool:
        return self._accepts is None or notification.event_type in self._accepts


def _size_of_result(notification: Notification) -> int:
    """Bytes of the one part of a notification that may be large."""
    result = notification.event_data.get("result")
    return 0 if result is None else len(msgspec.json.encode(result))


def _fact(sink: str) -> str:
    return f"sink {sink} has"
