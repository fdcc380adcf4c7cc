"""Another configuration for a running host: read, checked, compared, and applied as a whole or not
at all.

What runs is not touched. What cannot change while the host runs is named, and waits for its next
start; everything else is as if the host had been started with the new file, except that unchanged
events keep their next slot and all history.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from dataclasses import fields as fields_of
from datetime import datetime
from typing import Any, TypeVar

import msgspec
import trio

from alicia_scheduler.api.errors import AliciaError, ConfigError
from alicia_scheduler.config.load import Configuration, load
from alicia_scheduler.host.check import Checked, check_configuration
from alicia_scheduler.host.history import HistoryKeeper
from alicia_scheduler.host.kernelsettings import kernel_settings
from alicia_scheduler.host.registry import Registry
from alicia_scheduler.host.resolver import Resolver
from alicia_scheduler.host.secrets.vault import Secrets
from alicia_scheduler.host.services import ConfiguredService, SupervisedServices
from alicia_scheduler.host.sinks import ConfiguredSink, RunningSinks
from alicia_scheduler.kernel.definitions import Difference, compare_origin, sync_origin
from alicia_scheduler.kernel.kernel import Kernel
from alicia_scheduler.kernel.replan import replan_calendars

__all__ = ["ReloadPlan", "ReloadRefused", "Reloading"]

logger = logging.getLogger(__name__)

P = TypeVar("P", ConfiguredService, ConfiguredSink)
Services = dict[str, ConfiguredService]
Sinks = dict[str, ConfiguredSink]
Tables = Mapping[str, Any]

AT_START = ("state_dir", "instance", "safe_mode", "durability", "loss_window")
"""Keys of ``[scheduler]`` that a host keeps for as long as it runs."""

PLACE_AND_ZONE = ("timezone", "latitude", "longitude")
"""Keys of ``[scheduler]`` that slots are found from."""


class Edited(msgspec.Struct, frozen=True):
    """An event that a reload edits.

    Attributes:
        event_id: its id.
        fields: the names of the fields that differ.
    """

    event_id: str
    fields: list[str]


class ReloadPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a reload does, or would do.

    Attributes:
        applied: False for a dry run.
        created: ids of the events that are new.
        updated: the events that are edited.
        removed: ids of the events that are removed; what is under way of them is cancelled.
        unchanged: how many events stay as they are.
        settings: what else changes, one sentence each.
        at_next_start: what changes with the next start of the host only, one sentence each.
        unresolved: sentences about types that are not installed; the rest goes on without them.
    """

    applied: bool
    created: list[str]
    updated: list[Edited]
    removed: list[str]
    unchanged: int
    settings: list[str]
    at_next_start: list[str]
    unresolved: list[str]

    def summary(self) -> str:
        """One line for people."""
        parts = {
            "created": len(self.created),
            "updated": len(self.updated),
            "removed": len(self.removed),
            "unchanged": self.unchanged,
        }
        events = ", ".join(f"{count} {what}" for what, count in parts.items() if count)
        lines = [f"events: {events or 'none'}", *self.settings]
        return "; ".join(lines + [f"at the next start: {item}" for item in self.at_next_start])


class ReloadRefused(AliciaError):
    """A configuration has mistakes; nothing of it was applied.

    Attributes:
        issues: every mistake, with file and line.
    """

    def __init__(self, issues: list[ConfigError]) -> None:
        count = "1 mistake" if len(issues) == 1 else f"{len(issues)} mistakes"
        super().__init__("; ".join([f"{count}, nothing was changed", *map(str, issues)]))
        self.issues = issues


@dataclass(frozen=True, kw_only=True)
class Running:
    """The parts of a running host that a reload changes."""

    registry: Registry
    kernel: Kernel
    resolver: Resolver
    secrets: Secrets
    services: SupervisedServices
    sinks: RunningSinks
    history: HistoryKeeper


