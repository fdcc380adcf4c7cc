"""The schedule of type ``cron``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

from alicia_schedule_cron.config import CronConfig
from alicia_schedule_cron.expression import Expression
from alicia_schedule_cron.readings import CronReadings
from alicia_scheduler.api import (
    ClockPolicy,
    ConfigError,
    OnGap,
    OnRepeat,
    Readings,
    ScheduleContext,
    next_instant,
)

__all__ = ["CronSchedule"]

FIXED_TIME = ClockPolicy(OnGap.AFTER, OnRepeat.FIRST, below=timedelta(hours=3))
"""Entries at fixed times run once per reading, at the end of a gap if need be. Larger changes are
taken for a correction of the clock (cron(8), Debian)."""

WILDCARD = ClockPolicy(OnGap.SKIP, OnRepeat.BOTH)
"""Entries whose minute or hour begins with ``*`` run whenever the clock shows a matching time."""


@dataclass(frozen=True, slots=True)
class CronSchedule:
    """Runs whenever the wall clock of a zone matches an expression."""

    text: str
    readings: Readings
    zone: ZoneInfo
    policy: ClockPolicy

    @classmethod
    def build(cls, config: CronConfig, context: ScheduleContext) -> CronSchedule:
        """The schedule of a configuration.

        Raises:
            ConfigError: the expression is not in the syntax, never matches, or there is no zone.
        """
        try:
            readings, debian = _understood(config.text, config.seconds)
        except ConfigError as error:
            raise error.under(config.key) from None
        policy = debian.with_rules(context.dst_gap, context.dst_overlap)
        return cls(" ".join(config.text.split()), readings, context.require_timezone(), policy)

    def next_after(self, instant: datetime) -> datetime | None:
        """The first slot strictly later than ``instant``."""
        return next_instant(self.readings, instant, self.zone, self.policy)

    def describe(self) -> str:
        """The expression and its zone."""
        return f"{self.text} ({self.zone.key})"


@lru_cache(maxsize=1024)
def _understood(text: str, seconds: Literal["first", "last"]) -> tuple[CronReadings, ClockPolicy]:
    """What an expression names, and how it meets clock changes by itself. Events that share an
    expression share this, with all that was worked out for it.

    Raises:
        ConfigError: it is not in the syntax, or never matches.
    """
    expression = Expression.parse(text, seconds=seconds)
    return CronReadings(expression), WILDCARD if expression.follows_clock else FIXED_TIME
