"""A plugin's context without a host, for tests of a single plugin."""

from __future__ import annotations

import logging
import weakref
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import trio

from alicia_scheduler.api import Commands, EventExecution, Permanent, ServiceUnavailable
from alicia_scheduler.host.asyncio_threads import AsyncioThread

__all__ = ["TestContext"]

T = TypeVar("T")


class TestContext:
    """Implements every context of :mod:`alicia_scheduler.api.contracts`.

    Args:
        plugin: the plugin's name; the logger is ``alicia_scheduler.plugin.<plugin>``.
        services: what :meth:`service` answers, by contract.
        instance: the host's name on the network.
        settings: the plugin's settings.
        state_dir: a directory for what must outlive the host, or None.

    Attributes:
        service_calls: what :meth:`call_service` calls with data and execution, by name.
        told: what :meth:`progress` told, as pairs of execution id and line.
        answering: who answers commands, or None.
    """

    __test__ = False  # its name begins as pytest's test classes do

    _watchers: ClassVar[list[set[type[Any]]]] = []

    def __init__(
        self,
        plugin: str,
        services: dict[type[Any], object] | None = None,
        *,
        instance: str = "test",
        settings: object = None,
        state_dir: Path | None = None,
    ) -> None:
        self.plugin = plugin
        self.instance = instance
        self.state_dir = state_dir
        self.logger = logging.getLogger(f"alicia_scheduler.plugin.{plugin}")
        self.services = services or {}
        self.answering: Commands | None = None
        self.settings = settings
        self.told: list[tuple[str, str]] = []
        self.service_calls: dict[str, Callable[[Any, EventExecution], Awaitable[object]]] = {}
        self._asyncio = AsyncioThread(plugin)
        weakref.finalize(self, self._asyncio.close)
        self.instant = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

    @classmethod
    @contextmanager
    def watching(cls) -> Iterator[set[type[Any]]]:
        """Note the contracts of all services that are asked for while the block is open."""
        asked: set[type[Any]] = set()
        cls._watchers.append(asked)
        try:
            yield asked
        finally:
            # By identity: two sets may hold the same.
            cls._watchers[:] = [each for each in cls._watchers if each is not asked]

    @property
    def commands(self) -> Commands:
        """Who answers commands: ``answering``.

        Raises:
            ServiceUnavailable: nobody does.
        """
        if self.answering is None:
            raise ServiceUnavailable("commands are not answered: no host in this test")
        return self.answering

    def now(self) -> datetime:
        """``instant``, which stands until a test moves it."""
        return self.instant

    def service(self, contract: type[T]) -> T:
        """The service given for ``contract``.

        Raises:
            ServiceUnavailable: none was given.
        """
        for asked in self._watchers:
            asked.add(contract)
        if contract not in self.services:
            raise ServiceUnavailable(f"{contract.__name__} is not available: no host in this test")
        return self.services[contract]  # type: ignore[return-value]  # the test chose it to fit

    def progress(self, execution: EventExecution) -> Callable[[str], None]:
        """Lines end in ``told``."""
        return lambda line: self.told.append((execution.execution_id, line))

    async def call_service(
        self, name: str, data: Mapping[str, Any], execution: EventExecution
    ) -> object | None:
        """What the function in ``service_calls`` answers.

        Raises:
            Permanent: there is none of this name.
        """
        if name not in self.service_calls:
            raise Permanent(f"there is no service call {name!r}", error_class="not_found")
        return await self.service_calls[name](dict(data), execution)

    async def run_sync(self, function: Callable[..., T], *args: Any) -> T:
        """Run ``function`` in a thread, as the host does."""
        return await trio.to_thread.run_sync(function, *args, abandon_on_cancel=True)

    async def run_asyncio(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        """Await ``function`` in an asyncio loop, as the host does; the loop ends with this
        context."""
        return await self._asyncio.run(function, *args)
