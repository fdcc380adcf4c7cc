"""Calling one plugin's hooks, with one typed method per hook.

Each plugin gets a plugin manager of its own: pluggy then checks names and signatures of exactly
this plugin, and no plugin's hook can stand between the host and another's.
"""

from __future__ import annotations

import difflib
import inspect
import re
from collections.abc import Iterable
from types import ModuleType
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
from alicia_scheduler.api.hookspecs import Going
from alicia_scheduler.config.shapes import is_object

__all__ = ["HookFault", "PluginHooks"]


class HookFault(Exception):
    """A plugin's hooks cannot be used; the message is one plain sentence."""


class PluginHooks:
    """The hooks of one plugin.

    Args:
        name: the plugin's name, for messages.
        plugin: the object its entry point names, usually a module.

        specs: the hooks there are.
        going: which of them will go away.

    Attributes:
        warnings: a sentence for each hook or argument the plugin uses that will go away.

    Raises:
        HookFault: no hook at all, an unknown hook, or one with a wrong shape.
    """

    def __init__(
        self,
        name: str,
        plugin: object,
        specs: ModuleType | type = hookspecs,
        going: Going = hookspecs.GOING,
    ) -> None:
        self.warnings: list[str] = []
        self._manager = pluggy.PluginManager(hookspecs.PROJECT_NAME)
        self._manager.add_hookspecs(specs)
        try:
            self._manager.register(plugin, name)
            self._refuse_unknown(going)
        except pluggy.PluginValidationError as error:
            raise HookFault(_plain(error)) from error
        callers = self._manager.get_hookcallers(plugin) or []
        if not callers:
            raise HookFault(
                "it has no hooks: mark its functions alicia_… with "
                "@hookimpl from alicia_scheduler.api"
            )
        for caller in callers:
            for implementation in caller.get_hookimpls():
                _check_shape(caller.name, implementation.function)
                self.warnings += _warnings(caller.name, implementation.argnames, going)

    def _refuse_unknown(self, going: Going) -> None:
        for hook, caller in self._manager.hook.__dict__.items():
            if hook.startswith("_") or caller.has_spec():
                continue
            for implementation in caller.get_hookimpls():
                if implementation.optionalhook:
                    continue
                if hook in going.removed:
                    raise HookFault(f"the hook {hook} is no more: {going.removed[hook]}")
                raise HookFault(
                    f"it has the hook {hook}, which this host does not know: it is misspelt"
                    f"{_near(hook, self._manager)}, or needs a newer alicia-scheduler"
                )

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


def _warnings(hook: str, arguments: Iterable[str], going: Going) -> list[str]:
    found = []
    if hook in going.hooks:
        found.append(f"the hook {hook} will go away: {going.hooks[hook]}")
    for argument in arguments:
        said = going.arguments.get((hook, argument))
        if said is not None:
            found.append(f"the argument {argument!r} of the hook {hook} will go away: {said}")
    return found


def _near(hook: str, manager: pluggy.PluginManager) -> str:
    known = [name for name, caller in manager.hook.__dict__.items() if caller.has_spec()]
    near = difflib.get_close_matches(hook, known, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _check_shape(hook: str, function: Any) -> None:
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise HookFault(f"{hook} is async; hooks are plain functions, what waits is in open()")
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
            raise HookFault(
                f"{hook} has the keyword-only parameter {parameter.name!r}, "
                "which pluggy never passes; drop the *"
            )


def _plain(error: pluggy.PluginValidationError) -> str:
    """What pluggy says about a hook, as one sentence."""
    text = " ".join(str(error).split())
    wrong = re.search(r"for hook '(\w+)'.*Argument\(s\) \{(.*?)\} are declared", text)
    if wrong is None:
        return text
    return f"its hook {wrong[1]} asks for {wrong[2]}, which no hook is given; it may ask for: info"
