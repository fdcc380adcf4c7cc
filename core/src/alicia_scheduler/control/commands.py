"""The commands, transport-neutral: a name, the shape of the arguments, and what they do."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from alicia_scheduler.api.control import Permission
from alicia_scheduler.control.command import Arguments, Command, Request
from alicia_scheduler.kernel import steering
from alicia_scheduler.kernel.rerun import rerun

__all__ = ["COMMANDS"]


class EventArguments(Arguments, frozen=True):
    """The event that is meant, by its id."""

    event_id: str


class PauseArguments(Arguments, frozen=True):
    """The event that is meant, and until when; without ``until``, until it is resumed."""

    event_id: str
    until: datetime | None = None


class TestArguments(Arguments, frozen=True):
    """The event that is meant, and whether its action is really run, once."""

    __test__ = False  # its name begins as pytest's test classes do

    event_id: str
    live: bool = False


class ExecutionArguments(Arguments, frozen=True):
    """The execution that is meant, by its id."""

    execution_id: str


async def _trigger(request: Request, arguments: EventArguments) -> Any:
    return {"executions": await request.control.kernel.trigger(arguments.event_id)}


async def _skip(request: Request, arguments: EventArguments) -> Any:
    return {"slot": await steering.skip_next(request.control.kernel, arguments.event_id)}


async def _unskip(request: Request, arguments: EventArguments) -> Any:
    return {"slot": await steering.unskip(request.control.kernel, arguments.event_id)}


async def _pause(request: Request, arguments: PauseArguments) -> Any:
    until = arguments.until or steering.FOR_EVER
    await steering.pause(request.control.kernel, arguments.event_id, until)
    return {"paused_until": until}


async def _resume(request: Request, arguments: EventArguments) -> Any:
    await steering.resume(request.control.kernel, arguments.event_id)
    return {"paused_until": None}


async def _test(request: Request, arguments: TestArguments) -> Any:
    kernel = request.control.kernel
    # Imported here, as the command line imports this module for its names alone.
    from alicia_scheduler.host.resolver import Resolver
    from alicia_scheduler.host.trial import live_run, trial_execution, trial_run

    await kernel.catalog.load([arguments.event_id])
    entry = kernel.catalog.get(arguments.event_id)
    if entry is None:
        raise KeyError(arguments.event_id)
    if entry.prepared is None:
        raise ValueError(entry.problem)
    if not isinstance(kernel.types, Resolver):
        raise ValueError("this host runs no installed actions")
    execution = trial_execution(entry.record, kernel.clock.now())
    answer = await trial_run(kernel.types, entry.record, entry.prepared, execution)
    answer["live"] = None
    if arguments.live and answer["problem"] is None:
        answer["live"] = await live_run(kernel.types, entry.record, entry.prepared, execution)
    return answer


async def _cancel(request: Request, arguments: ExecutionArguments) -> Any:
    if not await request.control.kernel.cancel(arguments.execution_id, "cancelled"):
        raise KeyError(arguments.execution_id)
    return {"execution_id": arguments.execution_id}


async def _retry(request: Request, arguments: ExecutionArguments) -> Any:
    return {"executions": await rerun(request.control.kernel, arguments.execution_id)}


COMMANDS: dict[str, Command] = {
    command.name: command
    for command in (
        Command(
            "events/trigger",
            EventArguments,
            dict,
            Permission.OPERATE,
            _trigger,
            "Run an event now.",
        ),
        Command(
            "events/skip",
            EventArguments,
            dict,
            Permission.OPERATE,
            _skip,
            "Skip the next slot of an event.",
        ),
        Command(
            "events/unskip",
            EventArguments,
            dict,
            Permission.OPERATE,
            _unskip,
            "Take the last skip back.",
        ),
        Command(
            "events/pause", PauseArguments, dict, Permission.OPERATE, _pause, "Pause an event."
        ),
        Command(
            "events/resume",
            EventArguments,
            dict,
            Permission.OPERATE,
            _resume,
            "End the pause of an event.",
        ),
        Command(
            "events/test",
            TestArguments,
            dict,
            Permission.OPERATE,
            _test,
            "Try an event outside its history.",
        ),
        Command(
            "executions/cancel",
            ExecutionArguments,
            dict,
            Permission.OPERATE,
            _cancel,
            "Cancel an execution.",
        ),
        Command(
            "executions/retry",
            ExecutionArguments,
            dict,
            Permission.OPERATE,
            _retry,
            "Run an ended execution again.",
        ),
    )
}
