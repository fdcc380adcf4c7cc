"""Commits that wait at the same time become one transaction.

The price of a durable commit is the flush of the disk, not the rows: a hundred callers in one
transaction cost little more than one. While one group is on its way, the next one gathers.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeVar

import trio

from alicia_scheduler.api.errors import StoreError
from alicia_scheduler.store.rows import Operation

__all__ = ["GroupCommit"]

T = TypeVar("T")

GROUP_OPERATIONS = 4000
"""A group takes no further caller from here on, so that a transaction stays short."""

_log = logging.getLogger(__name__)

Write = Callable[[Sequence[Sequence[Operation]]], Sequence[StoreError | None]]


class _Caller:
    """One commit on its way. Either it is withdrawn or it is taken, never both."""

    __slots__ = ("operations", "refused", "taken", "task", "withdrawn")

    def __init__(self, operations: Sequence[Operation]) -> None:
        self.operations = operations
        self.task = trio.lowlevel.current_task()
        self.taken = False
        self.withdrawn = False
        self.refused: StoreError | None = None

    def withdraw(self, _: object) -> trio.lowlevel.Abort:
        """Called by trio when the waiting task is cancelled."""
        if self.taken:
            return trio.lowlevel.Abort.FAILED
        self.withdrawn = True
        return trio.lowlevel.Abort.SUCCEEDED


class GroupCommit:
    """A bounded queue of commits and the one task that empties it. Made by :meth:`running`."""

    def __init__(self, write: Write, waiting: int) -> None:
        self._write = write
        self._queue: deque[_Caller] = deque()
        self._room = trio.Semaphore(waiting)
        self._arrived = trio.Event()
        self._closed = False
        self._thread = trio.CapacityLimiter(1)

    @classmethod
    @asynccontextmanager
    async def running(cls, write: Write, waiting: int) -> AsyncIterator[GroupCommit]:
        """The queue, with its task until the context is left; what waits then is committed.

        Args:
            write: applies the operations of several callers in one transaction and says which
                were refused. Called in a worker thread, never twice at once.
            waiting: how many commits the queue holds.
        """
        groups = cls(write, waiting)
        failure: BaseException | None = None
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(groups._commit_all)
                try:
                    yield groups
                finally:
                    groups._close()
        except BaseExceptionGroup as group:
            # The committing task raises nothing, so this is the body's one exception: whoever
            # writes `async with` around a store need not know that there is a nursery in it.
            failure = group.exceptions[0]
        if failure is not None:
            raise failure

    @trio.lowlevel.enable_ki_protection
    async def commit(self, operations: Sequence[Operation]) -> None:
        """Wait until ``operations`` are durable.

        Raises:
            StoreError: none of them is applied.
        """
        try:
            # Without a pause when there is room, so that commits are made in the order of calls.
            self._room.acquire_nowait()
        except trio.WouldBlock:
            await self._room.acquire()
        if self._closed:
            self._room.release()
            raise StoreError("the store is closed")
        caller = _Caller(operations)
        self._queue.append(caller)
        self._arrived.set()
        await trio.lowlevel.wait_task_rescheduled(caller.withdraw)
        if caller.refused is not None:
            raise caller.refused

    async def between(self, job: Callable[[], T]) -> T:
        """Run ``job`` in a worker thread while no group is on its way."""
        return await trio.to_thread.run_sync(job, limiter=self._thread)

    def _close(self) -> None:
        self._closed = True
        self._arrived.set()

    @trio.lowlevel.enable_ki_protection
    async def _commit_all(self) -> None:
        # Shielded, and deaf to Ctrl-C: it ends when the queue is closed and empty, not before.
        with trio.CancelScope(shield=True):
            while self._queue or not self._closed:
                if not self._queue:
                    await self._arrived.wait()
                    self._arrived = trio.Event()
                if group := self._next_group():
                    await self._commit_group(group)

    def _next_group(self) -> list[_Caller]:
        group: list[_Caller] = []
        room = GROUP_OPERATIONS
        while self._queue and room > 0:
            caller = self._queue.popleft()
            self._room.release()
            if not caller.withdrawn:
                caller.taken = True
                group.append(caller)
                room -= len(caller.operations)
        return group

    async def _commit_group(self, group: Sequence[_Caller]) -> None:
        wanted = [caller.operations for caller in group]
        try:
            outcomes = await trio.to_thread.run_sync(self._write, wanted, limiter=self._thread)
        except Exception as error:  # noqa: BLE001 - or the callers would wait for ever
            _log.exception("a commit failed in an unforeseen way")
            outcomes = [StoreError(f"the commit failed: {error!r}")] * len(group)
        for caller, refused in zip(group, outcomes, strict=True):
            caller.refused = refused
            trio.lowlevel.reschedule(caller.task)
