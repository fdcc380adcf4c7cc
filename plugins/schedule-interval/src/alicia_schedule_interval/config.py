"""What ``schedule_config`` holds for the type ``interval``."""

from __future__ import annotations

from typing import Literal

import msgspec

from alicia_scheduler.api import ConfigError

__all__ = ["IntervalConfig", "Unit"]

Unit = Literal["seconds", "minutes", "hours", "days"]


class IntervalConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The period, in one of its two spellings: ``type`` and ``value``, or ``interval`` alone.

    Attributes:
        type: the unit of ``value``.
        value: how many of them.
        interval: the period in seconds, as the original Alicia scheduler has it.
    """

    type: Unit | msgspec.UnsetType = msgspec.UNSET
    value: float | msgspec.UnsetType = msgspec.UNSET
    interval: float | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        absent = [key for key in ("type", "value") if getattr(self, key) is msgspec.UNSET]
        if self.interval is not msgspec.UNSET:
            if len(absent) < 2:
                raise ConfigError(
                    "'interval' says the same as 'type' and 'value'",
                    path=("interval",),
                    hint="keep 'type' and 'value', or 'interval' in seconds",
                )
        elif absent:
            raise ConfigError(
                f"the key {absent[0]!r} is missing",
                hint='write type = "minutes", value = 5; a period is never guessed',
            )

    @property
    def key(self) -> str:
        """The key that holds the amount, for errors to name."""
        return "value" if self.interval is msgspec.UNSET else "interval"

    @property
    def unit(self) -> Unit:
        """The unit of :attr:`amount`."""
        return "seconds" if self.type is msgspec.UNSET else self.type

    @property
    def amount(self) -> float:
        """How many units the period has."""
        return next(n for n in (self.value, self.interval) if n is not msgspec.UNSET)
