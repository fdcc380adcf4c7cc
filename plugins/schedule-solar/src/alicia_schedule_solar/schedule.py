"""The schedule of type ``solar``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from alicia_schedule_solar.config import Polar, SolarConfig, Twilight
from alicia_schedule_solar.sun import Sun, day_of, instant_of
from alicia_scheduler.api import ConfigError, ScheduleContext

__all__ = ["SolarSchedule"]

HORIZON = -0.833
"""Height of the sun's centre at sunrise and sunset: its radius and the usual refraction."""

TWILIGHT: dict[Twilight, float] = {"civil": -6.0, "nautical": -12.0, "astronomical": -18.0}

TURNS_AHEAD = 3 * 2 * 366
"""How far the search goes: three years. The sun's year repeats, but for a drift so slow that
only an angle which it just grazes is reached in some years and not in others."""


@dataclass(frozen=True, slots=True)
class SolarSchedule:
    """Runs when the sun passes an angle, or at its noon.

    Attributes:
        sun: the sun over the place.
        angle: degrees; None for noon.
        rising: which passage.
        polar: what happens on days without one.
        offset: shifts every run.
        label: for people.
    """

    sun: Sun
    angle: float | None
    rising: bool
    polar: Polar
    offset: timedelta
    label: str

    @classmethod
    def build(cls, config: SolarConfig, context: ScheduleContext) -> SolarSchedule:
        """The schedule of a configuration.

        Raises:
            ConfigError: there is no place, or the sun never passes the angle there.
        """
        sun = _sun(config, context)
        schedule = cls(
            sun,
            _angle(config),
            config.event in ("sunrise", "dawn") or config.direction == "rising",
            "skip" if config.polar is msgspec.UNSET else config.polar,
            timedelta(minutes=config.offset_minutes),
            _label(config, sun),
        )
        if schedule.next_after(context.anchor) is None:
            raise ConfigError(
                f"the sun never does this at latitude {sun.latitude:g}: {schedule.label}",
                hint='choose another angle, or polar = "nearest" for the time it comes nearest',
            )
        return schedule

    def next_after(self, instant: datetime) -> datetime | None:
        """The first slot strictly later than ``instant``.

        None when there is none within three years or before the year 10000.
        """
        try:
            first = self.sun.turn_before(day_of(instant - self.offset)) - 2
            for day in self._days(first, first + TURNS_AHEAD):
                slot = instant_of(day) + self.offset
                if slot > instant:
                    return slot
        except OverflowError:
            pass
        return None

    def _days(self, first: int, end: int) -> Iterator[float]:
        """When it happens from turn ``first`` to turn ``end``, ascending, as days."""
        for number in range(first, end):
            day = self._in_half_day(number)
            if day is not None:
                yield day

    def _in_half_day(self, number: int) -> float | None:
        """When it happens between turn ``number`` and the next, or None."""
        noon = number % 2 == 1
        if self.angle is None:
            return self.sun.turn(number) if noon else None
        passage = self.sun.passage(number, self.angle, rising=self.rising)
        if self.polar == "skip":
            return passage  # at the poles also in the half day when the sun falls elsewhere
        if noon == self.rising:
            return None
        if passage is not None:
            return passage
        highest = number if noon else number + 1
        lowest = number + 1 if noon else number
        too_low = self.sun.height(self.sun.turn(highest)) < self.angle
        return self.sun.turn(highest if too_low else lowest)

    def describe(self) -> str:
        """What the sun does, and where."""
        return self.label


def _sun(config: SolarConfig, context: ScheduleContext) -> Sun:
    if config.latitude is not msgspec.UNSET and config.longitude is not msgspec.UNSET:
        return Sun(config.latitude, config.longitude)
    if context.latitude is None or context.longitude is None:
        raise ConfigError(
            "the sun is seen from a place, and none is set",
            hint="write latitude and longitude here, or once for all under [scheduler]",
        )
    return Sun(context.latitude, context.longitude)


def _angle(config: SolarConfig) -> float | None:
    """The angle whose passage is the event; None for noon."""
    if config.angle is not msgspec.UNSET:
        return config.angle
    if config.event in ("dawn", "dusk"):
        return TWILIGHT["civil" if config.twilight is msgspec.UNSET else config.twilight]
    return None if config.event == "noon" else HORIZON


def _label(config: SolarConfig, sun: Sun) -> str:
    """E.g. ``20 minutes before sunset at 52.52, 13.405``."""
    what: str = config.event
    if config.twilight is not msgspec.UNSET:
        what = f"{config.twilight} {what}"
    if config.event == "elevation":
        what = f"sun {config.direction} through {config.angle:g} degrees"
    if config.offset_minutes:
        side = "before" if config.offset_minutes < 0 else "after"
        what = f"{abs(config.offset_minutes):g} minutes {side} {what}"
    return f"{what} at {sun.latitude:g}, {sun.longitude:g}"
