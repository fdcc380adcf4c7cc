"""The ``flash`` profile: changes that may be lost are written together, every few seconds.

A flash card has so many writes in it, and a durable commit of one execution takes a dozen pages.
:class:`BatchingStore` stands between the kernel and its store and keeps changes in memory for the
loss window, the newest version of each thing only. What must not happen twice, or was promised to
somebody, is written at once, and all that waits with it. Whoever reads gets it written before, so
nobody but a power cut ever sees the difference.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import trio

from alicia_scheduler.api.errors import StoreError
from alicia_scheduler.api.model import (
    EventExecution,
    EventRecord,
    Notification,
    OnInterrupted,
    Status,
    Trigger,
)
from alicia_scheduler.api.store import (
    Change,
    Damaged,
    Due,
    ExecutionPlace,
    RemoveEvent,
    SaveEvent,
    SaveExecution,
    SaveFact,
    SaveState,
    Store,
)
from alicia_scheduler.kernel.backlog import Backlog
from alicia_scheduler.kernel.catalog import Catalog
from alicia_scheduler.kernel.halting import HALTED
from alicia_scheduler.kernel.records import SEQUENCE, STARTS

__all__ = ["BatchingStore", "must_be_written"]

logger = logging.getLogger(__name__)

WAITING_LIMIT = 1000
"""Changes that wait; with so many, they are written whatever the window says."""

NUMBERS_AHEAD = 10_000
"""Notifications that are told before their number is written, at the most. After a crash numbers
go on so far ahead, so that none is given twice."""


def must_be_written(catalog: Catalog, change: Change) -> bool:
    """True for what a crash must not take back.

    A definition, a run that somebody asked for, a pause of everything: whoever did that was told
    that it is so. The start and the end of what runs once or a counted number of times, and the
    start of what must run at most once: else a restart would do it again.
    """
    match change:
        case SaveEvent() | RemoveEvent():
            return True
        case SaveFact():
            return change.name in (STARTS, HALTED)
        case SaveState():
            entry = catalog.get(change.event_id)
            counted = entry is None or entry.event.max_runs is not None
            return counted or change.state.next_due is None
        case SaveExecution():
            return _must_be_written(catalog, change.execution)
        case _:
            return False


def _must_be_written(catalog: Catalog, execution: EventExecution) -> bool:
    entry = catalog.get(execution.event_id)
    if entry is None or entry.event.max_runs is not None or entry.state.next_due is None:
        return True
    unfinished = execution.status in (Status.PENDING, Status.RUNNING)
    at_most_once = entry.event.on_interrupted is OnInterrupted.FAIL
    return unfinished and (at_most_once or execution.trigger is Trigger.MANUAL)


class BatchingStore(Store):
    """A store that writes in batches to another one. Made by :meth:`running`.

    Attributes:
        forced: says of a change whether it is written at once; everything is until it is set.
    """

    def __init__(self, store: Store, window: float) -> None:
        self.forced: Callable[[Change], bool] = lambda _change: True
        self.incidents = store.incidents
        self._store = store
        self._window = window
        self._waiting = Backlog()
        self._writing = trio.Lock()
        self._arrived = trio.Event()
        self._failed = False
        self._written_number = 0
        self._resumed = False

    @classmethod
    @asynccontextmanager
    async def running(cls, store: Store, window: float) -> AsyncIterator[BatchingStore]:
        """The store, until the block ends; what waits then is written.

        Args:
            store: what is written to.
            window: seconds that a change waits at the most; what a crash can take.
        """
        batching = cls(store, window)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(batching._write_in_time, name="batches")
            try:
                yield batching
            finally:
                nursery.cancel_scope.cancel()
                with trio.CancelScope(shield=True):
                    await batching._try_to_write()

    @property
    def durable(self) -> bool:
        return self._store.durable

    @property
    def makeshift(self) -> bool:
        return self._store.makeshift

    async def commit(self, changes: Sequence[Change]) -> None:
        now = self._failed or self._too_far_ahead(changes)
        if now or len(self._waiting) >= WAITING_LIMIT or any(map(self.forced, changes)):
            await self._write(changes)
            return
        self._waiting.add(changes)
        self._arrived.set()
        await trio.lowlevel.cancel_shielded_checkpoint()

    def _too_far_ahead(self, changes: Sequence[Change]) -> bool:
        return _number(changes) - self._written_number >= NUMBERS_AHEAD // 2

    async def _write_in_time(self) -> None:
        while True:
            await self._arrived.wait()
            await trio.sleep(self._window)
            self._arrived = trio.Event()
            with trio.CancelScope(shield=True):
                await self._try_to_write()

    async def _try_to_write(self) -> None:
        try:
            await self._write(())
        except StoreError as error:
            # The next one who commits is told, and sees to it that the store is mended.
            logger.debug("what waited could not be written: %s", error)

    async def _write(self, changes: Sequence[Change]) -> None:
        """Write what waits, then ``changes``, in one transaction.

        Raises:
            StoreError: of ``changes`` nothing was written; what waited waits on.
        """
        # One after the other: an older version of a thing must not come behind a newer one.
        async with self._writing:
            waiting = self._waiting.first(len(self._waiting))
            try:
                if waiting or changes:
                    await self._store.commit([*waiting, *changes])
            except StoreError as error:
                self._failed = error.transient or error.damaged
                if self._failed or not waiting:
                    raise
                await self._write_apart(waiting, changes)
            self._failed = False
            self._waiting.written(waiting)
            self._written_number = max(self._written_number, _number([*waiting, *changes]))

    async def _write_apart(self, waiting: Sequence[Change], changes: Sequence[Change]) -> None:
        """One of the changes is refused for what it holds: whoever waits for theirs is told when it
        is one of these, and of the others that one is left out."""
        for change in waiting:
            try:
                await self._store.commit([change])
            except StoreError as error:
                self._failed = error.transient or error.damaged
                if self._failed:
                    raise
                logger.error("the store refuses a %s: %s", type(change).__name__, error)
        self._waiting.written(waiting)
        if changes:
            await self._store.commit(changes)

    # -- reading: what waits is written before ---------------------------------------------

    async def _settled(self) -> Store:
        if len(self._waiting):
            await self._write(())
        return self._store

    async def next_due(self, *, after: Due | None, limit: int) -> list[Due]:
        return await (await self._settled()).next_due(after=after, limit=limit)

    async def records(self, event_ids: Iterable[str]) -> dict[str, EventRecord]:
        return await (await self._settled()).records(event_ids)

    async def list_events(
        self, *, after_id: str | None = None, limit: int = 1000, origin: str | None = None
    ) -> list[EventRecord]:
        store = await self._settled()
        return await store.list_events(after_id=after_id, limit=limit, origin=origin)

    async def execution(self, execution_id: str) -> EventExecution | None:
        return await (await self._settled()).execution(execution_id)

    async def list_executions(
        self,
        *,
        event_id: str | None = None,
        statuses: Iterable[Status] | None = None,
        after: ExecutionPlace | None = None,
        limit: int = 100,
    ) -> list[EventExecution]:
        store = await self._settled()
        return await store.list_executions(
            event_id=event_id, statuses=statuses, after=after, limit=limit
        )

    async def unfinished(self) -> list[EventExecution]:
        return await (await self._settled()).unfinished()

    async def facts(self) -> dict[str, Any]:
        facts = await (await self._settled()).facts()
        if not self._resumed:
            self._resumed = True
            self._written_number = int(facts.get(SEQUENCE, 0))
            if facts.get(STARTS, {}).get("running"):
                # The run before this one was cut short, and may have told more than it wrote.
                self._written_number += NUMBERS_AHEAD
                facts = {**facts, SEQUENCE: self._written_number}
        return facts

    async def notifications(self, *, after: int, limit: int) -> list[Notification]:
        return await (await self._settled()).notifications(after=after, limit=limit)

    async def excess_notifications(self, *, count: int, size: int) -> int:
        return await self._store.excess_notifications(count=count, size=size)

    async def trim(
        self,
        *,
        older_than: datetime | None = None,
        per_event: int | None = None,
        keep_per_status: int = 1,
        size_limit: int | None = None,
        limit: int = 500,
    ) -> int:
        return await self._store.trim(
            older_than=older_than,
            per_event=per_event,
            keep_per_status=keep_per_status,
            size_limit=size_limit,
            limit=limit,
        )

    async def recover(self) -> str:
        return await self._store.recover()

    async def damaged(self) -> list[Damaged]:
        return await self._store.damaged()


def _number(changes: Iterable[Change]) -> int:
    """The number of the last notification that is among the changes, or 0."""
    return max(
        (
            int(each.value)
            for each in changes
            if isinstance(each, SaveFact) and each.name == SEQUENCE
        ),
        default=0,
    )
