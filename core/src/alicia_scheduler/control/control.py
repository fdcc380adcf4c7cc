"""Where every door brings its commands: known or not, allowed or not, right or wrong, then done."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import trio

from alicia_scheduler.api.control import Caller, CommandError
from alicia_scheduler.api.model import to_wire
from alicia_scheduler.config.convert import convert
from alicia_scheduler.config.wording import suggest
from alicia_scheduler.control.command import Command, Request
from alicia_scheduler.control.edits import Edits
from alicia_scheduler.control.refusals import refusals
from alicia_scheduler.control.tally import Tally
from alicia_scheduler.host.audit import is_audited
from alicia_scheduler.host.host import Host
from alicia_scheduler.kernel.kernel import Kernel

__all__ = ["Control"]

logger = logging.getLogger(__name__)

TABLE = "alicia_scheduler.control.commands"

DEPTH = 50
"""Levels of objects and lists that arguments may have."""


class Control:
    """The commands of one host. Implements :class:`alicia_scheduler.api.Commands`.

    Args:
        host: running or about to run; before its schedule runs, commands are ``unavailable``.

    Attributes:
        answering: set when the first door is open.
        edits: lets one command at a time edit an event.
        tally: what happened since the start.
        aside: lets so many threads at once look ahead or check definitions; plugins that use up
            trio's common threads do not hold them up.
    """

    def __init__(self, host: Host) -> None:
        self.host = host
        self.answering = trio.Event()
        self.edits = Edits()
        self.tally = Tally(host.clock)
        self.aside = trio.CapacityLimiter(2)
        host.notifier.listen(self.tally.listen)
        host.commands = self

    @property
    def kernel(self) -> Kernel:
        """The kernel of the host.

        Raises:
            CommandError: there is none yet.
        """
        if self.host.kernel is None:
            raise CommandError("unavailable", "the schedule does not run yet", hint="try again")
        return self.host.kernel

    async def execute(self, caller: Caller, name: str, arguments: Mapping[str, Any]) -> Any:
        """See :meth:`alicia_scheduler.api.Commands.execute`."""
        command = (await _commands()).get(name)
        try:
            answer = await self._execute(command, caller, name, arguments)
        except CommandError as error:
            refusal = self._redacted(error)
            self._audit(command, caller, name, arguments, refusal.code)
            raise refusal from error
        except trio.Cancelled:
            self._audit(command, caller, name, arguments, "cancelled")
            raise
        self._audit(command, caller, name, arguments, "ok")
        return answer

    def note(self, caller: Caller, name: str, arguments: Mapping[str, Any], outcome: str) -> None:
        """See :meth:`alicia_scheduler.api.Commands.note`."""
        from alicia_scheduler.control.commands import COMMANDS

        command = COMMANDS.get(name)
        if command is None or is_audited(command.permission):
            self.host.audit.note(caller, name, arguments, outcome)

    async def _execute(
        self, command: Command | None, caller: Caller, name: str, arguments: Mapping[str, Any]
    ) -> Any:
        if command is None:
            names = list(await _commands())
            hint = suggest(name, names, likely=names, noun="commands")
            raise CommandError("unknown_command", f"there is no command {name!r}", hint=hint)
        if not caller.permission.includes(command.permission):
            raise CommandError(
                "not_allowed", f"{name} needs {command.permission}, you have {caller.permission}"
            )
        if caller.execution is None and not self.host.started.is_set():
            # Executions may run, and call, before all that was left behind is settled.
            raise CommandError("unavailable", "the schedule does not run yet", hint="try again")
        if _deeper_than(DEPTH, arguments):
            raise CommandError("invalid_format", f"arguments have more than {DEPTH} levels")
        try:
            with refusals():
                parsed = convert(dict(arguments), command.arguments)
                answer = await command.run(Request(self, caller), parsed)
            return self.host.notifier.redact(to_wire(answer))
        except CommandError:
            raise
        except Exception as error:
            logger.exception("%s failed", name)
            hint = "the log of the host says more"
            raise CommandError("unknown_error", f"{name} failed", hint=hint) from error

    def _redacted(self, error: CommandError) -> CommandError:
        said = self.host.notifier.redact(
            {
                "message": error.message,
                "hint": error.hint,
                "path": list(error.path),
                "details": error.details,
            }
        )
        return CommandError(error.code, **said | {"path": tuple(said["path"])})

    def _audit(
        self,
        command: Command | None,
        caller: Caller,
        name: str,
        arguments: Mapping[str, Any],
        outcome: str,
    ) -> None:
        if command is None or not is_audited(command.permission):
            return
        logger.info("%s by %s (%s): %s", name, caller.name, caller.door, outcome)
        self.host.audit.note(caller, name, arguments, outcome)


async def _commands() -> Mapping[str, Command]:
    """The table of commands: imported by the first command, as most hosts are seldom asked."""
    if TABLE not in sys.modules:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(import_module, TABLE)
    from alicia_scheduler.control.commands import COMMANDS

    return COMMANDS


def _deeper_than(limit: int, value: object) -> bool:
    """Whether data is nested deeper; found without going deep itself."""
    level: list[object] = [value]
    for _ in range(limit):
        level = [
            inner
            for outer in level
            if isinstance(outer, (Mapping, list, tuple))
            for inner in (outer.values() if isinstance(outer, Mapping) else outer)
        ]
        if not level:
            return False
    return True
