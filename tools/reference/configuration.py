"""The page about the configuration file: its tables and their keys."""

from __future__ import annotations

import importlib
from typing import Any

from tools.reference.docstrings import attributes
from tools.reference.schemas import described_schema
from tools.reference.words import Key, key_table, keys_of

from alicia_scheduler.api.model import ScheduledEvent
from alicia_scheduler.config.includes import INCLUDED_TABLES
from alicia_scheduler.config.load import TABLES

__all__ = ["CLASSES", "configuration_page"]

CONFIG = "alicia_scheduler.config"

CLASSES: dict[str, tuple[str, str] | None] = {
    "scheduler": (f"{CONFIG}.settings", "Settings"),
    "history": (f"{CONFIG}.settings", "HistorySettings"),
    "control": (f"{CONFIG}.control", "ControlTable"),
    "events": (f"{CONFIG}.events", "EventTable"),
    "services": None,
    "sinks": ("alicia_scheduler.host.sinks", "SinkOptions"),
    "plugins": None,
    "calendars": (f"{CONFIG}.calendars", "CalendarTable"),
    "limits": (f"{CONFIG}.limits", "LimitTable"),
    "secrets": (f"{CONFIG}.secrets", "SecretSource"),
}
"""The class of each table of the file, where the core has one."""

TEXTS = {
    "scheduler": "`[scheduler]`: the host itself. Durations are seconds.",
    "history": "`[history]`: how much of the past is kept. 0 means no limit.",
    "control": "`[control]`: the door over TCP ([security](../explanation/security.md)). The Unix "
    "socket in the state directory is always there.",
    "events": "`[events.<id>]`: one event each. What the fields mean in full is in the "
    "[data model](model.md#scheduledevent).",
    "services": "`[services.<name>]`: connections and servers, each with the keys that "
    "[its plugin](plugins/index.md) lists. One that is needed and has no table runs with its defaults.",
    "sinks": "`[sinks.<name>]`: where notifications go. These keys are the host's; the others are those "
    "that [the plugin](plugins/index.md) lists.",
    "plugins": "`[plugins.<name>]`: what whoever runs the host decides for all events. Each plugin "
    "[lists its own keys](plugins/index.md) under *Settings*.",
    "calendars": "`[calendars.<name>]`: days that an event can leave out by the name in `exclude` "
    "([how](../howto/limit-a-schedule.md)).",
    "limits": "`[limits.<name>]`: places that events with this `limit` share "
    "([how](../explanation/policies.md)).",
    "secrets": '`[secrets]`: where each secret comes from, as `name = { env = "VARIABLE" }` '
    "([how](../howto/secrets.md)). Exactly one of the keys.",
}

INTRODUCTION = f"""\
# Configuration

One TOML file, given to `alicia run` and `alicia check`. Every mistake in it is told with its line and
what to write instead, and a host never runs on half of it. What can change
[while it runs](../howto/reload.md) is told there.

## include

`include = ["events.d/*.toml"]` on top of the file: further files, in its directory or below it, read as
if they stood here. They may hold the tables {", ".join(f"`{name}`" for name in INCLUDED_TABLES)}.
"""


def configuration_page() -> str:
    """The page.

    Raises:
        LookupError: the file may hold a table that is not described here.
    """
    lost = set(TABLES) - set(TEXTS)
    if lost:
        raise LookupError(f"tables without a text in {__name__}: {sorted(lost)}")
    parts = [INTRODUCTION.strip()]
    for name, text in TEXTS.items():
        if name in TABLES:
            parts += [f"## {name}", text]
            parts += [key_table(keys)] if (keys := keys_of_table(name)) else []
    return "\n\n".join(parts)


def keys_of_table(name: str) -> list[Key]:
    """The keys that the core knows in a table of the file."""
    place = CLASSES[name]
    if place is None:
        return []
    cls: type[Any] = getattr(importlib.import_module(place[0]), place[1])
    keys = list(keys_of(described_schema(cls)))
    if name == "events":
        meanings = attributes(ScheduledEvent)
        keys = [key._replace(meaning=key.meaning or meanings.get(key.name, "")) for key in keys]
    if name == "scheduler":
        # The zone of the machine that makes this page is not everybody's.
        own = {"timezone": "this machine's"}
        keys = [key._replace(default=own.get(key.name, key.default)) for key in keys]
    return keys
