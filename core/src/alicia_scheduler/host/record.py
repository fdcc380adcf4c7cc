"""What is known about one installed plugin: how it stands, why, and what went wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import click
import msgspec

from alicia_scheduler.api.descriptors import (
    ActionType,
    ScheduleType,
    ServiceCall,
    ServiceType,
    SinkType,
    StoreType,
)
from alicia_scheduler.api.model import to_epoch
from alicia_scheduler.host.known import is_first_party

__all__ = [
    "Contributions",
    "Outline",
    "PluginError",
    "PluginRecord",
    "PluginStatus",
    "contract_name",
    "one_line",
]

LINE_LIMIT = 500
"""Characters of a sentence about a plugin, which may quote what the plugin raised."""


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


class Outline(msgspec.Struct, frozen=True):
    """What a plugin offers, by name: known without importing it.

    Attributes:
        names: of its types, by the words of :meth:`Contributions.by_kind`.
        provides: the contracts of its services, each as :func:`contract_name`.
        settings: whether it has settings that need not be given; one that insists on some is
            always imported.
    """

    names: dict[str, list[str]]
    provides: list[str] = []
    settings: bool = False


def contract_name(contract: type[Any]) -> str:
    """A contract as an outline names it."""
    return f"{contract.__module__}.{contract.__qualname__}"


@dataclass(frozen=True)
class PluginError:
    """Something that went wrong with a plugin.

    Attributes:
        at: when (aware UTC), by the host's clock.
        kind: a stable word: ``import``, ``hook``, ``open``, ``run``, ``close``, ``loop_held``, …
        message: one line.
    """

    at: datetime
    kind: str
    message: str

    def to_wire(self) -> dict[str, Any]:
        """The error as JSON."""
        return {"at": to_epoch(self.at), "class": self.kind, "message": self.message}


@dataclass
class PluginRecord:
    """What is known about one installed plugin.

    Attributes:
        reason: one sentence that says why the status is not ``active``.
        import_time: seconds that importing it took; None when it was not imported.
        settings: its own keys of ``[plugins.<name>]`` as its class of settings, once a
            configuration has been checked; None before, and for a plugin without such a class.
        warnings: sentences about what it uses that will go away.
        first_error, last_error: what went wrong since the host started.
        errors: how often something did.
        faults: how many of these endangered the host or the other plugins.
        held: how often it held up everything else for longer than it may.
        longest_hold: the longest of these, in seconds.
        package: the outermost package of its code, by which its code is recognised.
        fingerprint: of its installed files, so that an upgrade is noticed.
        outline: what it offers while it waits to be imported, which is done when something needs
            it; None once that is done.
        importing: fills in this record by importing the plugin; blocking. None where nothing waits.
    """

    name: str
    distribution: str
    version: str
    status: PluginStatus = PluginStatus.ACTIVE
    reason: str | None = None
    import_time: float | None = None
    contributions: Contributions = field(default_factory=Contributions)
    settings: Any = None
    warnings: list[str] = field(default_factory=list)
    first_error: PluginError | None = None
    last_error: PluginError | None = None
    errors: int = 0
    faults: int = 0
    held: int = 0
    longest_hold: float = 0.0
    package: str | None = None
    fingerprint: int = 0
    outline: Outline | None = None
    importing: Callable[[], None] | None = None

    @property
    def in_use(self) -> bool:
        """True while what it contributes is there for events and configuration."""
        return self.status in (PluginStatus.ACTIVE, PluginStatus.RESTART_NEEDED)

    @property
    def loaded(self) -> bool:
        """True when it was imported and is sound, whether or not it is in use."""
        return self.contributions != Contributions()

    @property
    def first_party(self) -> bool:
        """True when it is one of Alicia's own distributions."""
        return is_first_party(self.distribution)

    @property
    def namespace(self) -> str:
        """What the names of its types begin with."""
        return self.name.replace("-", "_")

    def offered(self) -> dict[str, list[str]]:
        """The names of its types and commands by kind, whether or not it is imported."""
        if self.outline is not None:
            return self.outline.names
        kinds = {**self.contributions.by_kind(), "command": self.contributions.commands}
        return {kind: [str(item.name) for item in items] for kind, items in kinds.items() if items}

    def stand(self, status: PluginStatus, reason: str | None) -> None:
        """Set the status and the sentence that says why."""
        self.status = status
        self.reason = None if reason is None else one_line(reason)

    def note(self, error: PluginError) -> None:
        """Take down that something went wrong."""
        self.errors += 1
        self.first_error = self.first_error or error
        self.last_error = error

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
                kind.replace(" ", "_") + "s": list(names) for kind, names in self.offered().items()
            },
            "warnings": list(self.warnings),
            "errors": self.errors,
            "faults": self.faults,
            "held": self.held,
            "longest_hold": round(self.longest_hold, 3),
            "first_error": self.first_error.to_wire() if self.first_error else None,
            "last_error": self.last_error.to_wire() if self.last_error else None,
        }


def one_line(text: str) -> str:
    """``text`` on one line of bounded length."""
    line = " ".join(text.split())
    return line if len(line) <= LINE_LIMIT else line[: LINE_LIMIT - 1] + "…"
