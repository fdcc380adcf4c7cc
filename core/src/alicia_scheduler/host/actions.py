"""Action types in use: each opened once, when first needed, and closed when the host stops."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trio

from alicia_scheduler.api.contracts import Action
from alicia_scheduler.api.descriptors import ActionType
from alicia_scheduler.api.errors import Permanent, Retryable
from alicia_scheduler.api.model import EventExecution
from alicia_scheduler.host.blame import working_for
from alicia_scheduler.host.context import Surroundings
from alicia_scheduler.host.faults import PluginCrash, is_foreign
from alicia_scheduler.host.record import PluginRecord
from alicia_scheduler.host.registry import Offer
from alicia_scheduler.host.supervision import CLOSE_TIMEOUT, describe_error

__all__ = ["OPEN_TIMEOUT", "OpenActions"]

OPEN_TIMEOUT = 30.0
"""Seconds that opening an action type may take."""


@dataclass(eq=False)
class _Opened:
    """An action type that is open.

    Attributes:
        users: how many attempts use it at this moment.
        unwanted: it is to be closed as soon as nobody uses it.
    """

    offer: Offer[ActionType]
    action: Action
    stop: trio.Event = field(default_factory=trio.Event)
    users: int = 0
    unwanted: bool = False

    def leave(self) -> None:
        self.users -= 1
        self.close_if_unwanted()

    def close_if_unwanted(self) -> None:
        if self.unwanted and not self.users:
            self.stop.set()


class OpenActions:
    """The opened action types. Each is entered and left in one task of its own.

    Args:
        returned: told of a plugin whose action has just come to its end in this task; for whoever
            measures how long it held the loop.
    """

    def __init__(
        self,
        surroundings: Surroundings,
        returned: Callable[[PluginRecord], None] = lambda _plugin: None,
    ) -> None:
        self._surroundings = surroundings
        self._returned = returned
        self._open: dict[str, _Opened] = {}
        self._locks: dict[str, trio.Lock] = {}
        self._stopping = False
        self._nursery: trio.Nursery | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Keep what gets opened open until the block ends."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                yield
            finally:
                self._stopping = True
                for opened in self._open.values():
                    opened.stop.set()
                nursery.cancel_scope.deadline = trio.current_time() + CLOSE_TIMEOUT + 1

    async def run(
        self, offer: Offer[ActionType], config: object, execution: EventExecution
    ) -> object | None:
        """One attempt by an action type, which is opened on first use.

        Raises:
            Retryable: it could not be opened; the next attempt tries again.
            PluginCrash: it raised what no plugin may raise.
            Exception: whatever it raises.
        """
        opened = await self._get(offer)
        plugin = offer.plugin
        opened.users += 1
        try:
            with working_for(plugin):
                try:
                    return await opened.action.run(config, execution)
                finally:
                    self._returned(plugin)
        except (Retryable, Permanent):
            raise
        except Exception as error:
            said = describe_error(error)
            self._surroundings.faults.error(plugin, "run", f"action {offer.type.name}: {said}")
            raise
        except BaseException as error:
            if not is_foreign(error):
                raise
            said = describe_error(error)
            sentence = f"action {offer.type.name} raised {said}, which no action may raise"
            self._surroundings.faults.fault(plugin, "run", sentence)
            raise PluginCrash(sentence) from error
        finally:
            opened.leave()

    def close(self, plugin: PluginRecord) -> None:
        """Close what a plugin has open, each as soon as no attempt uses it. Whoever needs one of
        them then opens it anew."""
        for name, opened in list(self._open.items()):
            if opened.offer.plugin is plugin:
                del self._open[name]
                opened.unwanted = True
                opened.close_if_unwanted()

    async def _get(self, offer: Offer[ActionType]) -> _Opened:
        name = offer.type.name
        if name in self._open:
            return self._open[name]
        async with self._locks.setdefault(name, trio.Lock()):
            if name not in self._open:
                if self._nursery is None:
                    raise RuntimeError("actions are not running: enter running() first")
                if self._stopping:
                    raise Retryable(f"the action type {name!r} is not opened: the host stops")
                problem = await self._nursery.start(self._hold, offer)
                if problem is not None:
                    raise Retryable(f"the action type {name!r} could not be opened: {problem}")
        return self._open[name]

    async def _hold(
        self, offer: Offer[ActionType], task_status: trio.TaskStatus[str | None]
    ) -> None:
        name, plugin, faults = offer.type.name, offer.plugin, self._surroundings.faults
        context = self._surroundings.context(plugin)
        opened: _Opened | None = None
        # Bounds the opening, then nothing, then the closing.
        scope = trio.CancelScope(deadline=trio.current_time() + OPEN_TIMEOUT)
        try:
            with self._surroundings.part(f"action type {name}"), working_for(plugin), scope:
                async with offer.type.open(context) as action:
                    scope.deadline = math.inf
                    opened = self._open[name] = _Opened(offer, action)
                    task_status.started(None)
                    await opened.stop.wait()
                    scope.deadline = trio.current_time() + CLOSE_TIMEOUT
            if scope.cancelled_caught and opened is None:
                sentence = f"action {name} did not open within {OPEN_TIMEOUT:g} s"
                faults.fault(plugin, "open", sentence)
                task_status.started(f"it did not open within {OPEN_TIMEOUT:g} s")
            elif scope.cancelled_caught:
                sentence = f"action {name} did not close within {CLOSE_TIMEOUT:g} s"
                context.logger.warning("%s", sentence)
                faults.fault(plugin, "close", sentence)
        except BaseException as error:
            if not isinstance(error, Exception) and not is_foreign(error):
                if opened is None and not self._stopping:
                    faults.error(plugin, "open", f"action {name} was not open when its run ended")
                raise
            said = describe_error(error)
            if opened is None:
                faults.failed(plugin, "open", error, f"action {name} did not open: {said}")
                task_status.started(said)
            else:
                context.logger.warning("action %s failed: %s", name, said)
                doing = "close" if opened.stop.is_set() else "run"
                faults.failed(plugin, doing, error, f"action {name} failed: {said}")
        finally:
            if opened is not None and self._open.get(name) is opened:
                del self._open[name]
