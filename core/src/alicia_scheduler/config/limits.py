"""``[limits.<name>]``: how many executions of the events that share a limit may run at once."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from alicia_scheduler.api import ConfigError
from alicia_scheduler.config.convert import convert_all
from alicia_scheduler.config.wording import quote, suggest

__all__ = ["LimitTable", "check_limit", "read_limits"]


class LimitTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[limits.<name>]``.

    Attributes:
        capacity: executions that may run at once, of all events with this limit together.
    """

    capacity: Annotated[int, Meta(ge=1, le=10_000)]


def read_limits(tables: dict[str, dict[str, Any]], issues: list[ConfigError]) -> dict[str, int]:
    """The capacity of each limit; mistakes are added to ``issues``.

    A limit whose table is wrong is there with the capacity 1: that events name it is no mistake.
    """
    limits: dict[str, int] = {}
    for name, raw in tables.items():
        table = convert_all(raw, LimitTable, issues, path=("limits", name))
        limits[name] = table.capacity if table is not None else 1
    return limits


def check_limit(limit: str | None, known: Collection[str]) -> None:
    """Check that an event's limit is one of the configuration's.

    Raises:
        ConfigError: it is not.
    """
    if limit is None or limit in known:
        return
    names = sorted(known)
    hint = (
        suggest(limit, names, likely=names, noun="limits")
        if names
        else f"add [limits.{limit}] with its capacity to the configuration"
    )
    raise ConfigError(f"there is no limit {quote(limit)}", path=("limit",), hint=hint)
