"""The Store contract in memory, for hosts that keep nothing: embedded ones, trials, simulations.

Nothing waits here and nothing is done elsewhere, so virtual time sees all of it.
"""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import trio

from alicia_scheduler.api.errors import StoreError
from alicia_scheduler.api.model import EventExecution, EventRecord, Notification, Status
from alicia_scheduler.api.store import Change, Damaged, Due, ExecutionPlace
from alicia_scheduler.store.tables import Kept, Tables

__all__ = ["MemoryStore"]

Rules = tuple[bool, int | None, int, int | None]


class MemoryStore:
    """Events and executions in memory. Made by :meth:`open`. Implements
    :class:`alicia_scheduler.api.store.Store`.

    Attributes:
        incidents: none; nothing happens to memory.
        durable: False: what is committed ends with the process.
        makeshift: False: it is meant to be in memory.
    """

    durable = False
    makeshift = False

    def __init__(self) -> None:
        self.incidents: list[str] = []
        self._tables = Tables()
        self._closed = False
        self._rules: Rules | None = None
        self._walk: list[str] = []

    @classmethod
    @asynccontextmanager
    async def open(cls) -> AsyncIterator[MemoryStore]:
        """An empty store until the context is left."""
        store = cls()
        try:
            yield store
        finally:
            store._closed = True

    async def commit(self, changes: Sequence[Change]) -> None:
        """See :meth:`Store.commit`."""
        # Applied before anybody else gets a turn, so that commits are made in the order of calls.
        await trio.lowlevel.checkpoint_if_cancelled()
        self._there().commit(changes)
        await trio.lowlevel.cancel_shielded_checkpoint()

    async def next_due(self, *, after: Due | None, limit: int) -> list[Due]:
        """See :meth:`Store.next_due`."""
        return (await self._asked()).next_due(after=after, limit=limit)

    async def records(self, event_ids: Iterable[str]) -> dict[str, EventRecord]:
        """See :meth:`Store.records`."""
        return (await self._asked()).records(event_ids)

    async def list_events(
        self, *, after_id: str | None = None, limit: int = 1000, origin: str | None = None
    ) -> list[EventRecord]:
        """See :meth:`Store.list_events`."""
        tables = await self._asked()
        return tables.list_events(after_id=after_id, limit=limit, origin=origin)

    async def execution(self, execution_id: str) -> EventExecution | None:
        """See :meth:`Store.execution`."""
        return (await self._asked(execution_id)).execution(execution_id)

    async def list_executions(
        self,
        *,
        event_id: str | None = None,
        statuses: Iterable[Status] | None = None,
        after: ExecutionPlace | None = None,
        limit: int = 100,
    ) -> list[EventExecution]:
        """See :meth:`Store.list_executions`."""
        tables = await self._asked(event_id or "")
        return tables.list_executions(
            event_id=event_id, statuses=statuses, after=after, limit=limit
        )

    async def unfinished(self) -> list[EventExecution]:
        """See :meth:`Store.unfinished`."""
        return (await self._asked()).unfinished()

    async def facts(self) -> dict[str, Any]:
        """See :meth:`Store.facts`."""
        return (await self._asked()).facts()

    async def notifications(self, *, after: int, limit: int) -> list[Notification]:
        """See :meth:`Store.notifications`."""
        return (await self._asked()).notifications(after=after, limit=limit)

    async def excess_notifications(self, *, count: int, size: int) -> int:
        """See :meth:`Store.excess_notifications`."""
        return (await self._asked()).excess_notifications(count=count, size=size)

    async def trim(
        self,
        *,
        older_than: datetime | None = None,
        per_event: int | None = None,
        keep_per_status: int = 1,
        size_limit: int | None = None,
        limit: int = 500,
    ) -> int:
        """See :meth:`Store.trim`. The size is that of the executions as JSON."""
        tables = await self._asked()
        rules = (older_than is None, per_event, keep_per_status, size_limit)
        if self._rules != rules:
            by_event = older_than is not None or per_event is not None
            self._rules, self._walk = rules, tables.event_ids() if by_event else []
        deleted = 0
        while self._walk:
            found = tables.expendable(self._walk[-1], keep_per_status, older_than, per_event)
            for kept in found[: limit - deleted]:
                tables.delete(kept)
                deleted += 1
            if deleted == limit:
                return deleted
            self._walk.pop()
            await trio.lowlevel.checkpoint()
        if not deleted and size_limit is not None:
            deleted = await self._shrink(tables, keep_per_status, size_limit, limit)
        if not deleted:
            self._rules = None
        return deleted

    async def _shrink(self, tables: Tables, keep: int, size_limit: int, limit: int) -> int:
        """Delete the oldest executions of all events until the rest is small enough."""
        if tables.size <= size_limit:
            return 0
        may_go: list[Kept] = []
        for event_id in tables.event_ids():
            may_go += tables.expendable(event_id, keep, None, None)
            await trio.lowlevel.checkpoint()
        deleted = 0
        for kept in heapq.nsmallest(limit, may_go, key=lambda kept: kept.place):
            if tables.size <= size_limit:
                break
            tables.delete(kept)
            deleted += 1
        return deleted

    async def recover(self) -> str:
        """See :meth:`Store.recover`."""
        self._tables = Tables()
        self._rules = None
        return "the store in memory was begun anew"

    async def damaged(self) -> list[Damaged]:
        """See :meth:`Store.damaged`."""
        return []

    def _there(self) -> Tables:
        if self._closed:
            raise StoreError("the store is closed")
        return self._tables

    async def _asked(self, text: str = "") -> Tables:
        """What there is, having given others their turn; ``text`` is part of the question."""
        await trio.lowlevel.checkpoint()
        try:
            text.encode()
        except UnicodeError as error:
            raise StoreError(f"{text!r} is no text: {error}") from error
        return self._there()
