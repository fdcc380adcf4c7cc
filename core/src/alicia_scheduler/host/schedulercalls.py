"""The scheduler's own service calls, ``scheduler.<service>``: what a person can tell a running host
about an event, an event can tell it too."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from importlib import metadata
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from alicia_scheduler.api.contracts import ActionContext
from alicia_scheduler.api.descriptors import ServiceCall
from alicia_scheduler.api.errors import ConfigError, Permanent
from alicia_scheduler.api.model import EventExecution, to_wire
from alicia_scheduler.host.context import HostContext, Surroundings
from alicia_scheduler.host.loader import PluginRecord
from alicia_scheduler.kernel import steering
from alicia_scheduler.kernel.kernel import Kernel

__all__ = ["SCHEDULER", "SCHEDULER_CALLS", "SchedulerContext"]

SCHEDULER = PluginRecord("scheduler", "alicia-scheduler", metadata.version("alicia-scheduler"))
"""Stands for the host among the plugins that offer service calls."""

LONGEST_PAUSE = 10 * 366 * 86_400.0

EventId = Annotated[str, Meta(min_length=1, max_length=128)]


class SchedulerContext(HostContext):
    """The context of these calls alone: it has the kernel."""

    def __init__(self, surroundings: Surroundings, kernel: Kernel) -> None:
        super().__init__(SCHEDULER, surroundings)
        self.kernel = kernel


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


async def _trigger(kernel: Kernel, data: EventData, by: EventExecution) -> Any:
    executions = await steering.trigger_by(kernel, data.event_id, by)
    return {
        "executions": [
            {name: getattr(execution, name) for name in ("execution_id", "status", "reason")}
            for execution in executions
        ]
    }


async def _enable(kernel: Kernel, data: EventData, by: EventExecution) -> Any:
    record = await steering.set_enabled(kernel, data.event_id, True)
    return {"enabled": True, "revision": record.event.revision, "next_run": record.state.next_run}


async def _disable(kernel: Kernel, data: EventData, by: EventExecution) -> Any:
    record = await steering.set_enabled(kernel, data.event_id, False)
    return {"enabled": False, "revision": record.event.revision, "next_run": None}


async def _pause(kernel: Kernel, data: PauseData, by: EventExecution) -> Any:
    until = data.until or steering.FOR_EVER
    if data.duration is not None:
        until = kernel.clock.now() + timedelta(seconds=data.duration)
    await steering.pause(kernel, data.event_id, until)
    return {"paused_until": until}


async def _resume(kernel: Kernel, data: EventData, by: EventExecution) -> Any:
    await steering.resume(kernel, data.event_id)
    return {"paused_until": None}


async def _skip(kernel: Kernel, data: EventData, by: EventExecution) -> Any:
    return {"slot": await steering.skip_next(kernel, data.event_id)}


async def _unskip(kernel: Kernel, data: EventData, by: EventExecution) -> Any:
    return {"slot": await steering.unskip(kernel, data.event_id)}


async def _cancel(kernel: Kernel, data: CancelData, by: EventExecution) -> Any:
    if data.execution_id is not None:
        if data.execution_id == by.execution_id:
            raise ValueError("an execution does not cancel itself")
        if not await kernel.cancel(data.execution_id, "cancelled"):
            raise KeyError(data.execution_id)
        return {"cancelled": [data.execution_id]}
    return {"cancelled": await steering.cancel_event(kernel, str(data.event_id), spare=by)}


def _call(
    service: str,
    data: type[Any],
    run: Callable[[Kernel, Any, EventExecution], Awaitable[Any]],
    summary: str,
) -> ServiceCall:
    async def call(context: ActionContext, data: Any, execution: EventExecution) -> object | None:
        if not isinstance(context, SchedulerContext):
            raise TypeError("the scheduler's own services are called with its own context")
        try:
            answer: object = to_wire(await run(context.kernel, data, execution))
        except KeyError as error:
            message = f"there is no {error.args[0]!r}"
            raise Permanent(message, error_class="not_found") from error
        except ValueError as error:
            raise Permanent(str(error), error_class="not_supported") from error
        return answer

    return ServiceCall(name=f"scheduler.{service}", data=data, call=call, summary=summary)


SCHEDULER_CALLS = (
    _call("trigger", EventData, _trigger, "run an event now"),
    _call("cancel", CancelData, _cancel, "cancel executions that are under way"),
    _call("enable", EventData, _enable, "enable an event"),
    _call("disable", EventData, _disable, "disable an event"),
    _call("pause", PauseData, _pause, "pause an event"),
    _call("resume", EventData, _resume, "end the pause of an event"),
    _call("skip", EventData, _skip, "skip the next slot of an event"),
    _call("unskip", EventData, _unskip, "take the last skip back"),
)
