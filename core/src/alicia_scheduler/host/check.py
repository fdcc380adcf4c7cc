"""A configuration held against the installed plugins: every mistake with its place, and what is
left is ready to run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, TypeVar

import msgspec

from alicia_scheduler.api.contracts import ScheduleContext
from alicia_scheduler.api.descriptors import ActionType, ScheduleType, ServiceType, SinkType
from alicia_scheduler.api.errors import ConfigError
from alicia_scheduler.api.model import DstGap, DstOverlap, ScheduledEvent
from alicia_scheduler.api.zones import load_timezone
from alicia_scheduler.config.convert import convert, convert_all
from alicia_scheduler.config.events import DEFAULT_ACTION, event_from_config
from alicia_scheduler.config.load import Configuration
from alicia_scheduler.config.plain import plain_all
from alicia_scheduler.host.registry import Family, Offer, Registry, action_of
from alicia_scheduler.host.resolver import exclusions_of
from alicia_scheduler.host.services import ConfiguredService
from alicia_scheduler.host.sinks import ConfiguredSink
from alicia_scheduler.kernel.prepared import Unresolved

__all__ = ["Checked", "PluginTable", "check_configuration", "disabled_plugins"]

T = TypeVar("T", ServiceType, SinkType)
U = TypeVar("U", ScheduleType, ActionType)
E = TypeVar("E", DstGap, DstOverlap)


class PluginTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[plugins.<name>]``: what a host does with an installed plugin.

    Attributes:
        enabled: False leaves it alone: it is listed but not imported.
    """

    enabled: bool = True


@dataclass
class Checked:
    """A configuration, checked.

    Attributes:
        issues: mistakes; with any, nothing may run.
        unresolved: sentences about types that are not installed. The host runs without them.
    """

    services: list[ConfiguredService] = field(default_factory=list)
    sinks: list[ConfiguredSink] = field(default_factory=list)
    events: list[ScheduledEvent] = field(default_factory=list)
    issues: list[ConfigError] = field(default_factory=list)
    unresolved: list[str] = field(default_factory=list)
    calendars: dict[str, frozenset[date]] = field(default_factory=dict)


def disabled_plugins(configuration: Configuration) -> set[str]:
    """The names of the plugins that the configuration switches off. Mistakes in their tables are
    noted in the configuration's issues."""
    disabled = set()
    for name, raw in configuration.plugins.items():
        found: list[ConfigError] = []
        table = convert_all(raw, PluginTable, found, path=("plugins", name))
        configuration.issues.extend(configuration.locate(issue) for issue in found)
        if table is not None and not table.enabled:
            disabled.add(name)
    return disabled


def check_configuration(
    configuration: Configuration, registry: Registry, *, now: datetime
) -> Checked:
    """Check everything, collecting all mistakes; each has the file and the line it stands on."""
    checked = Checked(calendars=configuration.calendars)
    found: list[ConfigError] = []
    checked.services = [
        ConfiguredService(offer, config)
        for offer, config in _parts(
            "services", configuration.services, registry.services, found, checked
        )
    ]
    checked.sinks = [
        ConfiguredSink(offer, config)
        for offer, config in _parts("sinks", configuration.sinks, registry.sinks, found, checked)
    ]
    checker = _EventChecker(registry, configuration, found, checked.unresolved, now)
    for event_id, raw in configuration.events.items():
        event = event_from_config(
            event_id, raw, now=now, origin="file", issues=found, path=("events", event_id)
        )
        checker.check(event_id, raw)
        if event is not None:
            _check_exclusions(event, configuration, found)
            checked.events.append(event)
    _add_required_services(registry, checked)
    located = [configuration.locate(issue) for issue in found]
    checked.issues = sorted(
        [*configuration.issues, *located], key=lambda issue: (issue.file or "", issue.line or 0)
    )
    return checked


def _parts(
    table: str,
    raw: dict[str, Any],
    family: Family[T],
    found: list[ConfigError],
    checked: Checked,
) -> Iterator[tuple[Offer[T], Any]]:
    """The configured parts of one kind that are installed and whose configuration is right."""
    for name, options in raw.items():
        try:
            offer = family.get(name)
        except Unresolved as error:
            checked.unresolved.append(f"{table}.{name}: {error}")
        except ConfigError as error:
            found.append(error.under(table, name))
        else:
            before = len(found)
            config = convert_all(options, offer.type.config, found, path=(table, name))
            if len(found) == before:
                yield offer, config


