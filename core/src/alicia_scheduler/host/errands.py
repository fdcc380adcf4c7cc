"""Work that goes on when whoever asked for it is gone.

A command that changes the parts of a host can come in through one of these parts: a service that
takes commands from a bus, which the command then closes. So the host does the work in a task of its
own, and who asked only waits for it.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import trio

__all__ = ["Errands"]

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Errands:
    """Does work for others while :meth:`running`."""

    def __init__(self) -> None:
        self._nursery: trio.Nursery | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Take work while the block is open; its end cancels what is left, as far as that lets
        itself be cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                yield
            finally:
                self._nursery = None
                nursery.cancel_scope.cancel()

    async def run(self, job: Callable[[], Awaitable[T]]) -> T:
        """Have a job done and wait for it; a caller who is cancelled leaves it going.

        Raises:
            ValueError: the host does not run, or stopped before this was done.
            Exception: what the job raised.
        """
        if self._nursery is None:
            raise ValueError("the schedule does not run")
        done = trio.Event()
        results: list[T] = []
        failures: list[Exception] = []
        asked = True

        async def carry_out() -> None:
            try:
                results.append(await job())
            except Exception as error:
                failures.append(error)
                if not asked:
                    logger.error("what somebody asked for failed: %s", error, exc_info=error)
            finally:
                done.set()

        self._nursery.start_soon(carry_out, name="errand")
        try:
            await done.wait()
        finally:
            asked = False
        if failures:
            raise failures[0]
        if not results:
            raise ValueError("the host stopped before this was done")
        return results[0]
