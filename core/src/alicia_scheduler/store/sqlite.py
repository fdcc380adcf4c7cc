"""The Store contract on SQLite: grouped commits by one task, reads beside them."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager, closing, suppress
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import trio

from alicia_scheduler.api.errors import StoreError
from alicia_scheduler.api.model import (
    EventExecution,
    EventRecord,
    Notification,
    Status,
    to_epoch,
)
from alicia_scheduler.api.store import Change, Damaged, Due, ExecutionPlace
from alicia_scheduler.store import connections
from alicia_scheduler.store.connections import Synchronous
from alicia_scheduler.store.copies import back_up
from alicia_scheduler.store.faults import explained, store_error
from alicia_scheduler.store.groups import GroupCommit
from alicia_scheduler.store.history import HistoryRules, HistoryWalk
from alicia_scheduler.store.makeshift import MEMORY_BYTES, WayBack
from alicia_scheduler.store.opening import Opened, open_anew, open_file, open_store
from alicia_scheduler.store.queries import Queries
from alicia_scheduler.store.rows import operations
from alicia_scheduler.store.schema import prepare
from alicia_scheduler.store.writer import Writer

__all__ = ["SqliteStore"]

T = TypeVar("T")

_log = logging.getLogger(__name__)


class SqliteStore:
    """Events and executions in a SQLite file, or in memory. Made by :meth:`open`.

    A file has one writing connection, used by one committing task that turns everything waiting
    into one transaction, and one connection that can only read. Both do their work in a worker
    thread, one at a time each. Where memory stands in for the file, both are one connection, used
    by one thread at a time. A store that is meant to be in memory has one connection as well and
    works in place, without threads, so that virtual time sees all of it.

    Attributes:
        incidents: what happened to the store itself since it was opened, in plain sentences.
    """

    def __init__(self, path: Path | None, synchronous: Synchronous, opened: Opened) -> None:
        place = "in memory" if path is None else str(path)
        self._path = path
        self._synchronous = synchronous
        self._opened = opened
        self._queries = Queries(opened.reading, place)
        self._writer = Writer(opened.writing, place)
        self._groups: GroupCommit | None = None
        self._walk: HistoryWalk | None = None
        self.incidents: list[str] = []
        # A limiter of its own: plugins that use up trio's common threads cannot hold up the store.
        self._reading = trio.CapacityLimiter(1)

    @classmethod
    @asynccontextmanager
    async def open(
        cls, path: Path | None, *, synchronous: Synchronous = "FULL", waiting: int = 1000
    ) -> AsyncIterator[SqliteStore]:
        """Open the store at ``path``, creating or migrating it, until the context is left.

        Leaving commits everything that waits, merges the write-ahead log into the file and closes.

        Args:
            path: the file, in a directory that this process has locked; None for memory.
            synchronous: ``FULL``: an acknowledged commit survives a power cut. ``NORMAL`` spares
                a flash card and may forget the last commits then.
            waiting: so many commits wait for the committing task at most; further ones wait to
                get in.

        A damaged store is moved aside and a new one begun; where nothing can be written, memory
        stands in for the file. :attr:`incidents` tells.

        Raises:
            StoreError: the store cannot be opened, or is of a newer version; says what to do.
        """
        incidents: list[str] = []
        if path is None:
            opened = _memory()
        else:
            opened = await _in_thread(partial(open_store, path, synchronous, incidents.append))
        store = cls(path, synchronous, opened)
        store.incidents = incidents
        _log.info("store %s, SQLite %s", path or "in memory", sqlite3.sqlite_version)
        for incident in incidents:
            _log.error("%s", incident)
        try:
            if path is None:
                yield store
                return
            async with GroupCommit.running(store._writer.write, waiting) as store._groups:
                yield store
        finally:
            with trio.CancelScope(shield=True):
                await store._close()

    @property
    def durable(self) -> bool:
        """False when what is committed ends with the process: the store is in memory."""
        return self._opened.durable

    @property
    def makeshift(self) -> bool:
        """See :attr:`Store.makeshift`."""
        return self._path is not None and not self._opened.durable

    async def trim(
        self,
        *,
        older_than: datetime | None = None,
        per_event: int | None = None,
        keep_per_status: int = 1,
        size_limit: int | None = None,
        limit: int = 500,
    ) -> int:
        """See :meth:`Store.trim`."""
        seconds = None if older_than is None else to_epoch(older_than)
        if self.makeshift:
            size_limit = min(size_limit or MEMORY_BYTES, MEMORY_BYTES)
        rules = HistoryRules(seconds, per_event, keep_per_status, size_limit)
        walk = self._walk
        if walk is None or not walk.goes_on_with(rules):
            walk = self._walk = HistoryWalk(rules)
        look = partial(self._queries.expendable, walk, limit)
        while (found := await self._read(look)) is not None:
            if found:
                return await self._write(partial(self._delete, walk, found))
        self._walk = None
        while await self._write(self._writer.release_pages):
            pass
        return 0

    async def backup(self, to: Path) -> None:
        """Copy the store as it is at one moment to a file, while it is used.

        Neither reads nor commits wait for it. The copy is readable by its owner only and is whole
        or absent.

        Args:
            to: the copy, which must not exist, in a directory that does.

        Raises:
            StoreError: the copy could not be made; says what to do.
        """
        if self._path is None or self.makeshift:
            await self._read(partial(self._queries.back_up, to, lambda: None))
            return
        await _in_thread(partial(_back_up, self._path, to))

    async def recover(self) -> str:
        """See :meth:`Store.recover`."""
        if self._groups is None or self._path is None:
            self._replace(_memory())
            return "the store in memory was begun anew"
        if self.makeshift:
            return await self._return(self._groups, self._path)
        # Nobody reads and nobody writes while the store is exchanged.
        async with self._reading:
            incident = await self._groups.between(partial(self._exchange, self._path))
        self.incidents.append(incident)
        _log.error("%s", incident)
        return incident

    def _exchange(self, path: Path) -> str:
        # The reading connection is closed last and cannot merge the log: all stays as it is.
        _abandon(self._opened)
        opened, where = open_anew(path, self._synchronous)
        self._replace(opened)
        return f"store {path}: the file is damaged. {where}"

    async def _return(self, groups: GroupCommit, path: Path) -> str:
        """Go on at the place that memory stands in for."""
        told: list[str] = []
        opening = partial(open_file, path, self._synchronous, told.append)
        try:
            left_out = await self._move(groups, path, opening)
        except StoreError as error:
            if not error.damaged:
                raise
            opened, where = await _in_thread(partial(open_anew, path, self._synchronous))
            told.append(f"{error}. {where}")
            left_out = await self._move(groups, path, lambda: opened)
        words = [*told, f"store {path}: it is written again and holds what was kept in memory"]
        if left_out:
            words.append(f"{left_out} executions are left out: it has others for their slots")
        incident = ". ".join(words)
        self.incidents.append(incident)
        _log.warning("%s", incident)
        return incident

    async def _move(self, groups: GroupCommit, path: Path, opening: Callable[[], Opened]) -> int:
        """Carry memory over to the file and use that from now on; returns how many executions
        were left out. When it raises, all is as before."""
        opened = await _in_thread(opening)
        memory = self._opened.writing
        way: WayBack | None = None
        try:
            way = await groups.between(partial(WayBack, memory, path, self._synchronous))
            # The store is used as ever while the bulk of the history is carried over.
            while await groups.between(way.bite):
                pass
            async with self._reading:
                await groups.between(partial(self._arrive, way, opened))
        finally:
            if self._opened is not opened:
                with trio.CancelScope(shield=True):
                    if way is not None:
                        await groups.between(way.close)
                    await _in_thread(partial(_abandon, opened))
        return way.left_out

    def _arrive(self, way: WayBack, opened: Opened) -> None:
        way.rest()
        memory = self._opened.writing
        self._replace(opened)
        memory.close()

    def _delete(self, walk: HistoryWalk, found: Sequence[int]) -> int:
        # The numbers are of another store when it was exchanged since they were found.
        return self._writer.delete_executions(found) if walk is self._walk else 0

    def _replace(self, opened: Opened) -> None:
        self._opened = opened
        self._walk = None
        self._writer.reconnect(opened.writing)
        self._queries.reconnect(opened.reading)

    async def _close(self) -> None:
        if self._path is None or self.makeshift:
            self._opened.writing.close()
        else:
            opened = self._opened
            await _in_thread(partial(_close_file, opened.writing, opened.reading, self._path))

    async def commit(self, changes: Sequence[Change]) -> None:
        """See :meth:`Store.commit`."""
        wanted = operations(changes)
        if self._groups is not None:
            await self._groups.commit(wanted)
            return
        # Written before anybody else gets a turn, so that commits are made in the order of calls.
        await trio.lowlevel.checkpoint_if_cancelled()
        (refused,) = self._writer.write([wanted])
        await trio.lowlevel.cancel_shielded_checkpoint()
        if refused is not None:
            raise refused

    async def next_due(self, *, after: Due | None, limit: int) -> list[Due]:
        """See :meth:`Store.next_due`."""
        return await self._read(partial(self._queries.next_due, after=after, limit=limit))

    async def records(self, event_ids: Iterable[str]) -> dict[str, EventRecord]:
        """See :meth:`Store.records`."""
        return await self._read(partial(self._queries.records, list(event_ids)))

    async def list_events(
        self, *, after_id: str | None = None, limit: int = 1000, origin: str | None = None
    ) -> list[EventRecord]:
        """See :meth:`Store.list_events`."""
        query = partial(self._queries.list_events, after_id=after_id, limit=limit, origin=origin)
        return await self._read(query)

    async def tagged(
        self, tags: Collection[str], *, after_id: str | None = None, limit: int = 1000
    ) -> tuple[list[str], str | None]:
        """Which events may have one of these tags, without reading the others: more than the
        contract asks of a store.

        Returns:
            ids in order, ``limit`` at the most: of all those that have one of the tags, perhaps of
            some that do not; and the id behind which to look on, None when there are no more. A
            page can be short, also empty, though others follow.
        """
        query = partial(self._queries.tagged, list(tags), after_id=after_id, limit=limit)
        return await self._read(query)

    async def execution(self, execution_id: str) -> EventExecution | None:
        """See :meth:`Store.execution`."""
        return await self._read(partial(self._queries.execution, execution_id))

    async def list_executions(
        self,
        *,
        event_id: str | None = None,
        statuses: Iterable[Status] | None = None,
        after: ExecutionPlace | None = None,
        limit: int = 100,
    ) -> list[EventExecution]:
        """See :meth:`Store.list_executions`."""
        chosen = None if statuses is None else frozenset(statuses)
        query = partial(
            self._queries.list_executions,
            event_id=event_id,
            statuses=chosen,
            after=after,
            limit=limit,
        )
        return await self._read(query)

    async def unfinished(self) -> list[EventExecution]:
        """See :meth:`Store.unfinished`."""
        return await self._read(self._queries.unfinished)

    async def facts(self) -> dict[str, Any]:
        """See :meth:`Store.facts`."""
        return await self._read(self._queries.facts)

    async def notifications(self, *, after: int, limit: int) -> list[Notification]:
        """See :meth:`Store.notifications`."""
        return await self._read(partial(self._queries.notifications, after=after, limit=limit))

    async def excess_notifications(self, *, count: int, size: int) -> int:
        """See :meth:`Store.excess_notifications`."""
        query = partial(self._queries.excess_notifications, count=count, size=size)
        return await self._read(query)

    async def damaged(self) -> list[Damaged]:
        """See :meth:`Store.damaged`."""
        return await self._read(self._queries.damaged)

    async def _write(self, job: Callable[[], T]) -> T:
        if self._groups is not None:
            return await self._groups.between(job)
        await trio.lowlevel.checkpoint()
        return job()

    async def _read(self, query: Callable[[], T]) -> T:
        if self._groups is None:
            await trio.lowlevel.checkpoint()
            return query()
        if self.makeshift:
            # One connection for all: a read takes its turn with the commits. It has that of the
            # reads as well, for the case that it gets its turn after the way back.
            async with self._reading:
                return await self._groups.between(query)
        return await trio.to_thread.run_sync(query, limiter=self._reading)


def _memory() -> Opened:
    connection = connections.open_memory()
    prepare(connection, None)
    return Opened(connection, connection, durable=False)


async def _in_thread(job: Callable[[], T]) -> T:
    return await trio.to_thread.run_sync(job, limiter=trio.CapacityLimiter(1))


def _back_up(path: Path, to: Path) -> None:
    # A connection of its own: reads go on beside it.
    with explained(str(path)), closing(connections.open_reading(path)) as reading:
        back_up(reading, to, trio.from_thread.check_cancelled)


def _abandon(opened: Opened) -> None:
    for connection in (opened.writing, opened.reading):
        with suppress(sqlite3.Error):
            connection.close()


def _close_file(writing: sqlite3.Connection, reading: sqlite3.Connection, path: Path) -> None:
    reading.close()
    try:
        connections.close_writing(writing)
    except sqlite3.Error as error:
        # Nothing is lost: what is not merged stays in the write-ahead log until the next start.
        _log.warning("%s", store_error(error, str(path)))
