"""The commands, transport-neutral: a name, the shape of the arguments, and what they do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from alicia_scheduler.api.errors import AliciaError, ConfigError
from alicia_scheduler.api.model import to_wire
from alicia_scheduler.config.convert import convert
from alicia_scheduler.kernel import steering
from alicia_scheduler.kernel.kernel import Kernel
from alicia_scheduler.kernel.rerun import rerun

__all__ = ["COMMANDS", "Command", "CommandError", "execute"]


class CommandError(AliciaError):
    """A command was refused.

    Args:
        code: a stable word; Home Assistant's where it has one (``not_found``, ``invalid_format``,
            ``unknown_command``, ``unknown_error``).
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class EventArguments(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The event that is meant, by its id."""

    event_id: str


class PauseArguments(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The event that is meant, and until when; without ``until``, until it is resumed."""

    event_id: str
    until: datetime | None = None


class TestArguments(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The event that is meant, and whether its action is really run, once."""

    __test__ = False  # its name begins as pytest's test classes do

    event_id: str
    live: bool = False


class ExecutionArguments(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The execution that is meant, by its id."""

    execution_id: str


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        name: ``<noun>/<verb>``, which is also the message's ``type`` on the wire.
        summary: one line for people.
    """

    name: str
    arguments: type[Any]
    run: Callable[[Kernel, Any], Awaitable[Any]]
    summary: str


async def execute(kernel: Kernel, name: str, arguments: dict[str, Any]) -> Any:
    """Run a command; the answer is JSON-ready.

    Raises:
        CommandError: it is unknown, its arguments are wrong, or it cannot be done.
    """
    command = COMMANDS.get(name)
    if command is None:
        raise CommandError("unknown_command", f"there is no command {name!r}")
    try:
        parsed = convert(arguments, command.arguments)
    except ConfigError as error:
        raise CommandError("invalid_format", str(error)) from error
    try:
        return to_wire(await command.run(kernel, parsed))
    except KeyError as error:
        raise CommandError("not_found", f"there is no {error.args[0]!r}") from error
    except ValueError as error:
        raise CommandError("not_supported", str(error)) from error


async def _trigger(kernel: Kernel, arguments: EventArguments) -> Any:
    return {"executions": await kernel.trigger(arguments.event_id)}


async def _skip(kernel: Kernel, arguments: EventArguments) -> Any:
    return {"slot": await steering.skip_next(kernel, arguments.event_id)}


async def _unskip(kernel: Kernel, arguments: EventArguments) -> Any:
    return {"slot": await steering.unskip(kernel, arguments.event_id)}


async def _pause(kernel: Kernel, arguments: PauseArguments) -> Any:
    until = arguments.until or steering.FOR_EVER
    await steering.pause(kernel, arguments.event_id, until)
    return {"paused_until": until}


async def _resume(kernel: Kernel, arguments: EventArguments) -> Any:
    await steering.resume(kernel, arguments.event_id)
    return {"paused_until": None}


async def _test(kernel: Kernel, arguments: TestArguments) -> Any:
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


async def _cancel(kernel: Kernel, arguments: ExecutionArguments) -> Any:
    if not await kernel.cancel(arguments.execution_id, "cancelled"):
        raise KeyError(arguments.execution_id)
    return {"execution_id": arguments.execution_id}


async def _retry(kernel: Kernel, arguments: ExecutionArguments) -> Any:
    return {"executions": await rerun(kernel, arguments.execution_id)}


COMMANDS: dict[str, Command] = {
    command.name: command
    for command in (
        Command("events/trigger", EventArguments, _trigger, "Run an event now."),
        Command("events/skip", EventArguments, _skip, "Skip the next slot of an event."),
        Command("events/unskip", EventArguments, _unskip, "Take the last skip back."),
        Command("events/pause", PauseArguments, _pause, "Pause an event."),
        Command("events/resume", EventArguments, _resume, "End the pause of an event."),
        Command("events/test", TestArguments, _test, "Try an event outside its history."),
        Command("executions/cancel", ExecutionArguments, _cancel, "Cancel an execution."),
        Command("executions/retry", ExecutionArguments, _retry, "Run an ended execution again."),
    )
}
