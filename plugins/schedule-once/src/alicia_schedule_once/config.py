"""What ``schedule_config`` holds for the type ``once``."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from alicia_scheduler.api import ConfigError

__all__ = ["OnceConfig"]

Moment = Annotated[
    Any,
    msgspec.Meta(
        description="ISO 8601 text or epoch seconds",
        extra_json_schema={"type": ["string", "number"]},
    ),
]
"""Text, a number, or one of TOML's own dates; :mod:`alicia_schedule_once.moment` reads it."""


class OnceConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The moment of the run, under one of its two keys.

    Attributes:
        run_at: the moment: ISO 8601 text, epoch seconds, or a TOML date-time.
        timestamp: the same, as the original Alicia scheduler calls it.
    """

    run_at: Moment | msgspec.UnsetType = msgspec.UNSET
    timestamp: Moment | msgspec.UnsetType = msgspec.UNSET

    def __post_init__(self) -> None:
        if self.run_at is not msgspec.UNSET and self.timestamp is not msgspec.UNSET:
            raise ConfigError(
                "'run_at' and 'timestamp' are two names of one setting",
                path=("timestamp",),
                hint="keep 'run_at'",
            )
        if self.run_at is msgspec.UNSET and self.timestamp is msgspec.UNSET:
            raise ConfigError(
                "the key 'run_at' is missing", hint='write run_at = "2026-12-24T18:00:00"'
            )

    @property
    def key(self) -> str:
        """The key that is in use, for errors to name."""
        return "timestamp" if self.run_at is msgspec.UNSET else "run_at"

    @property
    def moment(self) -> object:
        """The moment as it was written."""
        return self.timestamp if self.run_at is msgspec.UNSET else self.run_at
