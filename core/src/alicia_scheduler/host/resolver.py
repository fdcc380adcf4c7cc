"""The registry as the kernel sees it: events made ready to be planned, actions run."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from alicia_scheduler.api.errors import ConfigError
from alicia_scheduler.api.model import EventExecution, ScheduledEvent
from alicia_scheduler.api.walltime import load_timezone
from alicia_scheduler.config.convert import convert
from alicia_scheduler.host.actions import OpenActions
from alicia_scheduler.host.registry import Registry, action_of, build_schedule
from alicia_scheduler.kernel.prepared import Prepared, Unresolved

__all__ = ["Resolver"]


class Resolver:
    """Implements :class:`alicia_scheduler.kernel.prepared.Types` over a registry.

    Args:
        timezone: the host's zone, for events that name none.
        actions: None where no action will ever run (checking, preview).
    """

    def __init__(
        self, registry: Registry, timezone: ZoneInfo, actions: OpenActions | None = None
    ) -> None:
        self._registry = registry
        self._timezone = timezone
        self._actions = actions

    def prepare(self, event: ScheduledEvent, anchor: datetime) -> Prepared:
        action_type, raw_action = action_of(event.action)
        action = self._registry.action_types.get(action_type)
        zone = self._timezone if event.timezone is None else load_timezone(event.timezone)
        try:
            schedule = build_schedule(
                self._registry,
                event.schedule_type,
                event.schedule_config,
                timezone=zone,
                anchor=anchor,
            )
        except ConfigError as error:
            raise error.under("schedule_config") from error
        try:
            config = convert(raw_action, action.type.config)
        except ConfigError as error:
            raise error.under("action") from error
        return Prepared(schedule, action_type, config)

    def follows_elapsed_time(self, event: ScheduledEvent) -> bool:
        offer = self._registry.schedule_types.find(event.schedule_type)
        return offer is not None and offer.type.elapsed

    async def run_action(self, prepared: Prepared, execution: EventExecution) -> object | None:
        offer = self._registry.action_types.get(prepared.action_type)
        if self._actions is None:
            raise Unresolved("no actions run here")
        action = await self._actions.get(offer)
        return await action.run(prepared.action_config, execution)
