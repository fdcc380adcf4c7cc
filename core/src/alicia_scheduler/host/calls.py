"""Calling services of this host by name: found, validated, and run in the caller's execution."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from alicia_scheduler.api.control import Commands
from alicia_scheduler.api.errors import ConfigError, Permanent, ServiceUnavailable
from alicia_scheduler.api.model import EventExecution
from alicia_scheduler.config.convert import convert
from alicia_scheduler.host.context import HostContext, Surroundings
from alicia_scheduler.host.loader import PluginRecord
from alicia_scheduler.host.registry import Registry
from alicia_scheduler.host.schedulercalls import SCHEDULER, SchedulerContext
from alicia_scheduler.kernel.prepared import Unresolved

__all__ = ["ServiceCalls"]


class ServiceCalls:
    """Implements :class:`alicia_scheduler.host.context.Calls` for a running kernel.

    Args:
        commands: gives who answers the host's commands, for its own calls; None when nobody does.
    """

    def __init__(
        self,
        registry: Registry,
        surroundings: Surroundings,
        commands: Callable[[], Commands | None],
    ) -> None:
        self._registry = registry
        self._surroundings = surroundings
        self._commands = commands

    async def call(
        self, name: str, data: Mapping[str, Any], execution: EventExecution
    ) -> object | None:
        """See :meth:`alicia_scheduler.api.ActionContext.call_service`."""
        try:
            offer = self._registry.service_calls.get(name)
            checked = convert(dict(data), offer.type.data, path=("data",))
        except Unresolved as error:
            raise ServiceUnavailable(str(error)) from error
        except ConfigError as error:
            kind = "invalid_data" if error.path else "not_found"
            raise Permanent(f"{name}: {error}", error_class=kind) from error
        return await offer.type.call(self._context(name, offer.plugin), checked, execution)

    def _context(self, name: str, plugin: PluginRecord) -> HostContext:
        if plugin is not SCHEDULER:
            return self._surroundings.context(plugin)
        commands = self._commands()
        if commands is None:
            raise ServiceUnavailable(f"{name} cannot be called: nobody answers commands here")
        return SchedulerContext(self._surroundings, commands)
