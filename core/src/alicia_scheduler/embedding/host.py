"""A host inside somebody's trio program."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import AbstractAsyncContextManager, AbstractContextManager, asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import trio

from alicia_scheduler.api import (
    AliciaError,
    ConfigError,
    EventExecution,
    EventRecord,
    Notification,
    ScheduledEvent,
)
from alicia_scheduler.config.events import event_from_config
from alicia_scheduler.embedding.configured import Given, check, make_registry, read, state_dir_of
from alicia_scheduler.embedding.functions import FUNCTION, Functions
from alicia_scheduler.embedding.streams import Stream, Streams, ended_execution
from alicia_scheduler.host.host import Host as RunningHost
from alicia_scheduler.kernel.clock import Clock, SystemClock
from alicia_scheduler.kernel.definitions import remove_event, save_event
from alicia_scheduler.kernel.kernel import Kernel
from alicia_scheduler.kernel.prepared import Unresolved

__all__ = ["Host", "HostClosed"]

F = TypeVar("F", bound=Callable[..., Awaitable[object]])

ORIGIN = "embedded"
"""The origin of events that a program adds."""

CLOSE_WITHIN = 5.0
"""Seconds beyond what running executions get that a host has to close."""


class HostClosed(AliciaError):
    """The host does not run: its block is not open yet, or not any more."""


class Host:
    """A scheduler while a block is open: ``async with Host(config) as host:``.

    What its events do runs in tasks of the host, within the block: the program goes on meanwhile.
    When the block ends in order, nothing new starts and what runs gets ``drain_timeout``. When it
    is cancelled or left by an exception, what runs is cancelled. Either way everything is over
    when the block is left.

    Args:
        config: the path of a TOML file; or what would be in it, as a mapping; or the
            ``[scheduler]`` table as :class:`alicia_scheduler.config.settings.Settings`; or nothing.
        state_dir: where events and history are kept. By default as the configuration's
            ``state_dir`` says; without one everything is in memory and ends with the block. A
            ``Settings`` object names none.
        plugins: the names of the installed plugins to load; None loads all.
        extra_plugins: plugins that are not installed, by name: modules or objects with hooks.
        clock: the source of time; the system's by default.

    Raises:
        ConfigError: on entry, when the configuration has mistakes; the message names each.
        StoreError: on entry, when the state directory cannot be used.
    """

    def __init__(
        self,
        config: Given = None,
        *,
        state_dir: str | Path | None = None,
        plugins: Collection[str] | None = None,
        extra_plugins: Mapping[str, object] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._config = config
        self._state_dir = state_dir
        self._plugins = plugins
        self._extra = dict(extra_plugins or {})
        self._clock = clock or SystemClock()
        self._functions = Functions()
        self._streams = Streams()
        self._from_file: frozenset[str] = frozenset()
        self._host: RunningHost | None = None
        self._life: AbstractAsyncContextManager[None] | None = None

    # -- its life ------------------------------------------------------------------------

    async def __aenter__(self) -> Host:
        if self._life is not None:
            raise RuntimeError("a Host is entered once; make another one")
        self._life = self._running()
        await self._life.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        if self._life is None:
            return None
        return await self._life.__aexit__(kind, error, trace)

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        host = self._made()
        host.notifier.listen(self._streams.hear)
        # In a scope of its own, so that a cancelled program's host still ends in order.
        shield = trio.CancelScope(shield=True)
        left: BaseException | None = None
        failed: BaseException | None = None

        ready = trio.Event()

        async def live() -> None:
            nonlocal failed
            try:
                with shield:
                    async with trio.open_nursery() as inner:
                        inner.start_soon(_tell_started, host, ready)
                        await host.run()
                        inner.cancel_scope.cancel()
            except Exception as error:  # noqa: BLE001 - raised where the block is
                failed = _single(error)
            finally:
                self._host = None
                self._streams.close()
                ready.set()
                if failed is not None:
                    nursery.cancel_scope.cancel()

        async with trio.open_nursery() as nursery:
            try:
                # Not nursery.start(): cancelled, that would wait for what it shields.
                nursery.start_soon(live)
                await ready.wait()
                if failed is None:
                    self._host = host
                    yield
            except BaseException as error:  # noqa: BLE001 - raised again below, ungrouped
                left = error
                host.hurry()
            else:
                host.stop()
            shield.deadline = trio.current_time() + self._patience(host) + CLOSE_WITHIN
        if failed is not None:
            raise failed
        if left is not None:
            raise left

    def _made(self) -> RunningHost:
        loaded = read(self._config)
        registry = make_registry(loaded, self._functions, self._plugins, self._extra)
        checked = check(loaded, registry, self._clock.now())
        self._from_file = frozenset(event.event_id for event in checked.events)
        return RunningHost(
            loaded.settings,
            checked,
            registry,
            state_dir=state_dir_of(loaded, self._state_dir),
            clock=self._clock,
            history=loaded.history,
        )

    @staticmethod
    def _patience(host: RunningHost) -> float:
        return host.kernel.settings.drain_timeout if host.kernel is not None else 0.0

    @property
    def kernel(self) -> Kernel:
        """The kernel of the running host, for what this class has no method for.

        Raises:
            HostClosed: it does not run.
        """
        if self._host is None or self._host.kernel is None:
            raise HostClosed("the host does not run: use it within 'async with Host(…) as host:'")
        return self._host.kernel

    # -- functions and events ------------------------------------------------------------

    def action(self, name: str) -> Callable[[F], F]:
        """Give an async function a name, for events with
        ``action = {"type": "function", "name": name}``. A decorator.

        Given before the block is entered, functions are there for the events of the configuration
        and for those that an earlier run has stored.

        Raises:
            ConfigError: it is not async, or needs more than the execution.
        """

        def give(function: F) -> F:
            self._functions.put(name, function)
            return function

        return give

    async def add_event(
        self,
        event_id: str | None = None,
        *,
        action: Mapping[str, Any] | Callable[..., Awaitable[object]],
        **fields: Any,
    ) -> EventRecord:
        """Add an event, or replace the one with its id; what is left the same is kept as it is.

        Args:
            event_id: a new UUID unless given.
            action: as in a file; or an async function, which is given the execution unless it has
                no parameter. What it returns is kept as the result, and must have a form in JSON;
                what it raises is handled as for any action. A store keeps the event without its
                function: after a restart the event is unresolved, and its slots wait for the
                misfire policy, until it is added again.
            fields: ``schedule_type``, ``schedule_config`` and the other fields of an event.

        Raises:
            ConfigError: something about it is wrong, or the event belongs to the configuration.
            HostClosed: the host does not run.
        """
        kernel = self.kernel
        event_id = event_id or str(uuid.uuid4())
        if event_id in self._from_file:
            raise ConfigError(
                f"the event {event_id!r} belongs to the configuration",
                path=("events", event_id),
                hint="change it there, or choose another id",
            )
        restore = self._functions.snapshot()
        if not isinstance(action, Mapping):
            self._functions.put(event_id, action)
            action = {"type": FUNCTION, "name": event_id}
        try:
            event = self._checked_event(kernel, event_id, {**fields, "action": dict(action)})
            return await save_event(kernel, event)
        except ConfigError:
            restore()
            raise

    def _checked_event(self, kernel: Kernel, event_id: str, raw: dict[str, Any]) -> ScheduledEvent:
        issues: list[ConfigError] = []
        now = kernel.clock.now()
        path = ("events", event_id)
        event = event_from_config(event_id, raw, now=now, origin=ORIGIN, issues=issues, path=path)
        if event is None:
            raise issues[0]
        try:
            kernel.types.prepare(event, event.starts_at or now)
        except ConfigError as error:
            raise error.under(*path) from error
        except Unresolved as error:
            raise ConfigError(str(error), path=path) from error
        return event

    async def remove_event(self, event_id: str) -> None:
        """Remove an event and cancel what of it is under way; its executions stay as history.

        Raises:
            KeyError: there is no such event.
            HostClosed: the host does not run.
        """
        await remove_event(self.kernel, event_id)
        self._functions.discard(event_id)

    async def event(self, event_id: str) -> EventRecord:
        """A definition with its state: the next run, the counts.

        Raises:
            KeyError: there is no such event.
            HostClosed: the host does not run.
        """
        kernel = self.kernel
        await kernel.catalog.load([event_id])
        entry = kernel.catalog.get(event_id)
        if entry is None:
            raise KeyError(event_id)
        return entry.record

    # -- executions ----------------------------------------------------------------------

    async def trigger(self, event_id: str) -> EventExecution:
        """Run an event now, by its own rules of overlap; the schedule goes on as before.

        Returns:
            the new execution, which has begun or waits; or the record of why there is none.

        Raises:
            KeyError: there is no such event.
            ValueError: it is unresolved; the message says why.
            HostClosed: the host does not run.
        """
        return (await self.kernel.trigger(event_id))[0]

    async def wait(self, execution_id: str) -> EventExecution:
        """The execution once it has ended, with all its attempts.

        Raises:
            KeyError: there is no such execution.
            HostClosed: the host does not run, or ends before the execution does.
        """
        kernel = self.kernel
        with self._streams.open(_end_of(execution_id), limit=1) as ends:
            known = await kernel.store.execution(execution_id)
            if known is not None and known.status.final:
                return known
            if known is None and not kernel.runner.knows(execution_id):
                raise KeyError(execution_id)
            async for execution in ends:
                return execution
        raise HostClosed(f"the host has ended, and {execution_id} has not")

    def executions(
        self, event_id: str | None = None
    ) -> AbstractContextManager[Stream[EventExecution]]:
        """Executions as they end, of one event or of all, while the block is open::

            with host.executions("backup") as ended:
                async for execution in ended:
                    print(execution.status)

        At most 10 000 wait for a reader; then the oldest are dropped and counted in ``dropped``.
        """

        def choose(notification: Notification) -> EventExecution | None:
            if event_id not in (None, notification.event_data.get("event_id")):
                return None
            return ended_execution(notification)

        return self._streams.open(choose)

    def notifications(self, *event_types: str) -> AbstractContextManager[Stream[Notification]]:
        """Notifications as sinks get them, of some types or of all, while the block is open.
        Bounded as :meth:`executions` is."""

        def choose(notification: Notification) -> Notification | None:
            wanted = not event_types or notification.event_type in event_types
            return notification if wanted else None

        return self._streams.open(choose)


def _end_of(execution_id: str) -> Callable[[Notification], EventExecution | None]:
    def choose(notification: Notification) -> EventExecution | None:
        if notification.event_data.get("execution_id") != execution_id:
            return None
        return ended_execution(notification)

    return choose


async def _tell_started(host: RunningHost, ready: trio.Event) -> None:
    await host.started.wait()
    ready.set()


def _single(error: BaseException) -> BaseException:
    """The one error in groups that nurseries made around it, or the group."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
