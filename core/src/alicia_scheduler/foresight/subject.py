"""An event ready to be asked about its slots, without a kernel and without its action."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from alicia_scheduler.api.contracts import Schedule
from alicia_scheduler.api.errors import ConfigError
from alicia_scheduler.api.model import EventState, ScheduledEvent
from alicia_scheduler.api.zones import load_timezone
from alicia_scheduler.config.settings import Settings
from alicia_scheduler.host.registry import Registry, build_schedule
from alicia_scheduler.host.resolver import exclusions_of, schedule_context
from alicia_scheduler.kernel.exclusions import Excluding, Exclusions
from alicia_scheduler.kernel.halting import halted, kept

__all__ = ["Subject", "paused_with_all", "subject_of", "unsaved_event"]


@dataclass(frozen=True)
class Subject:
    """An event with its schedule built.

    Attributes:
        state: what the kernel keeps about it; that of a new event when it was never saved.
        zone: the event's zone, or the host's.
        schedule: its slots, excluded days left out.
        bare: its slots before exclusions.
        readings: the same schedule in a zone whose clocks never change, so that its slots are the
            readings it names, written as UTC; None when it counts elapsed time.
        exclusions: what is left out, if anything.
        min_interval: seconds between two slots that the host plans.
    """

    event: ScheduledEvent
    state: EventState
    zone: ZoneInfo
    schedule: Schedule
    bare: Schedule
    readings: Schedule | None
    exclusions: Exclusions | None
    min_interval: float

    def halted(self, slot: datetime) -> str | None:
        """Why a person does not want a slot to run, in a word or two, or None."""
        if not self.event.enabled:
            return "disabled"
        if slot in self.state.skip_slots:
            return "skipped by hand"
        if self.state.paused_until is not None and slot <= self.state.paused_until:
            return "paused"
        return None

    def excluded(self, slot: datetime) -> str | None:
        """The item of ``exclude`` that takes a slot out, or None."""
        if self.exclusions is None:
            return None
        return self.exclusions.reason(slot.astimezone(self.zone).date())


def subject_of(
    event: ScheduledEvent,
    registry: Registry,
    settings: Settings,
    calendars: Mapping[str, frozenset[date]],
    *,
    now: datetime,
    state: EventState | None = None,
) -> Subject:
    """Build what there is to ask about an event.

    Args:
        now: where the grid of an event that was never started begins (aware UTC).
        state: what the store has about the event.

    Raises:
        Unresolved: the schedule type is not installed.
        ConfigError: the schedule, the zone or an exclusion is refused.
    """
    state = state or EventState()
    anchor = state.anchor or event.starts_at or now

    def built(definition: ScheduledEvent) -> Schedule:
        context = schedule_context(definition, settings, anchor)
        kind, config = definition.schedule_type, definition.schedule_config
        try:
            return build_schedule(registry, kind, config, context)
        except ConfigError as error:
            raise error.under("schedule_config") from error

    bare = built(event)
    offer = registry.schedule_types.get(event.schedule_type)
    readings = None if offer.type.elapsed else built(replace(event, timezone="UTC"))
    exclusions = exclusions_of(event, settings, calendars) if event.exclude else None
    return Subject(
        event,
        state,
        load_timezone(event.timezone or settings.timezone),
        bare if exclusions is None else Excluding(bare, exclusions),
        bare,
        readings,
        exclusions,
        settings.min_interval,
    )


def unsaved_event(
    schedule_type: str,
    schedule_config: dict[str, object],
    *,
    timezone: str | None = None,
    exclude: tuple[str, ...] = (),
    jitter: float = 0.0,
) -> ScheduledEvent:
    """An event that only says when, for a specification that was not saved."""
    begun = datetime.fromtimestamp(0, UTC)
    return ScheduledEvent(
        event_id="unsaved",
        name="unsaved",
        schedule_type=schedule_type,
        schedule_config=schedule_config,
        action={"type": "none"},
        timezone=timezone,
        exclude=exclude,
        jitter=jitter,
        created_at=begun,
        updated_at=begun,
        origin="unsaved",
    )


def paused_with_all(state: EventState, facts: Mapping[str, Any]) -> EventState:
    """The state of an event as the planner sees it: paused where the whole schedule is.

    Args:
        facts: those of the store.
    """
    return halted(state, kept(facts))
