"""The schedule of type ``once``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from alicia_schedule_once.config import OnceConfig
from alicia_schedule_once.moment import parse_moment
from alicia_scheduler.api import ConfigError, ScheduleContext, reading_at

__all__ = ["OnceSchedule"]


@dataclass(frozen=True, slots=True)
class OnceSchedule:
    """Runs at one instant, or in both passes of one reading.

    Attributes:
        instants: the slots (aware UTC), ascending.
        zone: the zone in which people think of it, or None for UTC.
    """

    instants: tuple[datetime, ...]
    zone: ZoneInfo | None

    @classmethod
    def build(cls, config: OnceConfig, context: ScheduleContext) -> OnceSchedule:
        """The schedule of a configuration.

        Raises:
            ConfigError: the moment cannot be read, or does not exist.
        """
        try:
            return cls(parse_moment(config.moment, context), context.timezone)
        except ConfigError as error:
            raise error.under(config.key) from None

    def next_after(self, instant: datetime) -> datetime | None:
        """The first slot that is still to come."""
        return next((slot for slot in self.instants if slot > instant), None)

    def describe(self) -> str:
        """The moment, by the clock of the schedule's zone."""
        zone = self.zone or ZoneInfo("UTC")
        return f"once at {reading_at(self.instants[0], zone):%Y-%m-%d %H:%M:%S} ({zone.key})"
