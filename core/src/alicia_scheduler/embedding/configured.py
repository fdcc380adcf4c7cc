"""From what a program passes as its configuration to what a host runs with."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from copy import deepcopy
from datetime import datetime
from email.message import Message
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

from alicia_scheduler.api import ConfigError
from alicia_scheduler.config.document import Document
from alicia_scheduler.config.load import Configuration, configuration, load
from alicia_scheduler.config.settings import Settings
from alicia_scheduler.embedding.functions import Functions
from alicia_scheduler.host.check import Checked, check_configuration, disabled_plugins
from alicia_scheduler.host.discovery import GROUP, find_candidates
from alicia_scheduler.host.loader import Contributions, PluginRecord, PluginStatus, load_plugins
from alicia_scheduler.host.registry import Registry

__all__ = ["Given", "check", "make_registry", "read", "state_dir_of"]

Given = str | Path | Mapping[str, Any] | Settings | None
"""What a program may pass: a file, its content as plain data, or the ``[scheduler]`` table."""

NAME = "config"
"""What errors call a configuration that came from no file."""


def read(given: Given) -> Configuration:
    """The configuration.

    Raises:
        ConfigError: the file cannot be read, or it is not TOML.
    """
    if isinstance(given, (str, Path)):
        return load(given)
    if isinstance(given, Settings):
        table = msgspec.to_builtins(given)
        given = {"scheduler": {key: table[key] for key in table if key != "state_dir"}}
    return configuration(Document(NAME, "", deepcopy(dict(given or {}))))


def state_dir_of(loaded: Configuration, chosen: str | Path | None) -> Path | None:
    """Where the host keeps its store: as chosen, else as the configuration names it; None, in
    memory, when neither does."""
    if chosen is not None:
        return Path(chosen).expanduser().resolve()
    table = loaded.documents[0].data.get("scheduler")
    named = isinstance(table, dict) and "state_dir" in table
    return loaded.state_dir if named else None


def make_registry(
    loaded: Configuration,
    functions: Functions,
    plugins: Collection[str] | None,
    extra: Mapping[str, object],
) -> Registry:
    """What the installed plugins, those that the program brings, and its functions contribute.

    Raises:
        ConfigError: a plugin that the program names or brings is not there or cannot be used.
    """
    candidates = find_candidates()
    if plugins is not None:
        missing = set(plugins) - {candidate.name for candidate in candidates}
        if missing:
            raise ConfigError(
                f"no plugin {', '.join(sorted(map(repr, missing)))} is installed",
                hint="alicia plugins list says what is",
            )
        candidates = [candidate for candidate in candidates if candidate.name in plugins]
    brought = find_candidates([_Brought(name, plugin) for name, plugin in extra.items()])
    records = load_plugins([*candidates, *brought], disabled=disabled_plugins(loaded))
    wanted = {*(plugins or ()), *extra}
    for record in records:
        if record.name in wanted and record.status is not PluginStatus.ACTIVE:
            raise ConfigError(f"plugin {record.name} is {record.status}: {record.reason}")
    own = Contributions(action_types=list(functions.alicia_action_types()))
    program = PluginRecord("embedding", "alicia-scheduler", "", contributions=own)
    return Registry([*records, program])


def check(loaded: Configuration, registry: Registry, now: datetime) -> Checked:
    """The configuration, checked.

    Raises:
        ConfigError: it has mistakes; the message names each with its place.
    """
    checked = check_configuration(loaded, registry, now=now)
    if len(checked.issues) == 1:
        raise checked.issues[0]
    if checked.issues:
        lines = "\n".join(f"  {issue}" for issue in checked.issues)
        raise ConfigError(f"the configuration has {len(checked.issues)} mistakes:\n{lines}")
    return checked


class _Brought(metadata.Distribution):
    """A plugin object of the program, seen as an installed distribution with one entry point."""

    def __init__(self, name: str, plugin: object) -> None:
        self._name = name
        self._entry_point = _Loaded(name, getattr(plugin, "__name__", name), GROUP)
        vars(self._entry_point)["plugin"] = plugin

    @property
    def metadata(self) -> Any:
        message = Message()
        message["Name"], message["Version"] = f"plugin {self._name} of this program", "0"
        return message

    @property
    def entry_points(self) -> Any:
        return metadata.EntryPoints((self._entry_point,))

    def read_text(self, filename: str) -> str | None:
        return None

    def locate_file(self, path: Any) -> Any:
        return Path(path)


class _Loaded(metadata.EntryPoint):
    """An entry point that is imported already."""

    def load(self) -> Any:
        return vars(self)["plugin"]
