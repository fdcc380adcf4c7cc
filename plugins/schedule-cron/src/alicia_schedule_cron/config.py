"""What ``schedule_config`` holds for the type ``cron``."""

from __future__ import annotations

from typing import Literal

import msgspec

from alicia_scheduler.api import ConfigError

__all__ = ["CronConfig"]


class CronConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A crontab expression, under one of its two keys.

    Attributes:
        expression: the expression.
        cron: the same, as the original Alicia scheduler calls it.
        seconds: where the seconds stand in an expression of six fields.
    """

    expression: str | msgspec.UnsetType = msgspec.UNSET
    cron: str | msgspec.UnsetType = msgspec.UNSET
    seconds: Literal["first", "last"] = "first"

    def __post_init__(self) -> None:
        if self.expression is not msgspec.UNSET and self.cron is not msgspec.UNSET:
            raise ConfigError(
                "'expression' and 'cron' are two names of one setting",
                path=("cron",),
                hint="keep 'expression'",
            )
        if self.expression is msgspec.UNSET and self.cron is msgspec.UNSET:
            raise ConfigError(
                "the key 'expression' is missing", hint='write expression = "30 6 * * mon-fri"'
            )

    @property
    def key(self) -> str:
        """The key that is in use, for errors to name."""
        return "cron" if self.expression is msgspec.UNSET else "expression"

    @property
    def text(self) -> str:
        """The expression as it was written."""
        return next(text for text in (self.expression, self.cron) if text is not msgspec.UNSET)