class Reloading:
    """Reloads the configuration of one host.

    Args:
        configuration: the one that the host was started with.
        checked: what came of it.

    Attributes:
        configuration: the one that is in force.
        events: those of the configuration that is in force.
    """

    def __init__(self, configuration: Configuration, checked: Checked, running: Running) -> None:
        self.configuration = configuration
        self.events = checked.events
        self._running = running
        self._services = _by_name(checked.services)
        self._sinks = _by_name(checked.sinks)
        self._started = configuration
        self._sink_tables: Tables = configuration.sinks
        self._one_at_a_time = trio.Lock()

    async def reload(self, *, dry_run: bool = False) -> ReloadPlan:
        """Read the configuration again and make it the one in force.

        Args:
            dry_run: only say what would change.

        Raises:
            ReloadRefused: it has mistakes; nothing was changed.
        """
        async with self._one_at_a_time:
            new, checked = await trio.to_thread.run_sync(
                self._looked_at, self._running.kernel.clock.now()
            )
            difference, fields = await compare_origin(self._running.kernel, "file", checked.events)
            plan = self._plan(new, checked, difference, fields, applied=not dry_run)
            if not dry_run:
                # From here to its end it is not given up half-way.
                with trio.CancelScope(shield=True):
                    await self._apply(new, checked, plan)
            return plan

    async def follow_plugins(self) -> list[ConfigError]:
        """What plugins are in use has changed: hold the configuration in force against them, close
        the parts of those that are gone and start what can run now.

        Returns:
            the mistakes that only show now; what has one does not run.
        """
        async with self._one_at_a_time:
            now = self._running.kernel.clock.now()
            checked = await trio.to_thread.run_sync(
                lambda: check_configuration(
                    self.configuration,
                    self._running.registry,
                    now=now,
                    running=self._running.secrets,
                )
            )
            with trio.CancelScope(shield=True):
                services, sinks = _by_name(checked.services), _by_name(checked.sinks)
                gone = [self._sinks.pop(n) for n in list(self._sinks) if n not in sinks]
                come = [
                    self._sinks.setdefault(name, sink)
                    for name, sink in sinks.items()
                    if name not in self._sinks and self._running.sinks.takes(sink)
                ]
                left = [self._services.pop(n) for n in list(self._services) if n not in services]
                new = {name: each for name, each in services.items() if name not in self._services}
                await self._running.sinks.replace(gone, ())
                await self._running.services.stop(left)
                await self._running.services.start(new.values())
                self._services |= new
                await self._running.sinks.replace((), come)
            return checked.issues

    def _looked_at(self, now: datetime) -> tuple[Configuration, Checked]:
        try:
            new = load(self.configuration.file)
        except ConfigError as error:
            raise ReloadRefused([error]) from error
        checked = check_configuration(
            new, self._running.registry, now=now, running=self._running.secrets
        )
        if checked.issues:
            raise ReloadRefused(checked.issues)
        return new, checked

    def _plan(
        self,
        new: Configuration,
        checked: Checked,
        difference: Difference,
        fields: Mapping[str, list[str]],
        *,
        applied: bool,
    ) -> ReloadPlan:
        old = self.configuration
        settings = [
            f"scheduler.{name}: {getattr(old.settings, name)} → {getattr(new.settings, name)}"
            for name in _differing(old.settings, new.settings)
            if name not in AT_START
        ]
        settings += [
            f"history.{name}: {getattr(old.history, name)} → {getattr(new.history, name)}"
            for name in _differing(old.history, new.history)
        ]
        for table in ("limits", "calendars", "secrets"):
            settings += _changes(table, getattr(old, table), getattr(new, table))
        started = self._started
        at_start = _differing(started.settings, new.settings, AT_START)
        later = [f"scheduler.{name}" for name in at_start]
        later += [
            f"control.{field.name}"
            for field in fields_of(new.control)
            if getattr(started.control, field.name) != getattr(new.control, field.name)
        ]
        later += _changes("plugins", started.plugins, new.plugins)
        if started.disabled != new.disabled:
            later.append("plugins.disabled")
        sinks = _changes("sinks", self._sink_tables, new.sinks)
        if _durable(self._sinks) != _durable(_by_name(checked.sinks)):
            later += sinks
        else:
            settings += sinks
        settings += _changes("services", old.services, new.services)
        return ReloadPlan(
            applied=applied,
            created=sorted(difference.created),
            updated=[Edited(event_id, fields[event_id]) for event_id in sorted(difference.updated)],
            removed=sorted(difference.removed),
            unchanged=len(difference.unchanged),
            settings=settings,
            at_next_start=later,
            unresolved=checked.unresolved,
        )

    async def _apply(self, new: Configuration, checked: Checked, plan: ReloadPlan) -> None:
        old = self.configuration
        new = self._in_force(new)
        # All that events are prepared with changes in one step, before any event does.
        self._running.secrets.redeclare(checked.secrets)
        self._running.resolver.reconfigure(new.settings, checked.calendars, checked.limits)
        self._running.kernel.reconfigure(kernel_settings(new.settings, checked.limits))
        self._running.history.settings = new.history
        if new.settings.log_level != old.settings.log_level:
            logging.getLogger().setLevel(new.settings.log_level.upper())
        self.configuration = new
        self.events = checked.events
        await self._change_services(old.services, new.services, _by_name(checked.services))
        await self._change_sinks(new.sinks, _by_name(checked.sinks))
        await sync_origin(self._running.kernel, "file", checked.events)
        slots_move = _differing(old.settings, new.settings, PLACE_AND_ZONE)
        if slots_move or old.calendars != new.calendars or old.limits != new.limits:
            await replan_calendars(self._running.kernel, "the configuration was reloaded")
        self._running.kernel.notifier.emit(
            "configuration_reloaded", {"message": plan.summary(), **msgspec.to_builtins(plan)}
        )
        logger.info("configuration reloaded: %s", plan.summary())

    def _in_force(self, new: Configuration) -> Configuration:
        """What of a configuration holds while the host runs."""
        kept = {name: getattr(self._started.settings, name) for name in AT_START}
        return replace(new, settings=msgspec.structs.replace(new.settings, **kept))

    async def _change_sinks(self, tables: Tables, wanted: Sinks) -> None:
        """Close the sinks that are gone or differ, feed those that are new or differ."""
        if _durable(self._sinks) != _durable(wanted):
            return  # the plan says that this waits
        moved = [n for n in self._sinks | wanted if _moved(n, self._sink_tables, tables)]
        gone = [self._sinks.pop(name) for name in moved if name in self._sinks]
        come = {name: wanted[name] for name in moved if name in wanted}
        await self._running.sinks.replace(gone, come.values())
        self._sinks |= come
        self._sink_tables = tables

    async def _change_services(self, old: Tables, new: Tables, wanted: Services) -> None:
        """Close the services that are gone or differ, start those that are new or differ."""
        running = self._services
        stay = {name for name in running.keys() & wanted if not _moved(name, old, new)}
        gone = [running.pop(name) for name in list(running) if name not in stay]
        come = {name: service for name, service in wanted.items() if name not in stay}
        await self._running.services.stop(gone)
        await self._running.services.start(come.values())
        running |= come


def _by_name(parts: Iterable[P]) -> dict[str, P]:
    return {part.offer.type.name: part for part in parts}


def _durable(sinks: Sinks) -> set[str]:
    """The names of the durable sinks. Their journal is opened once, at start."""
    return {name for name, sink in sinks.items() if sink.options.durable}


def _differing(old: Any, new: Any, names: tuple[str, ...] | None = None) -> list[str]:
    return [
        name
        for name in (names or old.__struct_fields__)
        if getattr(old, name) != getattr(new, name)
    ]


def _moved(name: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether a table is new, gone or another one. A service that nobody configured is in
    neither."""
    missing = object()
    before, after = old.get(name, missing), new.get(name, missing)
    return before != after if missing not in (before, after) else before is not after


def _changes(table: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    names = sorted(old.keys() | new.keys())
    word = {(False, True): "added", (True, False): "removed", (True, True): "changed"}
    return [
        f"{table}.{name}: {word[name in old, name in new]}"
        for name in names
        if _moved(name, old, new)
    ]
