"""The plugins of a running host: who is in use, who is left alone, and what changes meanwhile."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Awaitable, Callable, Collection
from datetime import datetime
from typing import Any

import msgspec
import trio

from alicia_scheduler.api.errors import ConfigError, StoreError
from alicia_scheduler.api.model import ScheduledEvent
from alicia_scheduler.config.events import DEFAULT_ACTION
from alicia_scheduler.host.actions import OpenActions
from alicia_scheduler.host.discovery import Candidate, find_candidates
from alicia_scheduler.host.faults import Faults
from alicia_scheduler.host.intake import Intake, PluginChanges
from alicia_scheduler.host.loopwatch import Hold, LoopWatch
from alicia_scheduler.host.portrait import portrait
from alicia_scheduler.host.quarantine import STEADY, longer, quarantine_sentence
from alicia_scheduler.host.record import PluginRecord, PluginStatus
from alicia_scheduler.host.registry import Registry, brings
from alicia_scheduler.host.remembered import Quarantine, Remembered
from alicia_scheduler.kernel.kernel import Kernel
from alicia_scheduler.kernel.notifications import Notifier
from alicia_scheduler.kernel.revival import Followed, follow_types

__all__ = ["PluginChanges", "Plugins"]

logger = logging.getLogger(__name__)

GRAVE = 1.0
"""Seconds of holding the loop that endanger the host; shorter ones, as of a large import at first
use, are only taken down."""

TELL_EVERY = 60.0
"""Seconds between two notifications about one plugin that holds the loop."""


class Plugins:
    """What can be asked and told about the plugins of one host.

    Args:
        registry: their records, and what they contribute.
        remembered: what outlives the host.
        configured_off: names that the configuration disables; no command enables these.
        faults: the accounts; too many faults of a plugin quarantine it.
        now: the host's clock (aware UTC).
        notifier: told of every change.
        find: looks for what is installed.
    """

    def __init__(
        self,
        registry: Registry,
        remembered: Remembered,
        faults: Faults,
        notifier: Notifier,
        now: Callable[[], datetime],
        *,
        configured_off: Collection[str] = (),
        find: Callable[[], list[Candidate]] = find_candidates,
    ) -> None:
        self.registry = registry
        self.remembered = remembered
        self.faults = faults
        self.watch = LoopWatch(self._held, self._leaks)
        self._notifier = notifier
        self._now = now
        self._configured_off = configured_off
        self._intake = Intake(registry.plugins, remembered, configured_off, find, now)
        self._kernel: Kernel | None = None
        self._actions: OpenActions | None = None
        self._follow: Callable[[], Awaitable[list[ConfigError]]] | None = None
        self._one_at_a_time = trio.Lock()
        self._condemned: deque[tuple[PluginRecord, str]] = deque()
        self._work = trio.Event()
        self._deadlines: dict[str, float] = {}
        self._told: dict[str, float] = {}
        self._runs = False
        faults.too_many = self._condemn
        self.watch.know(registry.plugins)

    # -- what can be asked ---------------------------------------------------------------

    def listing(self) -> list[dict[str, Any]]:
        """Every installed plugin: the wire form of its record."""
        return [record.to_wire() for record in self.registry.plugins]

    def show(self, name: str) -> dict[str, Any]:
        """One plugin with all that it brings: see :func:`~.portrait.portrait`. Imports it, if
        nothing has needed it so far.

        Raises:
            KeyError: there is no such plugin.
        """
        record = self._record(name)
        self.registry.bring(record)
        return portrait(record)

    # -- what can be told ----------------------------------------------------------------

    async def rescan(self) -> PluginChanges:
        """Look for what was installed, upgraded or uninstalled since. What is new comes alive, with
        the events that waited for it; what is loaded already stays as it is until a restart."""
        async with self._one_at_a_time:
            changes = await self._intake.look()
            return await self._settled(changes, "plugins were looked for")

    async def enable(self, name: str) -> PluginChanges:
        """Use a plugin that was disabled or quarantined; its faults are forgotten.

        Raises:
            KeyError: there is no such plugin.
            ValueError: it cannot be used; the message says why.
        """
        async with self._one_at_a_time:
            record = self._record(name)
            if name in self._configured_off:
                raise ValueError(
                    f"{name} is disabled in the configuration; take that out and reload"
                )
            await trio.to_thread.run_sync(self.remembered.enable, name)
            self._deadlines.pop(name, None)
            self.faults.be_lenient(name)
            if record.status in (PluginStatus.DISABLED, PluginStatus.QUARANTINED):
                await self._bring_back(record)
            elif not record.in_use:
                raise ValueError(f"{name} is {record.status}: {record.reason}")
            return await self._settled(PluginChanges(), f"plugin {name} was enabled")

    async def disable(self, name: str) -> PluginChanges:
        """Leave a plugin alone from now on, after a restart too. What it has under way goes on to
        its end; events that need it wait, with their slots kept.

        Raises:
            KeyError: there is no such plugin.
        """
        async with self._one_at_a_time:
            record = self._record(name)
            await trio.to_thread.run_sync(self.remembered.disable, name)
            if record.in_use or record.status is PluginStatus.QUARANTINED:
                reason = f"it was disabled by command; alicia plugins enable {name}"
                record.stand(PluginStatus.DISABLED, reason)
            return await self._settled(PluginChanges(), f"plugin {name} was disabled")

    # -- its life ------------------------------------------------------------------------

    def attach(
        self,
        kernel: Kernel,
        actions: OpenActions,
        follow: Callable[[], Awaitable[list[ConfigError]]] | None,
    ) -> None:
        """Have changes take effect on these from now on.

        Args:
            follow: makes services and sinks follow what is in use, and returns the mistakes that
                show then.
        """
        self._kernel, self._actions, self._follow = kernel, actions, follow
        now = self._now().timestamp()
        for name, quarantine in self.remembered.quarantined.items():
            left = quarantine.left(now)
            if left > 0:
                self._deadlines[name] = trio.current_time() + left
            else:
                self._begin_probation(name, quarantine)
        self._notifier.listen(self._listen)

    async def run(self) -> None:
        """Quarantine who is to be, release whose time is up, and take note that the start was good
        once the schedule has run for a while. Runs until cancelled."""
        self._runs = True
        steady = trio.current_time() + STEADY
        await self._greet_new_types()
        while True:
            self._work = trio.Event()
            while self._condemned:
                await self._quarantine(*self._condemned.popleft())
            now = trio.current_time()
            for name in [name for name, at in self._deadlines.items() if at <= now]:
                await self._time_is_up(name)
            if now >= steady:
                steady = math.inf
                await trio.to_thread.run_sync(self.remembered.start_is_good)
            with trio.move_on_at(min([steady, *self._deadlines.values()])):
                await self._work.wait()

    async def _greet_new_types(self) -> None:
        """Events that only the store has wait for types which came while no host ran."""
        types = {
            f"{kind} {name}"
            for record in self.registry.plugins
            if record.in_use
            for kind, names in record.offered().items()
            for name in names
        }
        async with self._one_at_a_time:
            if self._kernel is not None and types - self.remembered.types:
                try:
                    await follow_types(self._kernel, lambda _event: False)
                except StoreError as error:
                    self._kernel.records.failed("read from", error)
                    return
            await trio.to_thread.run_sync(self.remembered.know_types, types)

    # -- faults --------------------------------------------------------------------------

    def _condemn(self, record: PluginRecord, sentence: str) -> None:
        self._condemned.append((record, sentence))
        self._work.set()

    async def _quarantine(self, record: PluginRecord, sentence: str) -> None:
        async with self._one_at_a_time:
            if not record.in_use:
                return
            now = self._now()
            quarantine = longer(self.remembered.quarantined.get(record.name), sentence, now)
            await trio.to_thread.run_sync(self.remembered.quarantine, record.name, quarantine)
            self._deadlines[record.name] = trio.current_time() + quarantine.seconds
            reason = f"{quarantine_sentence(quarantine, now)} {record.name}"
            record.stand(PluginStatus.QUARANTINED, reason)
            message = f"plugin {record.name} is quarantined: {record.reason}"
            logger.error("%s", message)
            self._notifier.emit(
                "error",
                {
                    "message": message,
                    "event_id": None,
                    "class": "plugin_quarantined",
                    "plugin": record.name,
                    "seconds": quarantine.seconds,
                },
            )
            await self._settled(PluginChanges(), f"plugin {record.name} was quarantined")

    async def _time_is_up(self, name: str) -> None:
        """A quarantine is over, or the probation that follows it."""
        async with self._one_at_a_time:
            self._deadlines.pop(name, None)
            quarantine = self.remembered.quarantined.get(name)
            if quarantine is None:
                return
            if quarantine.released is not None:
                self.faults.be_lenient(name)
                await trio.to_thread.run_sync(self.remembered.quarantine, name, None)
                return
            released = msgspec.structs.replace(quarantine, released=self._now().timestamp())
            await trio.to_thread.run_sync(self.remembered.quarantine, name, released)
            self._begin_probation(name, released)
            for record in self.registry.plugins:
                if record.name == name and record.status is PluginStatus.QUARANTINED:
                    await self._bring_back(record)
            logger.warning("plugin %s is tried again, on probation", name)
            await self._settled(PluginChanges(), f"plugin {name} is tried again")

    def _begin_probation(self, name: str, quarantine: Quarantine) -> None:
        self.faults.be_strict(name)
        self._deadlines[name] = trio.current_time() + max(quarantine.seconds, STEADY)

    def _held(self, hold: Hold) -> None:
        if hold.plugin is None:
            logger.debug("%s", hold)
            return
        plugin, now = hold.plugin, trio.current_time()
        plugin.held += 1
        plugin.longest_hold = max(plugin.longest_hold, hold.seconds)
        if hold.seconds < GRAVE:
            self.faults.error(plugin, "loop_held", str(hold))
            logger.info("%s", hold)
            return
        self.faults.fault(plugin, "loop_held", str(hold))
        if now - self._told.get(plugin.name, -math.inf) < TELL_EVERY:
            return
        logger.warning("%s", hold)
        if not self._runs:
            return  # no sink listens yet
        self._told[plugin.name] = now
        self._notifier.emit(
            "error",
            {
                "message": f"{hold}; blocking calls belong into context.run_sync",
                "event_id": None,
                "class": "loop_held",
                "plugin": plugin.name,
                "seconds": round(hold.seconds, 3),
                "place": hold.place,
            },
        )

    def _leaks(self, plugin: PluginRecord, sentence: str) -> None:
        logger.warning("plugin %s: %s", plugin.name, sentence)
        self.faults.fault(plugin, "leak", sentence)

    def _listen(self, notification: Any) -> None:
        """An attempt that ignores its cancellation is told by the kernel; blame its plugin."""
        data = notification.event_data
        if notification.event_type != "error" or data.get("class") != "stuck":
            return
        entry = self._kernel.catalog.get(data.get("event_id")) if self._kernel else None
        action_type = entry.event.action.get("type", DEFAULT_ACTION) if entry else ""
        offer = self.registry.action_types.find(action_type)
        if offer is not None:
            self.faults.fault(offer.plugin, "stuck", data["message"])

    # -- changes -------------------------------------------------------------------------

    def _record(self, name: str) -> PluginRecord:
        """The plugin of this name; of several, the one that is in use."""
        found = [record for record in self.registry.plugins if record.name == name]
        if not found:
            raise KeyError(name)
        return next((record for record in found if record.in_use), found[0])

    async def _bring_back(self, record: PluginRecord) -> None:
        """Make a plugin active again; one that was never imported is loaded now."""
        if record.loaded or record.outline is not None:
            record.stand(PluginStatus.ACTIVE, None)
        else:
            await self._intake.load_anew(record)

    async def _settled(self, changes: PluginChanges, what: str) -> PluginChanges:
        """Let what is in use now take effect everywhere, and tell."""
        self.registry.refresh()
        self.watch.know(self.registry.plugins)
        for record in self.registry.plugins:
            if not record.in_use and self._actions is not None:
                self._actions.close(record)
        issues: list[ConfigError] = []
        followed = Followed()
        if self._follow is not None:
            issues = await self._follow()
        if self._kernel is not None:
            try:
                followed = await follow_types(self._kernel, self._concerns)
            except StoreError as error:
                # What is in hand has followed; the rest does so at the next start.
                self._kernel.records.failed("read from", error)
        changes = msgspec.structs.replace(
            changes,
            revived=sorted(followed.revived),
            unresolved=sorted(followed.unresolved),
            issues=[str(issue) for issue in issues],
        )
        logger.info("%s; %s", what, changes.summary())
        self._notifier.emit(
            "plugins_changed",
            {"message": f"{what}; {changes.summary()}", **msgspec.to_builtins(changes)},
        )
        return changes

    def _concerns(self, event: ScheduledEvent) -> bool:
        """Whether a type that an event names is no more. An action's own reference to a service
        call counts as well."""
        action = event.action
        missing = (
            self.registry.schedule_types.find(event.schedule_type) is None
            or self.registry.action_types.find(action.get("type", DEFAULT_ACTION)) is None
        )
        return missing or any(
            brings(record, "service call", str(action.get("service", "")))
            for record in self.registry.plugins
            if not record.in_use
        )
