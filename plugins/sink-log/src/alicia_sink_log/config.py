"""What ``[sinks.log]`` may say."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

__all__ = ["LogSinkConfig"]

EventType = Annotated[
    str, Meta(pattern=r"^[a-z_*]+\Z", description='for example "execution_*" or "error"')
]


class LogSinkConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which notifications are written, how, and where.

    Attributes:
        format: ``text``, aligned for people, or ``json``, one object a line.
        stream: ``stdout`` or ``stderr``.
        only: the event types that are written, ``*`` standing for any part of a name; all when
            it is empty.
    """

    format: Literal["text", "json"] = "text"
    stream: Literal["stdout", "stderr"] = "stdout"
    only: tuple[EventType, ...] = ()

    def wants(self, event_type: str) -> bool:
        """True when notifications of this type are written."""
        return not self.only or any(fnmatchcase(event_type, pattern) for pattern in self.only)
