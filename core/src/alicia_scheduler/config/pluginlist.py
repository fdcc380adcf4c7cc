"""``[plugins]``: a table for each plugin that is told something, and who is disabled."""

from __future__ import annotations

from typing import Any

import msgspec

from alicia_scheduler.api import ConfigError
from alicia_scheduler.config.convert import convert_all

__all__ = ["PluginList", "split_plugins"]


class PluginList(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What stands in ``[plugins]`` itself.

    Attributes:
        disabled: names of plugins that are left alone: listed, but not imported.
    """

    disabled: list[str] = []


def split_plugins(raw: object, issues: list[ConfigError]) -> tuple[Any, frozenset[str]]:
    """``[plugins]`` as the tables ``[plugins.<name>]``, and the names that it disables; mistakes in
    the latter are added to ``issues``."""
    if not isinstance(raw, dict) or isinstance(raw.get("disabled", {}), dict):
        return raw, frozenset()  # a plugin may be called "disabled"
    tables = {name: table for name, table in raw.items() if name != "disabled"}
    own = convert_all({"disabled": raw["disabled"]}, PluginList, issues, path=("plugins",))
    return tables, frozenset(own.disabled) if own is not None else frozenset()
