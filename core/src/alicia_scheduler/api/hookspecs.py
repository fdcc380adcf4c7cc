"""Every hook there is. A hook is a plain function, called once at load; it only *offers* things.

A plugin implements the ones it needs in the module that its entry point names::

    # pyproject.toml
    [project.entry-points."alicia_scheduler.plugins"]
    lamp = "my_lamp"

    # my_lamp.py
    from alicia_scheduler.api import ActionType, hookimpl

    @hookimpl
    def alicia_action_types():
        yield ActionType(name="lamp.blink", config=BlinkConfig, open=open_lamp)

Hooks may leave out ``info``. They do no I/O and are never ``async``: what waits is a method of
what a descriptor opens.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import click
import pluggy

from alicia_scheduler.api.descriptors import (
    ActionType,
    HostInfo,
    ScheduleType,
    ServiceCall,
    ServiceType,
    SinkType,
    StoreType,
)

__all__ = ["GOING", "PROJECT_NAME", "Going", "hookimpl", "hookspec"]

PROJECT_NAME = "alicia_scheduler"


@dataclass(frozen=True)
class Going:
    """What of the hooks will go away, and what is gone: each with a sentence that says what to do
    instead. The policy is in docs/explanation/plugin-api.md.

    Attributes:
        hooks: hooks that still work, by name; a plugin that has one gets a warning.
        arguments: arguments of hooks that are still given, by hook and name, likewise.
        removed: hooks that are no more, by name; a plugin that has one cannot be used.
    """

    hooks: Mapping[str, str] = field(default_factory=dict)
    arguments: Mapping[tuple[str, str], str] = field(default_factory=dict)
    removed: Mapping[str, str] = field(default_factory=dict)


GOING = Going()
"""Nothing so far."""

hookspec: pluggy.HookspecMarker = pluggy.HookspecMarker(PROJECT_NAME)
hookimpl: pluggy.HookimplMarker = pluggy.HookimplMarker(PROJECT_NAME)


@hookspec
def alicia_schedule_types(info: HostInfo) -> Iterable[ScheduleType]:
    """Ways to say when. Added in API 1.0."""
    return ()


@hookspec
def alicia_action_types(info: HostInfo) -> Iterable[ActionType]:
    """Things an event can do. Added in API 1.0."""
    return ()


@hookspec
def alicia_sinks(info: HostInfo) -> Iterable[SinkType]:
    """Places notifications go to. Added in API 1.0."""
    return ()


@hookspec
def alicia_services(info: HostInfo) -> Iterable[ServiceType]:
    """Long-lived parts: connections, servers. Added in API 1.0."""
    return ()


@hookspec
def alicia_service_calls(info: HostInfo) -> Iterable[ServiceCall]:
    """What can be called in this host by name and data. Added in API 1.0."""
    return ()


@hookspec
def alicia_stores(info: HostInfo) -> Iterable[StoreType]:
    """Keepers of events and executions. Added in API 1.0."""
    return ()


@hookspec
def alicia_settings(info: HostInfo) -> Iterable[type]:
    """One class of the plugin's own keys in ``[plugins.<name>]``: what whoever runs the host
    decides for all events. It is a class as for :class:`ScheduleType`, and its instance is
    :attr:`PluginContext.settings`. Added in API 1.0."""
    return ()


@hookspec
def alicia_commands(info: HostInfo) -> Iterable[click.Command]:
    """Verbs for the ``alicia`` command line. They are asked for where nobody but a plugin can be
    meant, and each time anew, so they should be made quickly: what a verb needs, it imports when it
    runs. A name that is Alicia's, or another plugin's before, is left out. Added in API 1.0."""
    return ()
