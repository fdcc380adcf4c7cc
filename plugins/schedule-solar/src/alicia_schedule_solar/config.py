"""What ``schedule_config`` holds for the type ``solar``."""

from __future__ import annotations

from typing import Literal

import msgspec

from alicia_scheduler.api import ConfigError

__all__ = ["Direction", "Polar", "SolarConfig", "SolarEvent", "Twilight"]

SolarEvent = Literal["sunrise", "sunset", "dawn", "dusk", "noon", "elevation"]
Direction = Literal["rising", "setting"]
Twilight = Literal["civil", "nautical", "astronomical"]
Polar = Literal["skip", "nearest"]

USES: dict[str, tuple[str, ...]] = {
    "twilight": ("dawn", "dusk"),
    "angle": ("elevation",),
    "direction": ("elevation",),
    "polar": ("sunrise", "sunset", "dawn", "dusk", "elevation"),
}
"""The keys that mean something with some events only, and these events."""

LIMITS = {"latitude": 90.0, "longitude": 180.0, "angle": 90.0, "offset_minutes": 1440.0}
"""The largest amount of each number, on either side of zero."""


class SolarConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the sun does, and where.

    Attributes:
        event: what it does.
        offset_minutes: shifts the run, in minutes; negative is earlier.
        latitude, longitude: the place in degrees north and east, both or none (the host's).
        twilight: for ``dawn`` and ``dusk``: how dark (civil when left out).
        angle: for ``elevation``: height of the sun's centre in degrees.
        direction: for ``elevation``: which passage of the angle.
        polar: what happens on days without the event (``skip`` when left out).
    """

    event: SolarEvent
    offset_minutes: float = 0.0
    latitude: float | msgspec.UnsetType = msgspec.UNSET
    longitude: float | msgspec.UnsetType = msgspec.UNSET
    twilight: Twilight | msgspec.UnsetType = msgspec.UNSET
    angle: float | msgspec.UnsetType = msgspec.UNSET
    direction: Direction | msgspec.UnsetType = msgspec.UNSET
    polar: Polar | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        for key, limit in LIMITS.items():
            value = getattr(self, key)
            if value is not msgspec.UNSET and not -limit <= value <= limit:
                raise ConfigError(
                    f"{value} is out of range", path=(key,), hint=f"write {-limit:g} to {limit:g}"
                )
        for key, events in USES.items():
            if getattr(self, key) is not msgspec.UNSET and self.event not in events:
                raise ConfigError(
                    f"{key!r} means nothing with the event {self.event!r}",
                    path=(key,),
                    hint=f"it goes with {', '.join(events)}",
                )
        if self.event == "elevation":
            for key, hint in (("angle", "angle = 10"), ("direction", 'direction = "rising"')):
                if getattr(self, key) is msgspec.UNSET:
                    raise ConfigError(f"'elevation' needs {key!r}", hint=f"write {hint}")
        self._check_place()

    def _check_place(self) -> None:
        """Half a place is a mistake, not a wish for the other half from the host."""
        missing = [key for key in ("latitude", "longitude") if getattr(self, key) is msgspec.UNSET]
        if len(missing) == 1:
            raise ConfigError(
                f"{missing[0]!r} is missing",
                hint="give latitude and longitude, or none of them for the host's place",
            )
