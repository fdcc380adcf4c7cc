"""What runs: the objects that a plugin's descriptors open, and what the host hands to them.

All are protocols: a plugin's class needs no base class, so its unit tests need no host. What
waits is ``async``; it runs on trio, under a deadline, in a task that carries the plugin's name,
and must let ``trio.Cancelled`` pass.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar
from zoneinfo import ZoneInfo

from alicia_scheduler.api.control import Commands
from alicia_scheduler.api.errors import ConfigError
from alicia_scheduler.api.model import DstGap, DstOverlap, EventExecution, Notification

__all__ = [
    "Action",
    "ActionContext",
    "PluginContext",
    "Schedule",
    "ScheduleContext",
    "Sink",
    "SinkContext",
    "ServiceContext",
]

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class ScheduleContext:
    """What a schedule may know besides its own configuration.

    Attributes:
        timezone: the zone for wall-clock readings, or None when there is no default and a
            local reading must be refused.
        anchor: the instant the schedule was started (aware UTC); grids count from it.
        dst_gap: the event's rule for readings that a clock change skips; None for the type's own.
        dst_overlap: the event's rule for readings that come twice; None for the type's own.
        latitude, longitude: the host's place in degrees north and east, if it is configured.
    """

    timezone: ZoneInfo | None
    anchor: datetime
    dst_gap: DstGap | None = None
    dst_overlap: DstOverlap | None = None
    latitude: float | None = None
    longitude: float | None = None

    def require_timezone(self) -> ZoneInfo:
        """The zone.

        Raises:
            ConfigError: there is none, so a local reading has no meaning.
        """
        if self.timezone is None:
            raise ConfigError(
                "a local time needs a time zone, and none is set",
                hint='set timezone = "Europe/Berlin" (or yours), or add Z or an offset to the time',
            )
        return self.timezone


class Schedule(Protocol):
    """When: a pure function from an instant to the next slot."""

    def next_after(self, instant: datetime) -> datetime | None:
        """The first slot strictly later than ``instant``, or None when there is none.

        Both are aware UTC datetimes. Pure: the same question always has the same answer. It
        never waits, does no I/O and takes bounded time.
        """
        ...

    def describe(self) -> str:
        """One line for people, e.g. ``every 5 minutes``."""
        ...


class PluginContext(Protocol):
    """What the host gives to anything a plugin opens."""

    @property
    def plugin(self) -> str:
        """Name of the plugin, as ``alicia plugins list`` shows it."""
        ...

    @property
    def instance(self) -> str:
        """Name of this host on the network, stable across restarts (letters, digits, ``-``)."""
        ...

    @property
    def settings(self) -> Any:
        """The plugin's own keys of ``[plugins.<name>]``: an instance of the class that its hook
        ``alicia_settings`` names, or None when it names none."""
        ...

    @property
    def state_dir(self) -> Path | None:
        """The host's directory for what must outlive it, which no other host uses at the same
        time; None when this host keeps nothing. Name files after the plugin."""
        ...

    @property
    def logger(self) -> logging.Logger:
        """A logger whose lines carry the plugin's name."""
        ...

    def now(self) -> datetime:
        """The current instant by the kernel's clock (aware UTC). Use it instead of the system's,
        so that a plugin lives in virtual time too."""
        ...

    def service(self, contract: type[T]) -> T:
        """The running service that provides ``contract``. Ask each time: it may have restarted.

        Raises:
            ServiceUnavailable: it is not running at the moment (the kernel retries).
        """
        ...

    def run_sync(self, function: Callable[..., T], *args: Any) -> Awaitable[T]:
        """Run blocking code in a thread; on cancellation the thread is abandoned."""
        ...

    def run_asyncio(
        self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any
    ) -> Awaitable[T]:
        """Await ``function(*args)`` in this plugin's own asyncio loop, which runs in a thread.

        All calls of a plugin share the loop, so what one opens (an ``aiohttp`` session) another
        can use. The loop is started with the first call, and closed after everything that the
        plugin opened. What the function raises is raised here.

        On cancellation the asyncio task is cancelled, and its end is waited for, five seconds at
        the most. Added in API 1.1.

        Raises:
            RuntimeError: the asyncio task was cancelled from within.
        """
        ...


class ActionContext(PluginContext, Protocol):
    """What :attr:`ActionType.open` is given."""

    def progress(self, execution: EventExecution) -> Callable[[str], None]:
        """A function that tells what an attempt is doing, one line a call, while it runs.

        Each line becomes a notification ``execution_output``. It never waits and never fails. A
        long line is cut, and lines that come too fast are counted instead of told, so that a
        chatty action floods nobody. Ask once per attempt.
        """
        ...

    async def call_service(
        self, name: str, data: Mapping[str, Any], execution: EventExecution
    ) -> object | None:
        """Call what a plugin of this host offers as a :class:`ServiceCall`, or the host itself as
        ``scheduler.<service>``.

        Args:
            data: plain data; the service's own class validates it.
            execution: on whose behalf.

        Returns:
            what the service answers, JSON-ready.

        Raises:
            Permanent: there is no such service (class ``not_found``), its data is wrong
                (``invalid_data``), or it says that this cannot be done.
            Retryable: it may work later; :class:`ServiceUnavailable` while nothing can be called.
        """
        ...


class SinkContext(PluginContext, Protocol):
    """What :attr:`SinkType.open` is given."""


class ServiceContext(PluginContext, Protocol):
    """What :attr:`ServiceType.open` is given."""

    @property
    def commands(self) -> Commands:
        """The commands of this host, for a service that is a door of its own.

        Raises:
            ServiceUnavailable: the schedule does not run yet, or no more.
        """
        ...


class Action(Protocol):
    """What: does one attempt of one execution."""

    async def run(self, config: Any, execution: EventExecution) -> object | None:
        """Do it, and return what is worth keeping in the history (JSON-ready) or None.

        ``config`` is the validated configuration of the event's action and must not be changed.
        Returning means done: for a publish, that the broker acknowledged it.

        Raises:
            Retryable: it failed and may work later.
            Permanent: it failed and never will.
            CalledOff: the far side called it off; the execution ends as cancelled.
            Exception: anything else counts as failed, is retried by the event's policy and is
                recorded with a trimmed traceback.
        """
        ...


class Sink(Protocol):
    """A place notifications go to."""

    async def write(self, notifications: Sequence[Notification]) -> None:
        """Write a batch, oldest first. An exception makes the host reopen the sink and write the
        same batch again, after a back-off."""
        ...
