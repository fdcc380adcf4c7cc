"""A configuration held against the installed plugins: every mistake with its place, and what is
left is ready to run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import partial
from typing import Any, TypeVar

import msgspec

from alicia_scheduler.api.contracts import ScheduleContext
from alicia_scheduler.api.descriptors import ActionType, ScheduleType, ServiceType, SinkType
from alicia_scheduler.api.errors import ConfigError
from alicia_scheduler.api.model import DstGap, DstOverlap, ScheduledEvent
from alicia_scheduler.api.zones import load_timezone
from alicia_scheduler.config.convert import convert, convert_all
from alicia_scheduler.config.events import DEFAULT_ACTION, event_from_config
from alicia_scheduler.config.limits import check_limit
from alicia_scheduler.config.load import Configuration
from alicia_scheduler.config.plain import plain_all
from alicia_scheduler.config.settings import Settings
from alicia_scheduler.config.wording import suggest
from alicia_scheduler.host.known import CONTRACTS
from alicia_scheduler.host.recipes import Recipe, read_options
from alicia_scheduler.host.registry import Family, Offer, Registry, action_of, check_action
from alicia_scheduler.host.resolver import exclusions_of
from alicia_scheduler.host.secrets.vault import Secrets
from alicia_scheduler.host.services import ConfiguredService
from alicia_scheduler.host.sinks import ConfiguredSink, SinkOptions
from alicia_scheduler.kernel.chains import cycle_error, find_cycle
from alicia_scheduler.kernel.prepared import Unresolved

__all__ = [
    "Checked",
    "CheckedEvent",
    "PluginTable",
    "check_configuration",
    "check_event",
    "disabled_plugins",
]

T = TypeVar("T", ServiceType, SinkType)
U = TypeVar("U", ScheduleType, ActionType)
E = TypeVar("E", DstGap, DstOverlap)


class PluginTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[plugins.<name>]``: what a host does with an installed plugin. The other keys of the table
    are the plugin's own, if it has a class of settings.

    Attributes:
        enabled: False leaves it alone: it is listed but not imported.
    """

    enabled: bool = True


PLUGIN_KEYS = PluginTable.__struct_fields__


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
    secrets: Secrets = field(default_factory=Secrets)
    limits: dict[str, int] = field(default_factory=dict)


@dataclass
class CheckedEvent:
    """The definition of one event, checked.

    Attributes:
        event: None with any issue.
        issues: mistakes.
        unresolved: sentences about types that are not installed.
    """

    event: ScheduledEvent | None
    issues: list[ConfigError]
    unresolved: list[str]


def check_event(
    event_id: str,
    raw: dict[str, Any],
    *,
    registry: Registry,
    settings: Settings,
    checked: Checked,
    now: datetime,
    origin: str,
    path: tuple[str, ...],
) -> CheckedEvent:
    """Check the definition of one event as if it stood in the configuration.

    Args:
        checked: the configuration: its calendars, limits and secrets.
        origin: where the definition comes from.
        path: where it stands, for the places of mistakes.
    """
    ours = ("events", event_id)
    found: list[ConfigError] = []
    own = Checked(calendars=checked.calendars, limits=checked.limits, secrets=checked.secrets)
    event = event_from_config(event_id, raw, now=now, origin=origin, issues=found, path=ours)
    try:
        _EventChecker(registry, settings, own, found, now).check(event_id, raw)
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything
        problem = f"cannot be checked: {type(error).__name__}: {error}"
        found.append(ConfigError(problem, path=ours))
    if event is not None:
        _check_names(event, settings, own, found)
    issues = [
        ConfigError(issue.message, path=(*path, *issue.path[len(ours) :]), hint=issue.hint)
        for issue in found
    ]
    unresolved = [sentence.removeprefix(f"events.{event_id}: ") for sentence in own.unresolved]
    return CheckedEvent(None if issues else event, issues, unresolved)


def disabled_plugins(configuration: Configuration) -> set[str]:
    """The names of the plugins that the configuration switches off. Mistakes in their tables are
    noted in the configuration's issues."""
    disabled = set(configuration.disabled)
    for name, raw in configuration.plugins.items():
        found: list[ConfigError] = []
        ours = {key: value for key, value in raw.items() if key in PLUGIN_KEYS}
        table = convert_all(ours, PluginTable, found, path=("plugins", name))
        configuration.issues.extend(configuration.locate(issue) for issue in found)
        if table is not None and not table.enabled:
            disabled.add(name)
    return disabled


