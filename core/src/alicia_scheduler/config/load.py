"""A configuration file as a whole: its tables, its settings, and all that is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import msgspec

from alicia_scheduler.api import ConfigError
from alicia_scheduler.api.zones import load_timezone
from alicia_scheduler.config.calendars import read_calendar
from alicia_scheduler.config.control import ControlSettings, read_control
from alicia_scheduler.config.convert import convert_all
from alicia_scheduler.config.document import Document
from alicia_scheduler.config.includes import merged, read_included
from alicia_scheduler.config.limits import read_limits
from alicia_scheduler.config.pluginlist import split_plugins
from alicia_scheduler.config.secrets import SecretSource, secret_sources
from alicia_scheduler.config.settings import HistorySettings, Settings, check_timezone
from alicia_scheduler.config.wording import found, quote, suggest

__all__ = ["Configuration", "load"]

Table = dict[str, Any]
TABLES = (
    "scheduler",
    "history",
    "control",
    "services",
    "sinks",
    "events",
    "plugins",
    "calendars",
    "limits",
    "secrets",
)


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """What a configuration file says. The tables of plugins and events are still raw: only their
    plugins know what belongs in them.

    Attributes:
        file: the file, as it was given.
        settings: ``[scheduler]``; defaults where it is wrong, so that checking can go on.
        history: ``[history]``, likewise.
        control: ``[control]``, likewise.
        services: ``[services.<name>]`` by name.
        sinks: ``[sinks.<name>]`` by name.
        events: ``[events.<id>]`` by id.
        plugins: ``[plugins.<name>]`` by name.
        disabled: names of plugins that ``[plugins]`` disables.
        calendars: the days of ``[calendars.<name>]`` by name.
        secrets: where the values of ``[secrets]`` come from, by name.
        limits: the capacity of ``[limits.<name>]`` by name.
        issues: every mistake found so far, with file and line, in order of files and lines.
        documents: the main file and those it includes.
    """

    file: Path
    settings: Settings
    history: HistorySettings
    control: ControlSettings
    services: dict[str, Table]
    sinks: dict[str, Table]
    events: dict[str, Table]
    plugins: dict[str, Table]
    disabled: frozenset[str] = frozenset()
    calendars: dict[str, frozenset[date]]
    secrets: dict[str, SecretSource]
    limits: dict[str, int]
    issues: list[ConfigError]
    documents: tuple[Document, ...] = field(repr=False)

    @property
    def state_dir(self) -> Path:
        """The state directory as an absolute path: ``~`` is the user's home, and a relative path
        begins at the folder of the configuration file."""
        try:
            path = Path(self.settings.state_dir).expanduser()
        except RuntimeError:
            # No home directory is known for this user, so ~ is a name like any other.
            path = Path(self.settings.state_dir)
        return (self.file.parent / path).resolve()

    def locate(self, issue: ConfigError) -> ConfigError:
        """``issue`` with the file and the line of its path; one that has its file stays as it is.

        Its path counts from the document's outermost key, e.g. ``("events", "lamp", "name")``.
        """
        if issue.file is not None:
            return issue
        main, *included = self.documents
        document = main
        if len(issue.path) > 1:
            place = issue.path[:2]
            document = next((each for each in included if each.defines(place)), main)
        return issue.located(document.name, document.line_of(issue.path))


def load(path: str | Path) -> Configuration:
    """Read a configuration file and those it includes. Mistakes in their content are listed in
    :attr:`Configuration.issues`.

    Raises:
        ConfigError: the file cannot be read, or it is not TOML.
    """
    return configuration(Document.load(path))


def configuration(document: Document) -> Configuration:
    """The configuration that a document holds."""
    issues: list[ConfigError] = []
    included = read_included(document, issues)
    data = merged(document, included, issues)
    for key, value in data.items():
        if key not in TABLES:
            issues.append(_unknown(key, value))
    settings = _settings(data.get("scheduler", {}), issues)
    plugins, disabled = split_plugins(data.get("plugins", {}), issues)
    folder, zone = Path(document.name).parent, load_timezone(settings.timezone)
    loaded = Configuration(
        file=Path(document.name),
        settings=settings,
        history=convert_all(data.get("history", {}), HistorySettings, issues, path=("history",))
        or HistorySettings(),
        control=read_control(data.get("control", {}), folder, issues),
        services=_named_tables(data, "services", issues),
        sinks=_named_tables(data, "sinks", issues),
        events=_named_tables(data, "events", issues),
        plugins=_named_tables({"plugins": plugins}, "plugins", issues),
        disabled=disabled,
        calendars={
            name: read_calendar(name, table, folder, issues, zone)
            for name, table in _named_tables(data, "calendars", issues).items()
        },
        secrets=secret_sources(data.get("secrets", {}), issues),
        limits=read_limits(_named_tables(data, "limits", issues), issues),
        issues=issues,
        documents=(document, *included),
    )
    issues[:] = sorted(map(loaded.locate, issues), key=_place)
    return loaded


def _place(issue: ConfigError) -> tuple[str, int]:
    return issue.file or "", issue.line or 0


def _settings(raw: object, issues: list[ConfigError]) -> Settings:
    before = len(issues)
    settings = convert_all(raw, Settings, issues, path=("scheduler",))
    check_timezone(raw, issues, path=("scheduler",))
    return settings if settings is not None and len(issues) == before else Settings()


def _unknown(key: str, value: object) -> ConfigError:
    if isinstance(value, dict):
        hint = suggest(key, TABLES, likely=TABLES, noun="tables")
        return ConfigError(f"unknown table {quote(key)}", path=(key,), hint=hint)
    fields = [item.name for item in msgspec.structs.fields(Settings)]
    hint = (
        "write it below [scheduler]"
        if key in fields
        else f"every key belongs in a table: {', '.join(TABLES)}"
    )
    return ConfigError(f"the key {quote(key)} stands outside any table", path=(key,), hint=hint)


def _named_tables(data: Table, group: str, issues: list[ConfigError]) -> dict[str, Table]:
    """The tables ``[group.<name>]``; what is no table is noted and left out."""
    tables = data.get(group, {})
    if not isinstance(tables, dict):
        hint = f"write [{group}.<name>]"
        issues.append(
            ConfigError(f"must be a table, not {found(tables)}", path=(group,), hint=hint)
        )
        return {}
    good: dict[str, Table] = {}
    for name, table in tables.items():
        if isinstance(table, dict):
            good[name] = table
            continue
        message = f"must be a table, not {found(table)}"
        hint = f"write [{group}.<name>] with its keys below"
        issues.append(ConfigError(message, path=(group, name), hint=hint))
    return good
