"""The types that loaded plugins contribute, by name; and what the kernel asks of them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from alicia_scheduler.api.contracts import Schedule, ScheduleContext
from alicia_scheduler.api.descriptors import (
    ActionType,
    ScheduleType,
    ServiceCall,
    ServiceType,
    SinkType,
    StoreType,
)
from alicia_scheduler.api.errors import ConfigError
from alicia_scheduler.config.convert import convert
from alicia_scheduler.config.events import DEFAULT_ACTION
from alicia_scheduler.host.known import KNOWN, missing_type
from alicia_scheduler.host.record import PluginRecord, contract_name
from alicia_scheduler.host.schedulercalls import SCHEDULER, SCHEDULER_CALLS
from alicia_scheduler.kernel.prepared import Unresolved

__all__ = ["Family", "Offer", "Registry", "action_of", "build_schedule", "check_action"]

logger = logging.getLogger(__name__)

T = TypeVar("T", ScheduleType, ActionType, SinkType, ServiceType, ServiceCall, StoreType)


@dataclass(frozen=True)
class Offer(Generic[T]):
    """A type and the plugin it comes from."""

    type: T
    plugin: PluginRecord


class Family(Generic[T]):
    """All types of one kind, by name.

    A type whose plugin waits to be imported is there as any other: whoever finds it waits for the
    import.

    Args:
        plugins: every installed plugin, in use or not; one that is not may be why a type is
            missing.
        bring: imports a plugin that waits; blocking. What it offers is in the family then.
    """

    def __init__(
        self,
        kind: str,
        plugins: Sequence[PluginRecord] = (),
        bring: Callable[[PluginRecord], None] = lambda _plugin: None,
    ) -> None:
        self.kind = kind
        self._plugins = plugins
        self._bring = bring
        self._offers: Mapping[str, Offer[T]] = {}
        self._waiting: Mapping[str, PluginRecord] = {}

    def refresh(self, offers: Mapping[str, Offer[T]], waiting: Mapping[str, PluginRecord]) -> None:
        """Hold these from now on."""
        # Whoever looks from another thread finds the one or the other, never neither.
        self._offers, self._waiting = offers, waiting

    def add(self, plugin: PluginRecord, types: Sequence[T]) -> None:
        """Hold these too, until the next :meth:`refresh`: for who puts a registry together."""
        added = {item.name: Offer(item, plugin) for item in types}
        self._offers = {**self._offers, **added}

    def __iter__(self) -> Iterator[Offer[T]]:
        """The types of the plugins that are imported."""
        return iter(self._offers.values())

    def find(self, name: str) -> Offer[T] | None:
        """The type of this name, if it is installed and active."""
        offer = self._offers.get(name)
        if offer is None and (plugin := self._waiting.get(name)) is not None:
            self._bring(plugin)
            offer = self._offers.get(name)
        return offer

    def get(self, name: str) -> Offer[T]:
        """The type of this name.

        Raises:
            Unresolved: it is not here, but installing something would bring it.
            ConfigError: there can be no such type.
        """
        offer = self.find(name)
        if offer is not None:
            return offer
        for plugin in self._plugins:
            if not plugin.in_use and brings(plugin, self.kind, name):
                raise Unresolved(
                    f"the {self.kind} {name!r} is not there: the plugin {plugin.name} is "
                    f"{plugin.status}: {plugin.reason}"
                )
        sentence, hint, possible = missing_type(self.kind, name, [*self._offers, *self._waiting])
        if possible:
            raise Unresolved(f"{sentence} ({hint})")
        raise ConfigError(sentence, hint=hint)


class Registry:
    """What the plugins that are in use contribute.

    Args:
        plugins: the records of the loader. What is added to the list, or changes its status, counts
            from the next :meth:`refresh` on.
    """

    def __init__(self, plugins: Sequence[PluginRecord]) -> None:
        self.plugins = list(plugins)
        self._importing = threading.Lock()
        self._refreshing = threading.Lock()
        known = (self.plugins, self.bring)
        self.schedule_types: Family[ScheduleType] = Family("schedule type", *known)
        self.action_types: Family[ActionType] = Family("action type", *known)
        self.sinks: Family[SinkType] = Family("sink", *known)
        self.services: Family[ServiceType] = Family("service", *known)
        self.service_calls: Family[ServiceCall] = Family("service call", *known)
        self.stores: Family[StoreType] = Family("store", *known)
        self.refresh()

    def refresh(self) -> None:
        """Look anew at what is in use. The families stay the same objects."""
        families: tuple[Family[Any], ...] = (
            *(self.schedule_types, self.action_types, self.sinks),
            *(self.services, self.service_calls, self.stores),
        )
        with self._refreshing:
            in_use = [record for record in self.plugins if record.in_use]
            for family in families:
                offers = {
                    item.name: Offer(item, record)
                    for record in in_use
                    for item in record.contributions.by_kind()[family.kind]
                }
                if family is self.service_calls:
                    own = {item.name: Offer(item, SCHEDULER) for item in SCHEDULER_CALLS}
                    offers = own | offers
                waiting = {
                    name: record
                    for record in in_use
                    if record.outline is not None
                    for name in record.outline.names.get(family.kind, ())
                }
                family.refresh(offers, waiting)

    def bring(self, plugin: PluginRecord) -> None:
        """Import a plugin that waits for it, and take in what it offers. Blocking, and safe to be
        called from any thread; does nothing for one that does not wait."""
        with self._importing:
            importing = plugin.importing if plugin.in_use else None
            if importing is None:
                return
            importing()
            self.refresh()
        if plugin.reason is not None:
            logger.warning("plugin %s is %s: %s", plugin.name, plugin.status, plugin.reason)

    def provider(self, contract: type[Any]) -> Offer[ServiceType] | None:
        """The service that provides a contract where none is configured: one that runs by itself
        before one that does not."""
        for plugin in self.plugins:
            outline = plugin.outline if plugin.in_use else None
            if outline is not None and contract_name(contract) in outline.provides:
                found = self._provider(contract)
                if found is not None and not found.type.only_configured:
                    return found
                self.bring(plugin)
        return self._provider(contract)

    def _provider(self, contract: type[Any]) -> Offer[ServiceType] | None:
        offers = [offer for offer in self.services if offer.type.provides is contract]
        return min(offers, key=lambda offer: offer.type.only_configured, default=None)


def brings(plugin: PluginRecord, kind: str, name: str) -> bool:
    """True when a type of this name is, or can only be, this plugin's."""
    if "." in name:
        return name.split(".", 1)[0] == plugin.namespace
    return KNOWN[kind].get(name) == plugin.distribution