def check_configuration(
    configuration: Configuration,
    registry: Registry,
    *,
    now: datetime,
    running: Secrets | None = None,
) -> Checked:
    """Check everything, collecting all mistakes; each has the file and the line it stands on.

    Args:
        running: the secrets of a host that runs with this registry, for another configuration of
            it: its plugins keep the settings they have, and what is read while checking is kept
            out of what the host tells, too.
    """
    redactor = running.redactor if running is not None else None
    checked = Checked(
        calendars=configuration.calendars,
        limits=configuration.limits,
        secrets=Secrets(configuration.secrets, configuration.file.parent, redactor=redactor),
    )
    found: list[ConfigError] = []
    _check_plugin_settings(configuration, registry, found, take=running is None)
    checked.services = [
        ConfiguredService(offer, config)
        for offer, config in _parts(
            "services", configuration.services, registry.services, found, checked
        )
    ]
    _check_rivals(checked.services, found)
    checked.sinks = list(_sinks(configuration.sinks, registry.sinks, found, checked))
    checker = _EventChecker(registry, configuration.settings, checked, found, now)
    for event_id, raw in configuration.events.items():
        event = event_from_config(
            event_id, raw, now=now, origin="file", issues=found, path=("events", event_id)
        )
        checker.check(event_id, raw)
        if event is not None:
            _check_names(event, configuration.settings, checked, found)
            checked.events.append(event)
    _check_chains(checked, found)
    _add_required_services(registry, configuration, checked, found)
    located = [configuration.locate(issue) for issue in found]
    checked.issues = sorted(
        [*configuration.issues, *located], key=lambda issue: (issue.file or "", issue.line or 0)
    )
    return checked


def _check_plugin_settings(
    configuration: Configuration, registry: Registry, found: list[ConfigError], *, take: bool
) -> None:
    """Check the own keys of each active plugin in ``[plugins.<name>]``, and give it these."""
    for plugin in registry.plugins:
        raw = configuration.plugins.get(plugin.name, {})
        own = {key: value for key, value in raw.items() if key not in PLUGIN_KEYS}
        path = ("plugins", plugin.name)
        if own:
            registry.bring(plugin)
        if not plugin.in_use:
            continue
        settings = plugin.contributions.settings
        if settings is not None:
            converted = convert_all(own, settings, found, path=path)
            if take or plugin.settings is None:
                plugin.settings = converted
        elif own:
            convert_all(own, PluginTable, found, path=path)


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
            path = (table, name)
            config = read_options(options, offer.type.config, found, path=path, templates=False)
            if config is not None:
                _check_secrets(config, checked.secrets, found)
                yield offer, config


def _check_secrets(config: object, secrets: Secrets, found: list[ConfigError]) -> None:
    if isinstance(config, Recipe):
        config.check_secrets(secrets, found)


def _sinks(
    raw: dict[str, Any],
    family: Family[SinkType],
    found: list[ConfigError],
    checked: Checked,
) -> Iterator[ConfiguredSink]:
    """The sinks; some keys of their tables are the host's, the others are the sink's own."""
    ours = SinkOptions.__struct_fields__
    theirs = {
        name: {key: value for key, value in table.items() if key not in ours}
        for name, table in raw.items()
    }
    for offer, config in _parts("sinks", theirs, family, found, checked):
        name = offer.type.name
        table = {key: value for key, value in raw[name].items() if key in ours}
        options = convert_all(table, SinkOptions, found, path=("sinks", name))
        if options is not None:
            yield ConfiguredSink(offer, config, options)


class _EventChecker:
    """Checks what only the plugins know about an event: its schedule and its action."""

    def __init__(
        self,
        registry: Registry,
        settings: Settings,
        checked: Checked,
        found: list[ConfigError],
        now: datetime,
    ) -> None:
        self._registry = registry
        self._settings = settings
        self._found = found
        self._unresolved = checked.unresolved
        self._secrets = checked.secrets
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
                config = read_options(
                    options,
                    kind.type.config,
                    self._found,
                    path=place,
                    templates=True,
                    allow=partial(self._allow, event_id, kind),
                )
                _check_secrets(config, self._secrets, self._found)

    def _allow(self, event_id: str, kind: Offer[ActionType], config: Any) -> None:
        try:
            check_action(self._registry, kind, config)
        except Unresolved as error:
            sentence = f"events.{event_id}: {error}"
            if sentence not in self._unresolved:
                self._unresolved.append(sentence)

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
            zone = load_timezone(raw.get("timezone") or self._settings.timezone)
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


