"""Action types in use: each opened once, when first needed, and closed when the host stops."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from alicia_scheduler.api.contracts import Action
from alicia_scheduler.api.descriptors import ActionType
from alicia_scheduler.api.errors import Retryable
from alicia_scheduler.host.context import Surroundings
from alicia_scheduler.host.registry import Offer
from alicia_scheduler.host.supervision import CLOSE_TIMEOUT, describe_error

__all__ = ["OpenActions"]


class OpenActions:
    """The opened action types. Each is entered and left in one task of its own."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._surroundings = surroundings
        self._open: dict[str, Action] = {}
        self._locks: dict[str, trio.Lock] = {}
        self._stop = trio.Event()
        self._nursery: trio.Nursery | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep what gets opened open until the block ends."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                yield
            finally:
                self._stop.set()
                nursery.cancel_scope.deadline = trio.current_time() + CLOSE_TIMEOUT

    async def get(self, offer: Offer[ActionType]) -> Action:
        """The action of a type; opens it on first use.

        Raises:
            Retryable: it could not be opened; the next attempt tries again.
        """
        name = offer.type.name
        if name in self._open:
            return self._open[name]
        async with self._locks.setdefault(name, trio.Lock()):
            if name not in self._open:
                if self._nursery is None:
                    raise RuntimeError("actions are not running: enter running() first")
                problem = await self._nursery.start(self._hold, offer)
                if problem is not None:
                    raise Retryable(f"the action type {name!r} could not be opened: {problem}")
        return self._open[name]

    async def _hold(
        self, offer: Offer[ActionType], task_status: trio.TaskStatus[str | None]
    ) -> None:
        name = offer.type.name
        context = self._surroundings.context(offer.plugin)
        opened = False
        try:
            with self._surroundings.part(f"action type {name}"):
                async with offer.type.open(context) as action:
                    self._open[name] = action
                    opened = True
                    task_status.started(None)
                    await self._stop.wait()
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a plugin may raise anything
            if not opened:
                task_status.started(describe_error(error))
            else:
                context.logger.warning("action %s failed: %s", name, describe_error(error))
        finally:
            self._open.pop(name, None)
