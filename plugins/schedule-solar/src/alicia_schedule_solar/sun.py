"""The sun over a place: its height, and when it stands highest and lowest.

astral gives the sun's declination and the equation of time. Its own searches are not used: asked
in UTC they answer for the wrong day far from Greenwich, near the poles they are minutes off, and
on a day without the event they raise.

Time is counted in days of UTC since :data:`ORIGIN`, as floats (exact to some microseconds).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import asin, cos, degrees, floor, radians, sin

from astral.sun import eq_of_time, sun_declination

__all__ = ["Sun", "day_of", "instant_of"]

ORIGIN = datetime(2000, 1, 1, tzinfo=UTC)
J2000 = 0.5
"""The epoch of the astronomers' tables, noon of that date."""
DAYS_PER_CENTURY = 36525.0
MINUTES_PER_DAY = 1440.0
SECONDS_PER_DAY = 86_400

BISECTIONS = 20
"""Halvings of half a day that leave less than 0.1 s."""


def day_of(instant: datetime) -> float:
    """An instant as days since :data:`ORIGIN`."""
    return (instant - ORIGIN) / timedelta(days=1)


def instant_of(day: float) -> datetime:
    """The instant (aware UTC), to the nearest second.

    Raises:
        OverflowError: it lies outside the years 1 to 9999.
    """
    return ORIGIN + timedelta(seconds=round(day * SECONDS_PER_DAY))


@dataclass(frozen=True, slots=True)
class Sun:
    """The sun as seen from a place.

    *Turns* are numbered: even ones are the sun's midnights (lowest), odd ones its noons (highest).
    From one to the next its height only rises or only falls, but for a drift that matters within a
    few minutes of them.

    Attributes:
        latitude, longitude: the place in degrees north and east.
    """

    latitude: float
    longitude: float

    def height(self, day: float) -> float:
        """Degrees of the sun's centre above the horizon, without refraction."""
        declination = radians(sun_declination(_century(day)))
        latitude = radians(self.latitude)
        hour_angle = radians((self._solar_day(day) - 0.5) * 360)
        return degrees(
            asin(
                max(
                    -1.0,
                    min(
                        1.0,
                        sin(latitude) * sin(declination)
                        + cos(latitude) * cos(declination) * cos(hour_angle),
                    ),
                )
            )
        )

    def turn_before(self, day: float) -> int:
        """The number of the last turn that is not later than ``day``."""
        return floor(self._solar_day(day) * 2)

    def turn(self, number: int) -> float:
        """When a turn is."""
        by_mean_sun = number / 2 - self.longitude / 360
        day = by_mean_sun
        for _ in range(3):  # the equation of time moves by less than 30 s a day
            day = by_mean_sun - _equation(day)
        return day

    def passage(self, number: int, angle: float, *, rising: bool) -> float | None:
        """When the sun passes ``angle`` (degrees) between turn ``number`` and the next.

        None when it does not, or passes it the other way.
        """
        low, high = self.turn(number), self.turn(number + 1)
        above_before, above_after = self.height(low) >= angle, self.height(high) >= angle
        if above_before == above_after or above_after != rising:
            return None
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            if (self.height(middle) >= angle) == above_before:
                low = middle
            else:
                high = middle
        return (low + high) / 2

    def _solar_day(self, day: float) -> float:
        """``day`` as a sundial counts it: whole at the sun's midnight, a half at its noon."""
        return day + self.longitude / 360 + _equation(day)


def _century(day: float) -> float:
    return (day - J2000) / DAYS_PER_CENTURY


def _equation(day: float) -> float:
    """The equation of time in days: how far a sundial is ahead of a clock."""
    return eq_of_time(_century(day)) / MINUTES_PER_DAY