def _check_names(
    event: ScheduledEvent, settings: Settings, checked: Checked, found: list[ConfigError]
) -> None:
    """What an event names elsewhere in the configuration: days to leave out, its limit."""
    for check in (
        lambda: exclusions_of(event, settings, checked.calendars),
        lambda: check_limit(event.limit, checked.limits),
    ):
        try:
            check()
        except ConfigError as error:
            found.append(error.under("events", event.event_id))


def _check_chains(checked: Checked, found: list[ConfigError]) -> None:
    """Refuse circles of triggers, and tell of events that the file does not have: they may have
    been made through the API."""
    events = {event.event_id: event for event in checked.events}
    for event in checked.events:
        circle = find_cycle(events, event.event_id)
        if circle is not None:
            found.append(cycle_error(circle).under("events", event.event_id))
        for key in ("on_success", "on_failure", "on_complete"):
            for name in getattr(event, key):
                if name not in events:
                    hint = suggest(name, list(events), likely=list(events), noun="events")
                    checked.unresolved.append(
                        f"events.{event.event_id}.{key}: there is no event {name!r} in this file"
                        f" ({hint})"
                    )


def _check_rivals(services: Sequence[ConfiguredService], found: list[ConfigError]) -> None:
    """Two services for one contract: whoever asks for it could get the one or the other."""
    providers: dict[type[Any], str] = {}
    for service in services:
        contract, name = service.offer.type.provides, service.offer.type.name
        if contract is None:
            continue
        first = providers.setdefault(contract, name)
        if first != name:
            message = f"{name!r} and {first!r} both provide {contract.__name__}; only one can run"
            hint = f"remove [services.{first}] or [services.{name}]"
            found.append(ConfigError(message, path=("services", name), hint=hint))


def _add_required_services(
    registry: Registry, configuration: Configuration, checked: Checked, found: list[ConfigError]
) -> None:
    """Services that a used action, sink or service requires run with their defaults when the
    file does not configure them. One that has no defaults is a mistake where it is needed."""
    wanted: list[tuple[type[Any], tuple[str, ...]]] = []
    for sink in checked.sinks:
        place: tuple[str, ...] = ("sinks", sink.offer.type.name)
        wanted.extend((contract, place) for contract in sink.offer.type.requires)
    for event in checked.events:
        action_type, options = action_of(event.action)
        action = registry.action_types.find(action_type)
        place = ("events", event.event_id, "action")
        if action is not None:
            needed = action.type.needs(options) if action.type.needs is not None else ()
            wanted.extend((contract, place) for contract in (*action.type.requires, *needed))
    for service in checked.services:
        place = ("services", service.offer.type.name)
        wanted.extend((contract, place) for contract in service.offer.type.requires)
    while wanted:
        contract, place = wanted.pop(0)
        provided = {service.offer.type.provides for service in checked.services}
        offer = registry.provider(contract)
        if contract in provided:
            continue
        if offer is None:
            _tell_missing(contract, place, checked)
            continue
        name = offer.type.name
        try:
            config = _default_config(offer.type)
        except ConfigError as error:
            if name not in configuration.services:  # else its own mistakes are told already
                message = f"needs the service {name!r}, which is not configured: {error.message}"
                table = f'"{name}"' if "." in name else name
                found.append(ConfigError(message, path=place, hint=f"add [services.{table}]"))
            continue
        checked.services.append(ConfiguredService(offer, config))
        wanted.extend((further, place) for further in offer.type.requires)


def _default_config(service: ServiceType) -> Any:
    """The configuration of a service that none names but something requires.

    Raises:
        ConfigError: it has none, or is not to run unless it is named.
    """
    if service.only_configured:
        raise ConfigError("it never runs by itself")
    return convert({}, service.config)


def _tell_missing(contract: type[Any], place: tuple[str, ...], checked: Checked) -> None:
    """Nothing installed provides what something requires."""
    said = f"{'.'.join(place[:2])}: nothing installed provides {contract.__name__}"
    if (known := CONTRACTS.get(contract.__name__)) is not None:
        said += f" (pip install {known})"
    if said not in checked.unresolved:
        checked.unresolved.append(said)
