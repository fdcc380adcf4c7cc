"""The schedule of type ``interval``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from alicia_schedule_interval.config import IntervalConfig, Unit
from alicia_scheduler.api import ConfigError, ScheduleContext

__all__ = ["IntervalSchedule"]

MICROSECONDS: dict[Unit, int] = {
    "seconds": 1_000_000,
    "minutes": 60 * 1_000_000,
    "hours": 3600 * 1_000_000,
    "days": 86_400 * 1_000_000,
}
"""Length of the units. A day is 24 hours of elapsed time, whatever the clocks of a zone do."""

SHORTEST = timedelta(milliseconds=1)
"""Shortest period. Below, a scheduler would be busy with nothing else."""

TOO_LONG = "the first run would lie beyond the year 9999"


@dataclass(frozen=True, slots=True)
class IntervalSchedule:
    """Runs at ``anchor + k * period`` for k = 1, 2, 3, …

    The grid stays where it is: a late or missed run does not move it.

    Attributes:
        anchor: the instant the schedule was started (aware UTC); not a slot itself.
        period: time between two slots.
        label: the period in the words of the configuration.
    """

    anchor: datetime
    period: timedelta
    label: str

    @classmethod
    def build(cls, config: IntervalConfig, context: ScheduleContext) -> IntervalSchedule:
        """The schedule of a configuration.

        Raises:
            ConfigError: the period is not positive, too short, or reaches beyond the year 9999.
        """
        try:
            period = _period(config.amount, config.unit)
            schedule = cls(context.anchor, period, _label(config.amount, config.unit))
            if schedule.next_after(context.anchor) is None:
                raise ConfigError(TOO_LONG)
        except ConfigError as error:
            raise error.under(config.key) from None
        return schedule

    def next_after(self, instant: datetime) -> datetime | None:
        """The first slot of the grid strictly later than ``instant``."""
        count = max(0, (instant - self.anchor) // self.period) + 1
        try:
            return self.anchor + count * self.period
        except OverflowError:
            return None

    def describe(self) -> str:
        """The period, as it was written."""
        return self.label


def _period(amount: float, unit: Unit) -> timedelta:
    """The period, exact to the microsecond."""
    if not math.isfinite(amount) or amount <= 0:
        raise ConfigError("a period is longer than nothing", hint="write a number above 0")
    try:
        period = timedelta(microseconds=round(Fraction(amount) * MICROSECONDS[unit]))
    except OverflowError:
        raise ConfigError(TOO_LONG) from None
    if period < SHORTEST:
        raise ConfigError(f"{amount} {unit} are too short", hint="a millisecond is the shortest")
    return period


def _label(amount: float, unit: Unit) -> str:
    if amount == 1:
        return f"every {unit.removesuffix('s')}"
    return f"every {str(amount).removesuffix('.0')} {unit}"
