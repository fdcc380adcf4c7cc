"""``plugins/list``, ``show``, ``rescan``, ``enable``, ``disable``."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import msgspec
import trio
from msgspec import Meta

from alicia_scheduler.api.control import Permission
from alicia_scheduler.config.convert import json_schema
from alicia_scheduler.control.command import Answer, Arguments, Command, Nothing, Request
from alicia_scheduler.host.plugins import PluginChanges
from alicia_scheduler.host.portrait import advice
from alicia_scheduler.host.record import PluginRecord

__all__ = ["PLUGINS"]

PluginName = Annotated[str, Meta(min_length=1, max_length=128)]


class NamePlugin(Arguments, frozen=True):
    """One plugin.

    Attributes:
        name: its name.
    """

    name: PluginName


class Plugin(Answer, frozen=True):
    """An installed plugin.

    Attributes:
        name: its name.
        distribution: the distribution that brings it.
        version: the version of that.
        status: `active`, `disabled`, `conflict`, `incompatible`, `broken`, `quarantined` or
            `restart-needed`.
        reason: why it is not active, in a sentence.
        import_time: seconds that importing it took.
        contributions: the names of the types it brings, by kind.
        warnings: sentences about what it uses that will go away.
        errors: how often something of it went wrong since the host started.
        faults: how many of these endangered the host or other plugins.
        held: how often it held up everything else.
        longest_hold: the longest of these, in seconds.
        first_error: the first error.
        last_error: the last one.
        advice: what to do about it, in a sentence; null when there is nothing to do.
    """

    name: str
    distribution: str
    version: str
    status: str
    contributions: dict[str, tuple[str, ...]]
    reason: str | None = None
    import_time: float | None = None
    warnings: tuple[str, ...] = ()
    errors: int = 0
    faults: int = 0
    held: int = 0
    longest_hold: float = 0.0
    first_error: dict[str, Any] | None = None
    last_error: dict[str, Any] | None = None
    advice: str | None = None


class PluginsAnswer(Answer, frozen=True):
    """The installed plugins.

    Attributes:
        plugins: each with its status, in order of name.
    """

    plugins: tuple[Plugin, ...]


class ChangesAnswer(Answer, frozen=True):
    """What a command about plugins changed.

    Attributes:
        added: names of plugins that are new here, active or not; their records say.
        restart_needed: names of those that were upgraded or uninstalled: what is loaded goes on
            until the host is restarted.
        removed: names of those that are gone and were not loaded.
        revived: ids of the events that came alive.
        unresolved: ids of the events that lack a type now.
        issues: mistakes in the configuration that only show now; what has one does not run.
        plugins: all plugins as they stand now.
    """

    added: tuple[str, ...]
    restart_needed: tuple[str, ...]
    removed: tuple[str, ...]
    revived: tuple[str, ...]
    unresolved: tuple[str, ...]
    issues: tuple[str, ...]
    plugins: tuple[Plugin, ...]


class ContributedType(Answer, frozen=True):
    """A type that a plugin brings.

    Attributes:
        kind: `schedule type`, `action type`, `sink`, `service`, `service call` or `store`.
        name: its name.
        summary: what it does, in a line.
        config: the JSON Schema of its configuration; null when it has none.
    """

    kind: str
    name: str
    summary: str = ""
    config: dict[str, Any] | None = None


class PluginAnswer(Answer, frozen=True):
    """One plugin with all that it brings.

    Attributes:
        plugin: the plugin.
        types: the types it brings.
        settings: the JSON Schema of its own settings; null when it has none.
        tasks: how many tasks work for it at this moment.
    """

    plugin: Plugin
    types: tuple[ContributedType, ...]
    settings: dict[str, Any] | None = None
    tasks: int = 0


async def _list(request: Request, _: Nothing) -> PluginsAnswer:
    records = sorted(request.host.registry.plugins, key=lambda record: record.name)
    return PluginsAnswer(plugins=tuple(_plugin(record) for record in records))


async def _show(request: Request, arguments: NamePlugin) -> PluginAnswer:
    record = _found(request, arguments.name)
    # Only the plugin itself knows its options.
    await trio.to_thread.run_sync(request.host.registry.bring, record)
    return PluginAnswer(
        plugin=_plugin(record),
        types=tuple(
            ContributedType(
                kind=kind,
                name=item.name,
                summary=getattr(item, "summary", ""),
                config=_schema(getattr(item, "config", None) or getattr(item, "data", None)),
            )
            for kind, items in record.contributions.by_kind().items()
            for item in items
        ),
        settings=_schema(record.contributions.settings),
        tasks=request.host.plugins.watch.tasks_of(record),
    )


async def _rescan(request: Request, _: Nothing) -> ChangesAnswer:
    host = request.host
    return _changes(request, await host.errands.run(host.plugins.rescan))


async def _enable(request: Request, arguments: NamePlugin) -> ChangesAnswer:
    host = request.host
    enable = partial(host.plugins.enable, arguments.name)
    return _changes(request, await host.errands.run(enable))


async def _disable(request: Request, arguments: NamePlugin) -> ChangesAnswer:
    host = request.host
    disable = partial(host.plugins.disable, arguments.name)
    return _changes(request, await host.errands.run(disable))


def _changes(request: Request, changes: PluginChanges) -> ChangesAnswer:
    named = {name: tuple(found) for name, found in msgspec.structs.asdict(changes).items()}
    plugins = tuple(_plugin(record) for record in request.host.registry.plugins)
    return ChangesAnswer(**named, plugins=plugins)


def _found(request: Request, name: str) -> PluginRecord:
    for record in request.host.registry.plugins:
        if record.name == name:
            return record
    raise KeyError(name)


def _plugin(record: PluginRecord) -> Plugin:
    return Plugin(**record.to_wire(), advice=advice(record))


def _schema(cls: type[Any] | None) -> dict[str, Any] | None:
    if cls is None:
        return None
    try:
        return json_schema(cls)
    except TypeError:
        return None


PLUGINS = (
    Command(
        "plugins/list",
        Nothing,
        PluginsAnswer,
        Permission.READ,
        _list,
        "List installed plugins with their status.",
    ),
    Command(
        "plugins/show",
        NamePlugin,
        PluginAnswer,
        Permission.READ,
        _show,
        "Show one plugin with all that it brings.",
    ),
    Command(
        "plugins/rescan",
        Nothing,
        ChangesAnswer,
        Permission.ADMIN,
        _rescan,
        "Look for plugins that were installed, removed or replaced.",
    ),
    Command(
        "plugins/enable",
        NamePlugin,
        ChangesAnswer,
        Permission.ADMIN,
        _enable,
        "Use a plugin again that was disabled or quarantined.",
    ),
    Command(
        "plugins/disable",
        NamePlugin,
        ChangesAnswer,
        Permission.ADMIN,
        _disable,
        "Disable a plugin; what needs its types becomes unresolved.",
    ),
)
