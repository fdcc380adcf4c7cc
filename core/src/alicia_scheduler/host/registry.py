"""The types that loaded plugins contribute, by name; and what the kernel asks of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
from alicia_scheduler.host.record import PluginRecord
from alicia_scheduler.host.schedulercalls import SCHEDULER, SCHEDULER_CALLS
from alicia_scheduler.kernel.prepared import Unresolved

__all__ = ["Family", "Offer", "Registry", "action_of", "build_schedule", "check_action"]

T = TypeVar("T", ScheduleType, ActionType, SinkType, ServiceType, ServiceCall, StoreType)


@dataclass(frozen=True)
class Offer(Generic[T]):
    """A type and the plugin it comes from."""

    type: T
    plugin: PluginRecord


class Family(Generic[T]):
    """All types of one kind, by name.

    Args:
        plugins: every installed plugin, in use or not; one that is not may be why a type is
            missing.
    """

    def __init__(self, kind: str, plugins: Sequence[PluginRecord] = ()) -> None:
        self.kind = kind
        self._plugins = plugins
        self._offers: dict[str, Offer[T]] = {}

    def clear(self) -> None:
        """Forget all types."""
        self._offers.clear()

    def add(self, plugin: PluginRecord, types: Sequence[T]) -> None:
        for item in types:
            self._offers[item.name] = Offer(item, plugin)

    def __iter__(self) -> Iterator[Offer[T]]:
        return iter(self._offers.values())

    def find(self, name: str) -> Offer[T] | None:
        """The type of this name, if it is installed and active."""
        return self._offers.get(name)

    def get(self, name: str) -> Offer[T]:
        """The type of this name.

        Raises:
            Unresolved: it is not here, but installing something would bring it.
            ConfigError: there can be no such type.
        """
        offer = self._offers.get(name)
        if offer is not None:
            return offer
        for plugin in self._plugins:
            if not plugin.in_use and brings(plugin, self.kind, name):
                raise Unresolved(
                    f"the {self.kind} {name!r} is not there: the plugin {plugin.name} is "
                    f"{plugin.status}: {plugin.reason}"
                )
        sentence, hint, possible = missing_type(self.kind, name, self._offers)
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
        self.schedule_types: Family[ScheduleType] = Family("schedule type", self.plugins)
        self.action_types: Family[ActionType] = Family("action type", self.plugins)
        self.sinks: Family[SinkType] = Family("sink", self.plugins)
        self.services: Family[ServiceType] = Family("service", self.plugins)
        self.service_calls: Family[ServiceCall] = Family("service call", self.plugins)
        self.stores: Family[StoreType] = Family("store", self.plugins)
        self.refresh()

    def refresh(self) -> None:
        """Look anew at what is in use. The families stay the same objects."""
        families: tuple[Family[Any], ...] = (
            *(self.schedule_types, self.action_types, self.sinks),
            *(self.services, self.service_calls, self.stores),
        )
        for family in families:
            family.clear()
        self.service_calls.add(SCHEDULER, SCHEDULER_CALLS)
        for record in self.plugins:
            if record.in_use:
                offered = record.contributions.by_kind()
                for family in families:
                    family.add(record, offered[family.kind])

    def provider(self, contract: type[Any]) -> Offer[ServiceType] | None:
        """The service that provides a contract where none is configured: one that runs by itself
        before one that does not."""
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
