"""The scheduler's own service calls, ``scheduler.<service>``: what a person can tell a running host
about an event, an event can tell it too.

Each is a command of the host, given by the execution that calls.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime
from importlib import metadata
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from alicia_scheduler.api.contracts import ActionContext
from alicia_scheduler.api.control import Caller, CommandError, Commands, Permission
from alicia_scheduler.api.descriptors import ServiceCall
from alicia_scheduler.api.errors import ConfigError, Permanent, ServiceUnavailable
from alicia_scheduler.api.model import EventExecution
from alicia_scheduler.host.context import HostContext, Surroundings
from alicia_scheduler.host.loader import PluginRecord

__all__ = ["SCHEDULER", "SCHEDULER_CALLS", "SchedulerContext"]

SCHEDULER = PluginRecord("scheduler", "alicia-scheduler", metadata.version("alicia-scheduler"))
"""Stands for the host among the plugins that offer service calls."""

LONGEST_PAUSE = 10 * 366 * 86_400.0

EventId = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[^*?\[]+\Z")]

TOLD_OF_EXECUTION = ("execution_id", "status", "reason")


class SchedulerContext(HostContext):
    """The context of these calls alone: it has the host's commands before doors do."""

    def __init__(self, surroundings: Surroundings, answering: Commands) -> None:
        super().__init__(SCHEDULER, surroundings)
        self.answering = answering


class EventData(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The event that is meant, by its id."""

    event_id: EventId


class PauseData(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The event that is meant, and for how long.

    Attributes:
        until: an instant.
        duration: seconds from the call on. With neither, until it is resumed.
    """

    event_id: EventId
    until: datetime | None = None
    duration: Annotated[float, Meta(gt=0, le=LONGEST_PAUSE)] | None = None

    def __post_init__(self) -> None:
        if self.until is not None and self.duration is not None:
            raise ConfigError(
                "until and duration exclude each other", path=("duration",), hint="keep one"
            )


class CancelData(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One execution by its id, or all of an event that are under way."""

    execution_id: EventId | None = None
    event_id: EventId | None = None

    def __post_init__(self) -> None:
        if (self.execution_id is None) == (self.event_id is None):
            raise ConfigError(
                "which executions are to be cancelled is not said",
                path=("event_id",),
                hint="give event_id or execution_id, and not both",
            )


def _of_the_event(answer: dict[str, Any]) -> dict[str, Any]:
    """What the command did to the one event."""
    [done] = answer["done"]
    return {key: value for key, value in done.items() if key != "event_id"}


def _executions(answer: dict[str, Any]) -> dict[str, Any]:
    executions = _of_the_event(answer)["executions"]
    return {"executions": [{name: run[name] for name in TOLD_OF_EXECUTION} for run in executions]}


def _cancelled(answer: dict[str, Any]) -> dict[str, Any]:
    return {"cancelled": [each["execution_id"] for each in answer["done"]]}


def _call(
    service: str,
    data: type[Any],
    summary: str,
    told: Callable[[dict[str, Any]], dict[str, Any]] = _of_the_event,
    *,
    noun: str = "events",
) -> ServiceCall:
    async def call(context: ActionContext, data: Any, execution: EventExecution) -> object | None:
        if not isinstance(context, SchedulerContext):
            raise TypeError("the scheduler's own services are called with its own context")
        caller = Caller(
            door="event",
            name=execution.event_id,
            permission=Permission.OPERATE,
            execution=execution,
        )
        given = {
            name: value
            for name in data.__struct_fields__
            if (value := getattr(data, name)) is not None
        }
        command = context.answering.execute(caller, f"{noun}/{service}", given)
        return told(await _or_refused(command))

    return ServiceCall(name=f"scheduler.{service}", data=data, call=call, summary=summary)


async def _or_refused(command: Awaitable[Any]) -> dict[str, Any]:
    """The answer of a command, with a refusal as an action tells it."""
    try:
        answer: dict[str, Any] = await command
    except CommandError as error:
        if error.code == "unavailable":
            raise ServiceUnavailable(str(error)) from error
        raise Permanent(str(error), error_class=error.code) from error
    return answer


SCHEDULER_CALLS = (
    _call("trigger", EventData, "run an event now", _executions),
    _call(
        "cancel",
        CancelData,
        "cancel executions that are under way",
        _cancelled,
        noun="executions",
    ),
    _call("enable", EventData, "enable an event"),
    _call("disable", EventData, "disable an event"),
    _call("pause", PauseData, "pause an event"),
    _call("resume", EventData, "end the pause of an event"),
    _call("skip", EventData, "skip the next slot of an event"),
    _call("unskip", EventData, "take the last skip back"),
)
