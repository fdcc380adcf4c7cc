"""The Store contract on SQLite: grouped commits by one task, reads beside them."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import TypeVar

import trio

from alicia_scheduler.api.model import EventExecution, EventRecord, Status
from alicia_scheduler.api.store import Change, Damaged, Due
from alicia_scheduler.store import connections
from alicia_scheduler.store.connections import Synchronous
from alicia_scheduler.store.faults import explained, store_error
from alicia_scheduler.store.groups import GroupCommit
from alicia_scheduler.store.queries import Queries
from alicia_scheduler.store.rows import operations
from alicia_scheduler.store.schema import check_version, prepare, sync_directory
from alicia_scheduler.store.writer import Writer

__all__ = ["SqliteStore"]

T = TypeVar("T")

_log = logging.getLogger(__name__)


class SqliteStore:
    """Events and executions in a SQLite file, or in memory. Made by :meth:`open`.

    A file has one writing connection, used by one committing task that turns everything waiting
    into one transaction, and one connection that can only read. Both do their work in a worker
    thread, one at a time each. A store in memory has one connection and works in place, without
    threads, so that virtual time sees all of it.
    """

    def __init__(self, queries: Queries, writer: Writer, groups: GroupCommit | None) -> None:
        self._queries = queries
        self._writer = writer
        self._groups = groups
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

        Raises:
            StoreError: the store cannot be opened, or is of a newer version; says what to do.
        """
        if path is None:
            with closing(connections.open_memory()) as connection:
                prepare(connection, None)
                queries = Queries(connection, "in memory")
                yield cls(queries, Writer(connection, "in memory"), None)
            return
        in_thread = partial(trio.to_thread.run_sync, limiter=trio.CapacityLimiter(1))
        writing, reading = await in_thread(_open_file, path, synchronous)
        try:
            writer = Writer(writing, str(path))
            async with GroupCommit.running(writer.write, waiting) as groups:
                yield cls(Queries(reading, str(path)), writer, groups)
        finally:
            with trio.CancelScope(shield=True):
                await in_thread(_close_file, writing, reading, path)

    async def commit(self, changes: Sequence[Change]) -> None:
        """See :meth:`Store.commit`."""
        wanted = operations(changes)
        if self._groups is not None:
            await self._groups.commit(wanted)
            return
        await trio.lowlevel.checkpoint()
        (refused,) = self._writer.write([wanted])
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

    async def execution(self, execution_id: str) -> EventExecution | None:
        """See :meth:`Store.execution`."""
        return await self._read(partial(self._queries.execution, execution_id))

    async def list_executions(
        self,
        *,
        event_id: str | None = None,
        statuses: Iterable[Status] | None = None,
        limit: int = 100,
    ) -> list[EventExecution]:
        """See :meth:`Store.list_executions`."""
        chosen = None if statuses is None else frozenset(statuses)
        return await self._read(
            partial(self._queries.list_executions, event_id=event_id, statuses=chosen, limit=limit)
        )

    async def unfinished(self) -> list[EventExecution]:
        """See :meth:`Store.unfinished`."""
        return await self._read(self._queries.unfinished)

    async def damaged(self) -> list[Damaged]:
        """See :meth:`Store.damaged`."""
        return await self._read(self._queries.damaged)

    async def _read(self, query: Callable[[], T]) -> T:
        if self._groups is not None:
            return await trio.to_thread.run_sync(query, limiter=self._reading)
        await trio.lowlevel.checkpoint()
        return query()


def _open_file(
    path: Path, synchronous: Synchronous
) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    """The writing and the reading connection of a store that is whole and of this version."""
    with explained(str(path)):
        if path.exists():
            with closing(connections.open_reading(path)) as looking:
                check_version(looking, str(path))
        writing = connections.open_writing(path, synchronous)
        try:
            prepare(writing, path)
            sync_directory(path.parent)
            return writing, connections.open_reading(path)
        except BaseException:
            writing.close()
            raise


def _close_file(writing: sqlite3.Connection, reading: sqlite3.Connection, path: Path) -> None:
    reading.close()
    try:
        connections.close_writing(writing)
    except sqlite3.Error as error:
        # Nothing is lost: what is not merged stays in the write-ahead log until the next start.
        _log.warning("%s", store_error(error, str(path)))
