"""The host: store, services, sinks, actions and kernel, opened in order and closed in reverse."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import trio

from alicia_scheduler.api.control import Commands
from alicia_scheduler.api.model import ScheduledEvent
from alicia_scheduler.api.store import Store
from alicia_scheduler.config.load import Configuration
from alicia_scheduler.config.settings import HistorySettings, Settings
from alicia_scheduler.host.actions import OpenActions
from alicia_scheduler.host.audit import AuditLog
from alicia_scheduler.host.calls import ServiceCalls
from alicia_scheduler.host.check import Checked, disabled_plugins
from alicia_scheduler.host.context import Surroundings
from alicia_scheduler.host.errands import Errands
from alicia_scheduler.host.faults import Faults
from alicia_scheduler.host.finishing import Finishing
from alicia_scheduler.host.history import HistoryKeeper
from alicia_scheduler.host.kernelsettings import kernel_settings
from alicia_scheduler.host.plugins import Plugins
from alicia_scheduler.host.registry import Registry
from alicia_scheduler.host.reload import Reloading, ReloadPlan, Running
from alicia_scheduler.host.remembered import Remembered
from alicia_scheduler.host.resolver import Resolver
from alicia_scheduler.host.services import services_running
from alicia_scheduler.host.sinks import sinks_running
from alicia_scheduler.host.zonedata import follow_zone_data
from alicia_scheduler.kernel.batching import BatchingStore, must_be_written
from alicia_scheduler.kernel.clock import Clock, SystemClock
from alicia_scheduler.kernel.definitions import Difference, sync_origin
from alicia_scheduler.kernel.kernel import Kernel
from alicia_scheduler.kernel.loop import run_kernel
from alicia_scheduler.kernel.notifications import Notifier, Told
from alicia_scheduler.kernel.records import Records
from alicia_scheduler.kernel.recovery import take_over
from alicia_scheduler.store.lock import StateLock
from alicia_scheduler.store.memory import MemoryStore
from alicia_scheduler.store.schema import STORE_FILE
from alicia_scheduler.store.sqlite import SqliteStore

__all__ = ["Host"]

logger = logging.getLogger(__name__)


class Host:
    """One running scheduler.

    Args:
        settings: the ``[scheduler]`` table.
        checked: the rest of the configuration, without issues.
        registry: the installed plugins' types.
        state_dir: where the store lives; None keeps everything in memory.
        clock: the source of time.
        history: how much of the past is kept.
        configuration: what all this came from, when it came from a file; :meth:`reload` reads it
            anew.
        remembered: what was known about plugins before this start.

    Attributes:
        plugins: how they stand, and what they can be told.
        kernel: None until it is there.
        commands: who answers the commands of plugins that are doors; None when nobody does.
        audit: takes notes of commands.
        errands: does what changes the parts of the host.
    """

    def __init__(
        self,
        settings: Settings,
        checked: Checked,
        registry: Registry,
        *,
        state_dir: Path | None,
        clock: Clock | None = None,
        history: HistorySettings | None = None,
        configuration: Configuration | None = None,
        remembered: Remembered | None = None,
    ) -> None:
        self.clock = clock or SystemClock()
        self.notifier = Notifier(self.clock, redact=checked.secrets.redactor.data)
        self.started = trio.Event()
        self.kernel: Kernel | None = None
        self.commands: Commands | None = None
        self.plugins = Plugins(
            registry,
            remembered or Remembered(state_dir),
            Faults(self.clock.now, self.clock.elapsed),
            self.notifier,
            self.clock.now,
            configured_off=disabled_plugins(configuration) if configuration is not None else (),
        )
        self.errands = Errands()
        self.audit = AuditLog(state_dir, self.clock, self.notifier.redact)
        self._settings = settings
        self._checked = checked
        self._registry = registry
        self._state_dir = state_dir
        self._surroundings: Surroundings | None = None
        self._history = history or HistorySettings()
        self._configuration = configuration
        self._reloading: Reloading | None = None
        self._stop_wanted = False
        self._parts: set[str] = set()

    @property
    def settings(self) -> Settings:
        """The ``[scheduler]`` table in force."""
        if self._reloading is not None:
            return self._reloading.configuration.settings
        return self._settings

    @property
    def checked(self) -> Checked:
        """What the configuration in force offers to events: calendars, limits, secrets."""
        if self._reloading is None:
            return self._checked
        configuration = self._reloading.configuration
        return Checked(
            events=list(self._reloading.events),
            calendars=configuration.calendars,
            limits=configuration.limits,
            secrets=self._checked.secrets,
        )

    @property
    def registry(self) -> Registry:
        """The types of the installed plugins."""
        return self._registry

    @property
    def state_dir(self) -> Path | None:
        """Where the store lives, or None when nothing is kept."""
        return self._state_dir

    def service_problems(self) -> dict[str, str]:
        """Why services that should run do not, by the name of their contract."""
        return self._surroundings.services.problems() if self._surroundings is not None else {}

    async def run(self) -> None:
        """Run until :meth:`stop`. ``started`` is set once the schedule runs.

        Raises:
            StoreError: the state directory cannot be used, e.g. another host has it.
        """
        if self._state_dir is None:
            with self.plugins.watch.watching():
                await self._run_with(None)
            return
        with StateLock(self._state_dir, self.clock.now()), self.plugins.watch.watching():
            async with self.audit.running():
                await self._run_with(self._state_dir / STORE_FILE)

    def stop(self) -> None:
        """Start nothing new, let running executions end, close everything; :meth:`run` returns."""
        self._stop_wanted = True
        if self.kernel is not None:
            self.kernel.stop()

    def hurry(self) -> None:
        """Stop, and cancel what still runs without waiting for it."""
        self.stop()
        if self.kernel is not None:
            self.kernel.hurry()

    @property
    def drain_timeout(self) -> float:
        """Seconds that running executions get to end when the host stops."""
        return (self.kernel.settings if self.kernel else self._settings).drain_timeout

    async def reload(self, *, dry_run: bool = False) -> ReloadPlan:
        """Read the configuration file again and make it the one in force: see
        :meth:`Reloading.reload`.

        Args:
            dry_run: only say what would change.

        Raises:
            ReloadRefused: it has mistakes; nothing was changed.
            ValueError: this host did not come from a file, or its schedule does not run.
        """
        if self._reloading is None or not self.started.is_set():
            raise ValueError("there is no configuration file that this host could reload")
        return await self.errands.run(partial(self._reloading.reload, dry_run=dry_run))

    def still_open(self) -> list[str]:
        """What keeps a stop from coming to its end, for people."""
        executions = self.kernel.runner.still_open() if self.kernel is not None else []
        return [*executions, *sorted(self._parts)]

    async def _run_with(self, store_file: Path | None) -> None:
        settings, checked = self._settings, self._checked
        surroundings = Surroundings(
            settings.instance,
            self.clock,
            self.notifier,
            secrets=checked.secrets,
            state_dir=self._state_dir,
            parts=self._parts,
            faults=self.plugins.faults,
        )
        self._surroundings = surroundings
        actions = OpenActions(surroundings, self.plugins.watch.returned)
        journal = any(sink.options.durable for sink in checked.sinks)
        async with (
            SqliteStore.open(store_file) if store_file else MemoryStore.open() as opened,
            _profiled(opened, settings) as store,
            Records.running(store, self.notifier, self.clock, journal=journal) as records,
            surroundings.asyncio.running(),
            services_running(checked.services, surroundings) as services,
            sinks_running(checked.sinks, surroundings, records) as sinks,
            actions.running(),
        ):
            resolver = Resolver(
                self._registry,
                settings,
                checked.calendars,
                actions,
                limits=checked.limits,
                finishing=Finishing(checked.secrets, store, self.clock.now),
            )
            self.kernel = Kernel(
                records,
                resolver,
                self.clock,
                kernel_settings(settings, checked.limits),
            )
            if isinstance(store, BatchingStore):
                store.forced = partial(must_be_written, self.kernel.catalog)
            surroundings.calls = ServiceCalls(self._registry, surroundings, lambda: self.commands)
            records.begun_anew = self._bring_back
            for incident in store.incidents:
                self.notifier.error(incident, kind="store")
            history = HistoryKeeper(store, self.clock, self._history)
            if self._configuration is not None:
                running = Running(
                    registry=self._registry,
                    kernel=self.kernel,
                    resolver=resolver,
                    secrets=checked.secrets,
                    services=services,
                    sinks=sinks,
                    history=history,
                )
                self._reloading = Reloading(self._configuration, checked, running)
            follow = self._reloading.follow_plugins if self._reloading is not None else None
            self.plugins.attach(self.kernel, actions, follow)
            if not self._stop_wanted:
                await self._run_kernel(self.kernel, surroundings, history)

    async def _bring_back(self) -> None:
        """The store is another one: what the configuration defines is there at once, and what
        only this store knows comes alive."""
        if self.kernel is not None:
            await sync_origin(self.kernel, "file", self._events())
            await take_over(self.kernel)

    def _events(self) -> Sequence[ScheduledEvent]:
        """Those of the configuration in force."""
        return self._reloading.events if self._reloading is not None else self._checked.events

    async def _run_kernel(
        self, kernel: Kernel, surroundings: Surroundings, history: HistoryKeeper
    ) -> None:
        sync = partial(sync_origin, kernel, "file", self._checked.events)
        difference = await kernel.records.insist(sync) or Difference()
        changes = ", ".join(f"{len(ids)} {what}" for what, ids in vars(difference).items() if ids)
        self.notifier.listen(history.listen)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_kernel, kernel)
            await kernel.ready.wait()
            self.notifier.emit(
                "host_started", {"message": f"schedule runs; events: {changes or 'none'}"}
            )
            async with self.errands.running():
                self.started.set()
                surroundings.commands = self.commands
                nursery.start_soon(follow_zone_data, kernel)
                nursery.start_soon(self.plugins.run)
                nursery.start_soon(history.run)
                await kernel.stopped.wait()
                surroundings.commands = None
            nursery.cancel_scope.cancel()
        stopped = Told("host_stopped", {"message": "schedule stopped"})
        await kernel.records.keep([], [stopped])


@asynccontextmanager
async def _profiled(store: Store, settings: Settings) -> AsyncIterator[Store]:
    """The store as the profile ``durability`` has it."""
    if settings.durability == "full":
        yield store
        return
    async with BatchingStore.running(store, settings.loss_window) as batching:
        yield batching
