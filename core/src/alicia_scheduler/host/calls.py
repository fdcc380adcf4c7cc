"""Calling services of this host by name: found, validated, and run in the caller's execution."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from alicia_scheduler.api.errors import ConfigError, Permanent, ServiceUnavailable
from alicia_scheduler.api.model import EventExecution
from alicia_scheduler.config.convert import convert
from alicia_scheduler.host.context import Surroundings
from alicia_scheduler.host.registry import Registry
from alicia_scheduler.host.schedulercalls import SCHEDULER, SchedulerContext
from alicia_scheduler.kernel.kernel import Kernel
from alicia_scheduler.kernel.prepared import Unresolved

__all__ = ["ServiceCalls"]


class ServiceCalls:
    """Implements :class:`alicia_scheduler.host.context.Calls` for a running kernel."""

    def __init__(self, registry: Registry, surroundings: Surroundings, kernel: Kernel) -> None:
        self._registry = registry
        self._surroundings = surroundings
        self._kernel = kernel

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
        context = (
            SchedulerContext(self._surroundings, self._kernel)
            if offer.plugin is SCHEDULER
            else self._surroundings.context(offer.plugin)
        )
        return await offer.type.call(context, checked, execution)
