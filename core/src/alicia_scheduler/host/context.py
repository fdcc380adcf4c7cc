"""What plugins are handed: a narrow handle on the host, and the way to ask for a service."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar

import trio

from alicia_scheduler.api.control import Commands
from alicia_scheduler.api.errors import ServiceUnavailable
from alicia_scheduler.api.model import EventExecution
from alicia_scheduler.host.asyncio_loops import AsyncioThreads
from alicia_scheduler.host.faults import Faults
from alicia_scheduler.host.loader import PluginRecord
from alicia_scheduler.host.progress import Progress
from alicia_scheduler.host.secrets.vault import Secrets
from alicia_scheduler.kernel.clock import Clock
from alicia_scheduler.kernel.notifications import Notifier

__all__ = ["Calls", "HostContext", "RunningServices", "Surroundings"]

T = TypeVar("T")


class RunningServices:
    """The services that run at this moment, by the contract they provide."""

    def __init__(self) -> None:
        self._running: dict[type[Any], Any] = {}
        self._problems: dict[type[Any], str] = {}

    def up(self, contract: type[Any], service: object) -> None:
        self._running[contract] = service
        self._problems.pop(contract, None)

    def down(self, contract: type[Any], problem: str) -> None:
        self._running.pop(contract, None)
        self._problems[contract] = problem

    def problems(self) -> dict[str, str]:
        """Why services do not run that did or should, by the name of their contract."""
        return {contract.__name__: problem for contract, problem in self._problems.items()}

    def get(self, contract: type[T]) -> T:
        """The running service.

        Raises:
            ServiceUnavailable: it does not run; the message says why, as far as is known.
        """
        service = self._running.get(contract)
        if service is None:
            problem = self._problems.get(contract, "no service provides it")
            raise ServiceUnavailable(f"{contract.__name__} is not available: {problem}")
        return service  # type: ignore[no-any-return]  # up() was given what provides the contract


class Calls(Protocol):
    """Who carries out service calls."""

    async def call(
        self, name: str, data: Mapping[str, Any], execution: EventExecution
    ) -> object | None:
        """See :meth:`alicia_scheduler.api.ActionContext.call_service`."""
        ...


@dataclass
class Surroundings:
    """What every part of every plugin of a host shares.

    Attributes:
        instance: the host's name on the network.
        state_dir: the host's directory, or None when it keeps nothing.
        calls: None until the kernel is there.
        commands: None until the schedule runs, and where nobody answers commands.
        parts: the names of those that have not ended, for people.
        faults: the accounts of what goes wrong in plugins.
        asyncio: the loops of plugins that use asyncio libraries.
    """

    instance: str
    clock: Clock
    notifier: Notifier
    services: RunningServices = field(default_factory=RunningServices)
    secrets: Secrets = field(default_factory=Secrets)
    state_dir: Path | None = None
    calls: Calls | None = None
    commands: Commands | None = None
    parts: set[str] = field(default_factory=set)
    faults: Faults = field(default_factory=Faults)
    asyncio: AsyncioThreads = field(default_factory=AsyncioThreads)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """While the block is open, this part of a plugin can hold up the host's stop."""
        self.parts.add(name)
        try:
            yield
        finally:
            self.parts.discard(name)

    def context(self, plugin: PluginRecord) -> HostContext:
        """The handle on the host for a part of ``plugin``."""
        return HostContext(plugin, self)


class HostContext:
    """Implements every context of :mod:`alicia_scheduler.api.contracts`, one per plugin part."""

    def __init__(self, plugin: PluginRecord, surroundings: Surroundings) -> None:
        self.plugin = plugin.name
        self.settings = plugin.settings
        self.instance = surroundings.instance
        self.logger = logging.getLogger(f"alicia_scheduler.plugin.{plugin.name}")
        self._notifier = surroundings.notifier
        self.state_dir = surroundings.state_dir
        self._clock = surroundings.clock
        self._services = surroundings.services
        self._surroundings = surroundings

    def now(self) -> datetime:
        return self._clock.now()

    @property
    def commands(self) -> Commands:
        commands = self._surroundings.commands
        if commands is None:
            raise ServiceUnavailable("commands are not answered: the schedule does not run")
        return commands

    def service(self, contract: type[T]) -> T:
        return self._services.get(contract)

    def progress(self, execution: EventExecution) -> Callable[[str], None]:
        return Progress(execution, self._notifier, self._clock.elapsed).tell

    async def call_service(
        self, name: str, data: Mapping[str, Any], execution: EventExecution
    ) -> object | None:
        calls = self._surroundings.calls
        if calls is None:
            raise ServiceUnavailable(f"{name} cannot be called: no kernel runs here")
        return await calls.call(name, data, execution)

    async def run_sync(self, function: Callable[..., T], *args: Any) -> T:
        return await trio.to_thread.run_sync(function, *args, abandon_on_cancel=True)

    async def run_asyncio(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        return await self._surroundings.asyncio.of(self.plugin).run(function, *args)
