"""What a plugin's hooks yield: frozen descriptions, made without I/O."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

from alicia_scheduler.api.contracts import (
    Action,
    ActionContext,
    Schedule,
    ScheduleContext,
    ServiceContext,
    Sink,
    SinkContext,
)
from alicia_scheduler.api.model import EventExecution
from alicia_scheduler.api.store import Store, StoreContext

__all__ = [
    "ActionType",
    "HostInfo",
    "ScheduleType",
    "ServiceCall",
    "ServiceType",
    "SinkType",
    "StoreType",
]


@dataclass(frozen=True, kw_only=True)
class HostInfo:
    """What a hook may know about the host it is asked by.

    Attributes:
        version: version of the distribution ``alicia-scheduler``.
        api_version: ``(major, minor)`` of :mod:`alicia_scheduler.api`.
    """

    version: str
    api_version: tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class ScheduleType:
    """A way to say when.

    Attributes:
        name: what events write as ``schedule_type``. Third parties use ``<plugin>.<type>``.
        config: a msgspec Struct (``forbid_unknown_fields=True``), dataclass or attrs class; the
            host validates ``schedule_config`` with it.
        build: makes the schedule from a validated configuration. Raises ``ConfigError`` when the
            configuration can never mean anything.
        elapsed: True when slots are elapsed time from the anchor rather than readings of the wall
            clock; then the grid moves with that clock when it is set.
        summary: one line for listings.
    """

    name: str
    config: type[Any]
    build: Callable[[Any, ScheduleContext], Schedule]
    elapsed: bool = False
    summary: str = ""


@dataclass(frozen=True, kw_only=True)
class ActionType:
    """Something an event can do.

    Attributes:
        name: what events write as ``action.type``. Third parties use ``<plugin>.<type>``.
        config: class of the rest of the ``action`` object, as for :class:`ScheduleType`.
        open: async context manager, entered once per host when first needed, that yields the
            :class:`Action`.
        requires: contracts of services that must run; the host starts their providers.
        needs: the contracts that an action needs besides, from its options as they are written.
        check: called with a validated configuration and the plugin's settings when an event is
            written; raises ``ConfigError`` when this host does not allow it. The settings are
            None where no configuration of a host is at hand.
        calls: the service call of this host, as name and data, that a validated configuration
            makes, or None. The host checks both when an event is written, and puts mistakes at
            the keys ``service`` and ``data``.
        default_timeout: seconds per attempt for events that do not set ``timeout``.
        cleanup: seconds that a run may take to end once it is cancelled, from the options of the
            action as they are written. Two more, and it counts as stuck.
        preview: what a run with a validated configuration would do, JSON-ready, for
            ``alicia events test``. It does nothing and waits for nothing. Secrets in the
            configuration it gets are ``***`` already.
        summary: one line for listings.
    """

    name: str
    config: type[Any]
    open: Callable[[ActionContext], AbstractAsyncContextManager[Action]]
    requires: tuple[type[Any], ...] = ()
    needs: Callable[[dict[str, Any]], tuple[type[Any], ...]] | None = None
    check: Callable[[Any, Any], None] | None = None
    calls: Callable[[Any], tuple[str, dict[str, Any]] | None] | None = None
    default_timeout: float | None = None
    cleanup: Callable[[dict[str, Any]], float] | None = None
    preview: Callable[[Any, EventExecution], object] | None = None
    summary: str = ""


@dataclass(frozen=True, kw_only=True)
class ServiceCall:
    """Something that can be called in this host by name and data, as ``domain.service`` in Home
    Assistant: by the action ``service_call``, and by :meth:`ActionContext.call_service`.

    Attributes:
        name: ``<plugin>.<service>``; other domains are kept for first-party plugins.
        data: class of its data, as for :class:`ScheduleType`.
        call: does it, and returns what is worth keeping (JSON-ready) or None. It is given the
            context of this plugin, the validated data, and the execution that calls; it runs
            within that execution, and raises what :meth:`Action.run` may.
        summary: one line for listings.
    """

    name: str
    data: type[Any]
    call: Callable[[ActionContext, Any, EventExecution], Awaitable[object | None]]
    summary: str = ""


@dataclass(frozen=True, kw_only=True)
class SinkType:
    """A place notifications go to, configured as ``[sinks.<name>]``.

    Attributes:
        name: the table's name. Third parties use ``<plugin>.<type>``.
        config: class of the table.
        open: async context manager that yields the :class:`Sink`; entered again after a fault.
        accepts: the event types it wants, or None for all.
        requires: contracts of services that must run.
        summary: one line for listings.
    """

    name: str
    config: type[Any]
    open: Callable[[Any, SinkContext], AbstractAsyncContextManager[Sink]]
    accepts: frozenset[str] | None = None
    requires: tuple[type[Any], ...] = ()
    summary: str = ""


@dataclass(frozen=True, kw_only=True)
class ServiceType:
    """A long-lived part of a plugin, configured as ``[services.<name>]``.

    It runs when it is configured, or when an action or sink in use requires what it provides.

    Attributes:
        name: the table's name. Third parties use ``<plugin>.<type>``.
        config: class of the table.
        open: async context manager that yields the running service. Entering it means started,
            leaving it means stopped; the host restarts it with back-off when it raises.
        provides: the contract (a class or protocol of ``alicia_scheduler.api``, or the plugin's
            own) by which others ask for it.
        requires: contracts of services that must be started before and stopped after it.
        only_configured: True for a door and the like: it never runs only because something
            requires what it provides; that is a mistake in the configuration then.
        summary: one line for listings.
    """

    name: str
    config: type[Any]
    open: Callable[[Any, ServiceContext], AbstractAsyncContextManager[Any]]
    provides: type[Any] | None = None
    requires: tuple[type[Any], ...] = ()
    only_configured: bool = False
    summary: str = ""


@dataclass(frozen=True, kw_only=True)
class StoreType:
    """A keeper of events and executions, chosen by name in the configuration."""

    name: str
    config: type[Any]
    open: Callable[[Any, StoreContext], AbstractAsyncContextManager[Store]]
    summary: str = ""
