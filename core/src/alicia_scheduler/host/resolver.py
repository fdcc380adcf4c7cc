"""The registry as the kernel sees it: events made ready to be planned, actions run."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date, datetime
from functools import partial
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from alicia_scheduler.api.contracts import ScheduleContext
from alicia_scheduler.api.errors import ConfigError, Permanent, Retryable
from alicia_scheduler.api.model import EventExecution, ScheduledEvent
from alicia_scheduler.api.zones import load_timezone
from alicia_scheduler.config.limits import check_limit
from alicia_scheduler.config.settings import Settings
from alicia_scheduler.host.actions import OpenActions
from alicia_scheduler.host.finishing import FinishedLater, Finishing
from alicia_scheduler.host.recipes import Recipe, read_options
from alicia_scheduler.host.registry import Registry, action_of, build_schedule, check_action
from alicia_scheduler.host.supervision import describe_error
from alicia_scheduler.kernel.exclusions import Excluding, Exclusions
from alicia_scheduler.kernel.prepared import Prepared, Unresolved

__all__ = ["Resolver", "exclusions_of", "schedule_context"]

T = TypeVar("T")


class Resolver:
    """Implements :class:`alicia_scheduler.kernel.prepared.Types` over a registry.

    Args:
        settings: the host's zone and place, for events that name none.
        calendars: the days of each named calendar.
        limits: the names that an event's ``limit`` may be.
        actions: None where no action will ever run (checking, preview).
        finishing: makes the configurations that are finished at each run; None where none is.
    """

    def __init__(
        self,
        registry: Registry,
        settings: Settings,
        calendars: Mapping[str, frozenset[date]],
        actions: OpenActions | None = None,
        *,
        limits: Collection[str] = (),
        finishing: Finishing | None = None,
    ) -> None:
        self._registry = registry
        self._settings = settings
        self._calendars = calendars
        self._actions = actions
        self.finishing = finishing
        self._limits = limits

    def reconfigure(
        self,
        settings: Settings,
        calendars: Mapping[str, frozenset[date]],
        limits: Collection[str],
    ) -> None:
        """Prepare events by other words of the configuration; what is prepared stays as it is."""
        self._settings, self._calendars, self._limits = settings, calendars, limits

    def prepare(self, event: ScheduledEvent, anchor: datetime) -> Prepared:
        action_type, raw_action = action_of(event.action)
        action = self._registry.action_types.get(action_type)
        context = schedule_context(event, self._settings, anchor)
        try:
            schedule = build_schedule(
                self._registry, event.schedule_type, event.schedule_config, context
            )
        except ConfigError as error:
            raise error.under("schedule_config") from error
        issues: list[ConfigError] = []
        config = read_options(
            raw_action,
            action.type.config,
            issues,
            path=("action",),
            templates=True,
            allow=partial(check_action, self._registry, action),
        )
        if issues:
            raise issues[0]
        if isinstance(config, Recipe):
            config = FinishedLater(config, event, _zone(event, self._settings))
        check_limit(event.limit, self._limits)
        cleanup = action.type.cleanup(raw_action) if action.type.cleanup is not None else 0.0
        if not event.exclude:
            return Prepared(schedule, action_type, config, cleanup=cleanup)
        exclusions = exclusions_of(event, self._settings, self._calendars)
        return Prepared(
            Excluding(schedule, exclusions), action_type, config, schedule, exclusions, cleanup
        )

    def follows_elapsed_time(self, event: ScheduledEvent) -> bool:
        offer = self._registry.schedule_types.find(event.schedule_type)
        return offer is not None and offer.type.elapsed

    async def run_action(self, prepared: Prepared, execution: EventExecution) -> object | None:
        offer = self._registry.action_types.get(prepared.action_type)
        if self._actions is None:
            raise Unresolved("no actions run here")
        config = prepared.action_config
        if isinstance(config, FinishedLater):
            if self.finishing is None:
                raise Unresolved("no templates are rendered and no secrets fetched here")
            config = await self.finishing.config(config, execution)
        return await self._actions.run(offer, config, execution)

    async def preview(
        self, prepared: Prepared, execution: EventExecution
    ) -> tuple[dict[str, Any], object | None]:
        """The options of an action as one attempt would get them, and what the action type says
        it would do with them, if it says anything. Secrets are masked in both.

        Raises:
            Retryable, Permanent: the attempt would fail before its action begins, or nobody can
                say what it would do; that is of the class ``preview``.
        """
        kind = self._registry.action_types.get(prepared.action_type).type
        config = prepared.action_config
        if not isinstance(config, FinishedLater):
            options = msgspec.to_builtins(config)
        else:
            if self.finishing is None:
                raise Unresolved("no templates are rendered and no secrets fetched here")
            options, config = await self.finishing.masked(config, execution)
        if kind.preview is None or config is None:
            return options, None
        try:
            return options, kind.preview(config, execution)
        except (Retryable, Permanent):
            raise
        except Exception as error:
            message = f"what {kind.name} would do cannot be shown: {describe_error(error)}"
            raise Permanent(message, error_class="preview") from error

    def redact(self, value: T) -> T:
        return value if self.finishing is None else self.finishing.redact(value)


def schedule_context(
    event: ScheduledEvent, settings: Settings, anchor: datetime
) -> ScheduleContext:
    """What an event's schedule is built with: the event's own words first, then the host's.

    Raises:
        ConfigError: the event's zone does not exist.
    """
    return ScheduleContext(
        timezone=_zone(event, settings),
        anchor=anchor,
        dst_gap=event.dst_gap,
        dst_overlap=event.dst_overlap,
        latitude=settings.latitude,
        longitude=settings.longitude,
    )


def exclusions_of(
    event: ScheduledEvent, settings: Settings, calendars: Mapping[str, frozenset[date]]
) -> Exclusions:
    """The days an event leaves out.

    Raises:
        ConfigError: an item of ``exclude`` means nothing.
    """
    try:
        return Exclusions(event.exclude, calendars, _zone(event, settings))
    except ConfigError as error:
        raise error.under("exclude") from error


def _zone(event: ScheduledEvent, settings: Settings) -> ZoneInfo:
    return load_timezone(event.timezone or settings.timezone)
