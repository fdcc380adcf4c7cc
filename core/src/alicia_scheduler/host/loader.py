"""Loading plugins, each for itself: a record with a status and one plain sentence per plugin.

Pluggy's own entry-point loader stops at the first import error and skips a second distribution of
the same name in silence; this one does neither. All or nothing: a plugin either contributes
everything it offers or nothing at all.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import metadata
from typing import Any

import click

from alicia_scheduler.api import API_VERSION
from alicia_scheduler.api.descriptors import (
    ActionType,
    HostInfo,
    ScheduleType,
    ServiceCall,
    ServiceType,
    SinkType,
    StoreType,
)
from alicia_scheduler.host.discovery import Candidate
from alicia_scheduler.host.hooks import HookFault, PluginHooks
from alicia_scheduler.host.known import KNOWN

__all__ = ["Contributions", "PluginRecord", "PluginStatus", "host_info", "load_plugins"]

TYPE_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?")


class PluginStatus(StrEnum):
    """How an installed plugin stands."""

    ACTIVE = "active"
    DISABLED = "disabled"
    CONFLICT = "conflict"
    INCOMPATIBLE = "incompatible"
    BROKEN = "broken"
    QUARANTINED = "quarantined"
    RESTART_NEEDED = "restart-needed"


@dataclass(frozen=True)
class Contributions:
    """What a plugin offers, by kind."""

    schedule_types: Sequence[ScheduleType] = ()
    action_types: Sequence[ActionType] = ()
    sinks: Sequence[SinkType] = ()
    services: Sequence[ServiceType] = ()
    service_calls: Sequence[ServiceCall] = ()
    stores: Sequence[StoreType] = ()
    settings: type[Any] | None = None
    commands: Sequence[click.Command] = ()

    def by_kind(self) -> dict[str, Sequence[Any]]:
        """The typed contributions, under the words that messages use."""
        return {
            "schedule type": self.schedule_types,
            "action type": self.action_types,
            "sink": self.sinks,
            "service": self.services,
            "service call": self.service_calls,
            "store": self.stores,
        }


@dataclass
class PluginRecord:
    """What is known about one installed plugin.

    Attributes:
        reason: one sentence that says why the status is not ``active``.
        import_time: seconds that importing it took.
        settings: its own keys of ``[plugins.<name>]`` as its class of settings, once a
            configuration has been checked; None before, and for a plugin without such a class.
    """

    name: str
    distribution: str
    version: str
    status: PluginStatus = PluginStatus.ACTIVE
    reason: str | None = None
    import_time: float | None = None
    contributions: Contributions = field(default_factory=Contributions)
    settings: Any = None

    def to_wire(self) -> dict[str, Any]:
        """The record as ``alicia plugins list --json`` shows it."""
        return {
            "name": self.name,
            "distribution": self.distribution,
            "version": self.version,
            "status": self.status.value,
            "reason": self.reason,
            "import_time": self.import_time,
            "contributions": {
                kind.replace(" ", "_") + "s": [item.name for item in items]
                for kind, items in self.contributions.by_kind().items()
                if items
            },
        }


def host_info() -> HostInfo:
    """What hooks are told about this host."""
    return HostInfo(version=metadata.version("alicia-scheduler"), api_version=API_VERSION)


def load_plugins(
    candidates: Iterable[Candidate], *, disabled: Collection[str] = ()
) -> list[PluginRecord]:
    """Load every candidate that may be loaded; never raises for what a plugin does."""
    candidates = list(candidates)
    claims = Counter(candidate.name for candidate in candidates)
    records = []
    info = host_info()
    for candidate in candidates:
        record = PluginRecord(candidate.name, candidate.distribution, candidate.version)
        records.append(record)
        if candidate.name in disabled:
            record.status = PluginStatus.DISABLED
            record.reason = "it is disabled in the configuration"
        elif candidate.api_major != API_VERSION[0]:
            record.status = PluginStatus.INCOMPATIBLE
            record.reason = (
                f"it is written for API {candidate.api_major}; "
                f"this host has API {API_VERSION[0]}.{API_VERSION[1]}"
            )
        elif claims[candidate.name] > 1:
            others = sorted(
                other.distribution
                for other in candidates
                if other.name == candidate.name and other is not candidate
            )
            record.status = PluginStatus.CONFLICT
            record.reason = (
                f"{' and '.join(others)} claims the name {candidate.name!r} too: uninstall one"
            )
        else:
            _load(candidate, record, info)
    return records


def _load(candidate: Candidate, record: PluginRecord, info: HostInfo) -> None:
    started = time.perf_counter()
    try:
        plugin = candidate.entry_point.load()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - an import may raise anything, SystemExit too
        _break(record, f"importing {candidate.entry_point.value} failed: {_sentence(error)}")
        return
    finally:
        record.import_time = time.perf_counter() - started
    try:
        hooks = PluginHooks(candidate.name, plugin)
        contributions = Contributions(
            schedule_types=hooks.schedule_types(info),
            action_types=hooks.action_types(info),
            sinks=hooks.sinks(info),
            services=hooks.services(info),
            service_calls=hooks.service_calls(info),
            stores=hooks.stores(info),
            settings=hooks.settings(info),
            commands=hooks.commands(info),
        )
        _check_names(candidate, contributions)
    except HookFault as fault:
        _break(record, str(fault))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - a hook may raise anything
        _break(record, f"a hook failed: {_sentence(error)}")
    else:
        record.contributions = contributions


def _check_names(candidate: Candidate, contributions: Contributions) -> None:
    for kind, items in contributions.by_kind().items():
        seen: set[str] = set()
        for item in items:
            name = item.name
            if not isinstance(name, str) or not TYPE_NAME.fullmatch(name):
                raise HookFault(
                    f"the {kind} name {name!r} is not allowed: "
                    "lower-case letters, digits and _, beginning with a letter"
                )
            if name in seen:
                raise HookFault(f"it offers the {kind} {name!r} twice")
            seen.add(name)
            _check_namespace(candidate, kind, name)
            what = "data" if isinstance(item, ServiceCall) else "config"
            if not isinstance(getattr(item, what), type):
                raise HookFault(
                    f"the {kind} {name!r} has a {what} that is not a class; "
                    "give a msgspec Struct, a dataclass or an attrs class"
                )


def _check_namespace(candidate: Candidate, kind: str, name: str) -> None:
    owner = KNOWN[kind].get(name)
    if owner == candidate.distribution:
        return
    domain = name.split(".", 1)[0]
    if "." not in name:
        taken = f"belongs to {owner}" if owner else "is kept for first-party plugins"
        raise HookFault(
            f"the {kind} name {name!r} {taken}: call it '{_namespace(candidate)}.{name}'"
        )
    if any(known.startswith(f"{domain}.") for known in KNOWN[kind]):
        raise HookFault(f"the {kind} name {name!r} has a domain that is kept for the scheduler")
    if domain != _namespace(candidate):
        raise HookFault(
            f"the {kind} name {name!r} is outside its namespace: "
            f"it must begin with '{_namespace(candidate)}.'"
        )


def _namespace(candidate: Candidate) -> str:
    return candidate.name.replace("-", "_")


def _break(record: PluginRecord, reason: str) -> None:
    record.status = PluginStatus.BROKEN
    record.reason = reason


def _sentence(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
