"""``plugins/list``, ``show``, ``rescan``, ``enable``, ``disable``."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta

from alicia_scheduler.api.control import Permission
from alicia_scheduler.config.convert import json_schema
from alicia_scheduler.control.command import Answer, Arguments, Command, Nothing, Request
from alicia_scheduler.control.late import of_host
from alicia_scheduler.host.loader import PluginRecord

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
    """

    name: str
    distribution: str
    version: str
    status: str
    contributions: dict[str, tuple[str, ...]]
    reason: str | None = None
    import_time: float | None = None


class PluginsAnswer(Answer, frozen=True):
    """The installed plugins.

    Attributes:
        plugins: each with its status, in order of name.
    """

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
    """

    plugin: Plugin
    types: tuple[ContributedType, ...]
    settings: dict[str, Any] | None = None


async def _list(request: Request, _: Nothing) -> PluginsAnswer:
    records = sorted(request.host.registry.plugins, key=lambda record: record.name)
    return PluginsAnswer(plugins=tuple(_plugin(record) for record in records))


async def _show(request: Request, arguments: NamePlugin) -> PluginAnswer:
    record = _found(request, arguments.name)
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
    )


async def _rescan(request: Request, _: Nothing) -> Any:
    return await of_host(request.host, "rescan_plugins")()


async def _enable(request: Request, arguments: NamePlugin) -> Any:
    return await _switch(request, arguments.name, enabled=True)


async def _disable(request: Request, arguments: NamePlugin) -> Any:
    return await _switch(request, arguments.name, enabled=False)


async def _switch(request: Request, name: str, *, enabled: bool) -> Any:
    _found(request, name)
    await of_host(request.host, "set_plugin_enabled")(name, enabled)
    return PluginsAnswer(plugins=(_plugin(_found(request, name)),))


def _found(request: Request, name: str) -> PluginRecord:
    for record in request.host.registry.plugins:
        if record.name == name:
            return record
    raise KeyError(name)


def _plugin(record: PluginRecord) -> Plugin:
    return Plugin(**record.to_wire())


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
        PluginsAnswer,
        Permission.ADMIN,
        _rescan,
        "Look for plugins that were installed, removed or replaced.",
    ),
    Command(
        "plugins/enable",
        NamePlugin,
        PluginsAnswer,
        Permission.ADMIN,
        _enable,
        "Enable a plugin.",
    ),
    Command(
        "plugins/disable",
        NamePlugin,
        PluginsAnswer,
        Permission.ADMIN,
        _disable,
        "Disable a plugin; what needs its types becomes unresolved.",
    ),
)