def build_schedule(
    registry: Registry, schedule_type: str, schedule_config: object, context: ScheduleContext
) -> Schedule:
    """Validate a schedule's configuration and build it.

    Raises:
        Unresolved: the schedule type is not installed.
        ConfigError: there can be no such type, or the configuration is refused.
    """
    offer = registry.schedule_types.get(schedule_type)
    return offer.type.build(convert(schedule_config, offer.type.config), context)


def check_action(registry: Registry, offer: Offer[ActionType], config: Any) -> None:
    """Ask the action type whether this host allows a validated configuration, and look at the
    service of this host that it calls, if it does.

    Raises:
        Unresolved: the plugin that brings that service is not installed.
        ConfigError: it is not allowed, there can be no such service, or its data is wrong.
    """
    if offer.type.check is not None:
        offer.type.check(config, offer.plugin.settings)
    called = offer.type.calls(config) if offer.type.calls is not None else None
    if called is None:
        return
    name, data = called
    try:
        service = registry.service_calls.get(name).type
    except ConfigError as error:
        raise error.under("service") from error
    convert(data, service.data, path=("data",))


def action_of(action: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """An event's action as type name and the rest, which the action type validates."""
    rest = {key: value for key, value in action.items() if key != "type"}
    return action.get("type", DEFAULT_ACTION), rest
