"""What ``schedule_config`` holds for the type ``recurring``."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from alicia_scheduler.api import ConfigError

__all__ = ["Frequency", "RecurringConfig"]

Frequency = Literal["hourly", "daily", "weekly", "monthly"]

TimeOfDay = Annotated[
    Any,
    msgspec.Meta(
        description="HH:MM or HH:MM:SS, or a list of these",
        extra_json_schema={"type": ["string", "array"], "items": {"type": "string"}},
    ),
]
"""Text, one of TOML's own times, or a list of them; ``times`` reads it."""

USES: dict[Frequency, frozenset[str]] = {
    "hourly": frozenset(),
    "daily": frozenset({"time_of_day"}),
    "weekly": frozenset({"time_of_day", "days_of_week"}),
    "monthly": frozenset({"time_of_day", "days_of_month", "short_month"}),
}
"""The keys that mean something with a frequency."""

NEEDS = {
    "weekly": ("days_of_week", 'write days_of_week = ["mon", "fri"]'),
    "monthly": ("days_of_month", "write days_of_month = [1, 15]; -1 is the last day"),
}
"""The key without which a frequency means nothing, and how to write it."""


class RecurringConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which days, and when on them.

    Attributes:
        frequency: ``hourly`` is at the top of each hour; the others at ``time_of_day``.
        time_of_day: ``HH:MM`` or ``HH:MM:SS`` by the wall clock, or a list of them; midnight when
            it is left out.
        days_of_week: for ``weekly``: 0 (Monday) to 6 (Sunday), or ``mon`` to ``sun``.
        days_of_month: for ``monthly``: 1 to 31, or -1 for the last day.
        short_month: for ``monthly``: what a day that the month does not have means: nothing
            (``skip``, the default), or the month's last day (``clamp``).
    """

    frequency: Frequency
    time_of_day: TimeOfDay | msgspec.UnsetType = msgspec.UNSET
    days_of_week: list[int | str] | msgspec.UnsetType = msgspec.UNSET
    days_of_month: list[int] | msgspec.UnsetType = msgspec.UNSET
    short_month: Literal["skip", "clamp"] | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        given = {
            key
            for key in ("time_of_day", "days_of_week", "days_of_month", "short_month")
            # Clients of the original service send empty lists with every frequency.
            if getattr(self, key) not in (msgspec.UNSET, [])
        }
        needed, hint = NEEDS.get(self.frequency, (None, None))
        if needed is not None and needed not in given:
            raise ConfigError(
                f"{self.frequency!r} needs {needed!r}, which is missing or empty", hint=hint
            )
        for key in sorted(given - USES[self.frequency]):
            raise ConfigError(
                f"{key!r} means nothing with the frequency {self.frequency!r}",
                path=(key,),
                hint=_better(key),
            )


def _better(key: str) -> str:
    """What someone who gave ``key`` to a frequency without it may have wanted."""
    if key == "time_of_day":
        return 'hourly is at the top of each hour; for another minute use cron: "30 * * * *"'
    wanted = next(frequency for frequency, keys in USES.items() if key in keys)
    return f'write frequency = "{wanted}", or leave {key!r} out'