class _EventChecker:
    """Checks what only the plugins know about an event: its schedule and its action."""

    def __init__(
        self,
        registry: Registry,
        configuration: Configuration,
        found: list[ConfigError],
        unresolved: list[str],
        now: datetime,
    ) -> None:
        self._registry = registry
        self._settings = configuration.settings
        self._found = found
        self._unresolved = unresolved
        self._now = now

    def check(self, event_id: str, raw: dict[str, Any]) -> None:
        """Check the two tables of an event that belong to plugins, whatever else is wrong with
        it; that these are tables at all is checked with the event."""
        schedule_type, schedule = raw.get("schedule_type"), raw.get("schedule_config")
        if isinstance(schedule_type, str) and isinstance(schedule, dict):
            place = ("events", event_id, "schedule_type")
            offer = self._offer(self._registry.schedule_types, schedule_type, place)
            if offer is not None:
                self._check_schedule(event_id, raw, offer, plain_all(schedule, []))
        action = raw.get("action")
        if isinstance(action, dict) and isinstance(action.get("type", DEFAULT_ACTION), str):
            place = ("events", event_id, "action")
            action_type, options = action_of(plain_all(action, []))
            kind = self._offer(self._registry.action_types, action_type, (*place, "type"))
            if kind is not None:
                convert_all(options, kind.type.config, self._found, path=place)

    def _offer(self, family: Family[U], name: str, place: tuple[str, ...]) -> Offer[U] | None:
        try:
            return family.get(name)
        except Unresolved as error:
            self._unresolved.append(f"{'.'.join(place[:2])}: {error}")
        except ConfigError as error:
            self._found.append(error.under(*place))
        return None

    def _check_schedule(
        self, event_id: str, raw: dict[str, Any], offer: Offer[ScheduleType], options: Any
    ) -> None:
        place = ("events", event_id, "schedule_config")
        before = len(self._found)
        config = convert_all(options, offer.type.config, self._found, path=place)
        if len(self._found) > before:
            return
        try:
            zone = load_timezone(raw.get("timezone", self._settings.timezone))
        except ConfigError:
            return  # said already, where the zone is written
        try:
            offer.type.build(
                config,
                ScheduleContext(
                    timezone=zone,
                    anchor=self._now,
                    dst_gap=_choice(DstGap, raw.get("dst_gap")),
                    dst_overlap=_choice(DstOverlap, raw.get("dst_overlap")),
                    latitude=self._settings.latitude,
                    longitude=self._settings.longitude,
                ),
            )
        except ConfigError as error:
            self._found.append(error.under(*place))


def _choice(kind: type[E], value: object) -> E | None:
    """A rule as the event names it; None when it names none, or one that does not exist, which is
    said where it is written."""
    return next((member for member in kind if member.value == value), None)


def _check_exclusions(
    event: ScheduledEvent, configuration: Configuration, found: list[ConfigError]
) -> None:
    try:
        exclusions_of(event, configuration.settings, configuration.calendars)
    except ConfigError as error:
        found.append(error.under("events", event.event_id))


def _add_required_services(registry: Registry, checked: Checked) -> None:
    """Services that a used action, sink or service requires run with their defaults when the
    file does not configure them."""
    wanted: list[type[Any]] = []
    for sink in checked.sinks:
        wanted.extend(sink.offer.type.requires)
    for event in checked.events:
        action = registry.action_types.find(action_of(event.action)[0])
        wanted.extend(action.type.requires if action is not None else ())
    for service in checked.services:
        wanted.extend(service.offer.type.requires)
    while wanted:
        contract = wanted.pop()
        provided = {service.offer.type.provides for service in checked.services}
        offer = registry.provider(contract)
        if contract in provided or offer is None:
            continue
        checked.services.append(ConfiguredService(offer, convert({}, offer.type.config)))
        wanted.extend(offer.type.requires)
