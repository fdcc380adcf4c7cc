"""Calling one plugin's hooks, with one typed method per hook.

Each plugin gets a plugin manager of its own: pluggy then checks names and signatures of exactly
this plugin, and no plugin's hook can stand between the host and another's.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

import click
import pluggy

from alicia_scheduler.api import hookspecs
from alicia_scheduler.api.descriptors import (
    ActionType,
    HostInfo,
    ScheduleType,
    ServiceCall,
    ServiceType,
    SinkType,
    StoreType,
)
from alicia_scheduler.config.shapes import is_object

__all__ = ["HookFault", "PluginHooks"]


class HookFault(Exception):
    """A plugin's hooks cannot be used; the message is one plain sentence."""


class PluginHooks:
    """The hooks of one plugin.

    Args:
        name: the plugin's name, for messages.
        plugin: the object its entry point names, usually a module.

    Raises:
        HookFault: no hook at all, an unknown hook, or one with a wrong shape.
    """

    def __init__(self, name: str, plugin: object) -> None:
        self._manager = pluggy.PluginManager(hookspecs.PROJECT_NAME)
        self._manager.add_hookspecs(hookspecs)
        try:
            self._manager.register(plugin, name)
            self._manager.check_pending()
        except pluggy.PluginValidationError as error:
            raise HookFault(_first_line(error)) from error
        callers = self._manager.get_hookcallers(plugin) or []
        if not callers:
            raise HookFault(
                "it has no hooks: mark its functions alicia_… with "
                "@hookimpl from alicia_scheduler.api"
            )
        for caller in callers:
            for implementation in caller.get_hookimpls():
                _check_shape(caller.name, implementation.function)

    def schedule_types(self, info: HostInfo) -> list[ScheduleType]:
        return self._collect("alicia_schedule_types", info, ScheduleType)

    def action_types(self, info: HostInfo) -> list[ActionType]:
        return self._collect("alicia_action_types", info, ActionType)

    def sinks(self, info: HostInfo) -> list[SinkType]:
        return self._collect("alicia_sinks", info, SinkType)

    def services(self, info: HostInfo) -> list[ServiceType]:
        return self._collect("alicia_services", info, ServiceType)

    def service_calls(self, info: HostInfo) -> list[ServiceCall]:
        return self._collect("alicia_service_calls", info, ServiceCall)

    def stores(self, info: HostInfo) -> list[StoreType]:
        return self._collect("alicia_stores", info, StoreType)

    def settings(self, info: HostInfo) -> type[Any] | None:
        offered: list[type[Any]] = self._collect("alicia_settings", info, type)
        if len(offered) > 1:
            raise HookFault("alicia_settings yielded several classes; it must yield one")
        if not offered:
            return None
        if not is_object(offered[0]):
            raise HookFault(
                f"alicia_settings yielded {offered[0].__name__}; "
                "give a msgspec Struct, a dataclass or an attrs class"
            )
        return offered[0]

    def commands(self, info: HostInfo) -> list[click.Command]:
        return self._collect("alicia_commands", info, click.Command)

    def _collect(self, hook: str, info: HostInfo, wanted: type[Any]) -> list[Any]:
        found: list[Any] = []
        for offered in getattr(self._manager.hook, hook)(info=info):
            if not isinstance(offered, Iterable):
                raise HookFault(
                    f"{hook} returned {type(offered).__name__}; yield {wanted.__name__} objects"
                )
            for item in offered:
                if not isinstance(item, wanted):
                    raise HookFault(
                        f"{hook} yielded {type(item).__name__}; it must yield {wanted.__name__}"
                    )
                found.append(item)
        return found


def _check_shape(hook: str, function: Any) -> None:
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise HookFault(f"{hook} is async; hooks are plain functions, what waits is in open()")
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            raise HookFault(
                f"{hook} has the keyword-only parameter {parameter.name!r}, "
                "which pluggy never passes; drop the *"
            )


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:3])
