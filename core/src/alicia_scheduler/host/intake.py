"""Taking in what is installed now: new plugins are loaded, others asked for a restart."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from datetime import datetime
from functools import partial

import msgspec
import trio

from alicia_scheduler.host.discovery import Candidate
from alicia_scheduler.host.loader import LeftOut, find_conflicts, load_plugin
from alicia_scheduler.host.record import PluginRecord, PluginStatus
from alicia_scheduler.host.remembered import Remembered

__all__ = ["Intake", "PluginChanges"]


class PluginChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What a rescan, or a command about a plugin, changed.

    Attributes:
        added: plugins that are new here, active or not; their records say.
        restart_needed: plugins that were upgraded or uninstalled. What is loaded goes on until the
            host is restarted.
        removed: plugins that are gone and were not loaded.
        revived: ids of the events that came alive.
        unresolved: ids of the events that lack a type now.
        issues: mistakes in the configuration that only show now; what has one does not run.
    """

    added: list[str] = []
    restart_needed: list[str] = []
    removed: list[str] = []
    revived: list[str] = []
    unresolved: list[str] = []
    issues: list[str] = []

    def summary(self) -> str:
        """One line for people."""
        parts = [
            f"{field.replace('_', ' ')}: {', '.join(names)}"
            for field, names in msgspec.structs.asdict(self).items()
            if names
        ]
        return "; ".join(parts) or "nothing has changed"


class Intake:
    """Compares what is installed with what a host knows, and loads what it does not.

    Args:
        plugins: the records of the host, which change.
        remembered: who was disabled by command.
        configured_off: names that the configuration disables.
        find: looks for what is installed.
        now: dates what goes wrong.
    """

    def __init__(
        self,
        plugins: list[PluginRecord],
        remembered: Remembered,
        configured_off: Collection[str],
        find: Callable[[], list[Candidate]],
        now: Callable[[], datetime],
    ) -> None:
        self._plugins = plugins
        self._remembered = remembered
        self._configured_off = configured_off
        self._find = find
        self._now = now

    async def load(
        self, candidate: Candidate, conflicts: dict[tuple[str, str], str]
    ) -> PluginRecord:
        """Load a plugin beside the loop, unless it is disabled."""
        name = candidate.name
        out = None
        if name in self._configured_off:
            out = LeftOut(PluginStatus.DISABLED, "it is disabled in the configuration")
        elif name in self._remembered.disabled:
            reason = f"it was disabled by command; alicia plugins enable {name}"
            out = LeftOut(PluginStatus.DISABLED, reason)
        now = self._now()
        load = partial(
            load_plugin,
            candidate,
            left_out=out,
            conflict=conflicts.get((name, candidate.distribution)),
            now=lambda: now,
        )
        # Imports block, so they run beside the loop.
        return await trio.to_thread.run_sync(load)

    async def look(self) -> PluginChanges:
        """Look at what is installed, and take it in."""
        candidates = await trio.to_thread.run_sync(self._find)
        changes = PluginChanges()
        self._take_leave(candidates, changes)
        conflicts = find_conflicts(candidates)
        known = {(record.name, record.distribution): record for record in self._plugins}
        for candidate in candidates:
            before = known.get((candidate.name, candidate.distribution))
            if before is None:
                self._refuse_a_taken_name(candidate, conflicts)
                self._plugins.append(await self.load(candidate, conflicts))
                changes.added.append(candidate.name)
            elif _changed(candidate, before, conflicts):
                await self._replace(before, candidate, conflicts, changes)
            elif before.status is PluginStatus.RESTART_NEEDED and before.loaded:
                before.stand(PluginStatus.ACTIVE, None)  # it is again what is loaded
        self._plugins.sort(key=lambda record: (record.name, record.distribution))
        return changes

    async def load_anew(self, record: PluginRecord) -> None:
        """Put a plugin that was left out in use; what is known of it is kept."""
        candidates = await trio.to_thread.run_sync(self._find)
        for candidate in candidates:
            if (candidate.name, candidate.distribution) == (record.name, record.distribution):
                fresh = await self.load(candidate, find_conflicts(candidates))
                fresh.errors += record.errors
                fresh.faults = record.faults
                fresh.first_error = record.first_error or fresh.first_error
                fresh.last_error = fresh.last_error or record.last_error
                self._plugins[self._plugins.index(record)] = fresh
                return
        record.stand(PluginStatus.BROKEN, f"{record.distribution} is not installed any more")

    def _take_leave(self, candidates: list[Candidate], changes: PluginChanges) -> None:
        installed = {(each.name, each.distribution) for each in candidates}
        for record in list(self._plugins):
            if (record.name, record.distribution) in installed:
                continue
            if record.loaded:
                changes.restart_needed.append(record.name)
                gone = f"{record.distribution} was uninstalled"
                _needs_restart(record, f"{gone}; what is loaded ends with a restart")
            else:
                changes.removed.append(record.name)
                self._plugins.remove(record)

    async def _replace(
        self,
        before: PluginRecord,
        candidate: Candidate,
        conflicts: dict[tuple[str, str], str],
        changes: PluginChanges,
    ) -> None:
        """Another version is installed: what was imported cannot be loaded anew."""
        if before.loaded or _imported(before):
            changes.restart_needed.append(before.name)
            _needs_restart(before, _upgraded(before, candidate))
            return
        self._refuse_a_taken_name(candidate, conflicts)
        self._plugins[self._plugins.index(before)] = await self.load(candidate, conflicts)
        changes.added.append(candidate.name)

    def _refuse_a_taken_name(
        self, candidate: Candidate, conflicts: dict[tuple[str, str], str]
    ) -> None:
        for record in self._plugins:
            if record.name == candidate.name and record.loaded:
                # The other one was first; after a restart neither is.
                conflicts[candidate.name, candidate.distribution] = (
                    f"{record.distribution} has the name {candidate.name!r} already: uninstall one"
                )


def _needs_restart(record: PluginRecord, reason: str) -> None:
    """A plugin that is disabled or quarantined stays so; its reason waits for the restart."""
    if record.in_use or record.status is PluginStatus.BROKEN:
        record.stand(PluginStatus.RESTART_NEEDED, reason)


def _changed(
    candidate: Candidate, record: PluginRecord, conflicts: dict[tuple[str, str], str]
) -> bool:
    if record.status is PluginStatus.CONFLICT:
        return (record.name, record.distribution) not in conflicts
    return (candidate.version, candidate.fingerprint) != (record.version, record.fingerprint)


def _upgraded(record: PluginRecord, candidate: Candidate) -> str:
    if candidate.version != record.version:
        return f"{candidate.version} is installed, {record.version} is loaded: restart the host"
    return f"{record.version} was installed anew over what is loaded: restart the host"


def _imported(record: PluginRecord) -> bool:
    package = record.package or ""
    return any(name == package or name.startswith(f"{package}.") for name in sys.modules)
