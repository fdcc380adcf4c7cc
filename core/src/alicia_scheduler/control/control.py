"""Where every door brings its commands: known or not, allowed or not, right or wrong, then done."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import trio

from alicia_scheduler.api.control import Caller, CommandError, Permission
from alicia_scheduler.api.errors import ConfigError, StoreError
from alicia_scheduler.api.model import to_wire
from alicia_scheduler.config.convert import convert
from alicia_scheduler.config.wording import suggest
from alicia_scheduler.control.command import Command, Request
from alicia_scheduler.control.commands import COMMANDS
from alicia_scheduler.host.host import Host
from alicia_scheduler.kernel.kernel import Kernel

__all__ = ["Control"]

logger = logging.getLogger(__name__)


class Control:
    """The commands of one host. Implements :class:`alicia_scheduler.api.Commands`.

    Args:
        host: running or about to run; before its schedule runs, commands are ``unavailable``.

    Attributes:
        answering: set when the first door is open.
    """

    def __init__(self, host: Host) -> None:
        self.host = host
        self.answering = trio.Event()
        host.commands = self

    @property
    def kernel(self) -> Kernel:
        """The kernel of the host.

        Raises:
            CommandError: it does not run yet, or no more.
        """
        kernel = self.host.kernel
        if kernel is None or not self.host.started.is_set():
            raise CommandError("unavailable", "the schedule does not run yet", hint="try again")
        return kernel

    async def execute(self, caller: Caller, name: str, arguments: Mapping[str, Any]) -> Any:
        """See :meth:`alicia_scheduler.api.Commands.execute`."""
        command = COMMANDS.get(name)
        if command is None:
            hint = suggest(name, list(COMMANDS), likely=list(COMMANDS), noun="commands")
            raise CommandError("unknown_command", f"there is no command {name!r}", hint=hint)
        if not caller.permission.includes(command.permission):
            raise CommandError(
                "not_allowed", f"{name} needs {command.permission}, you have {caller.permission}"
            )
        try:
            parsed = convert(dict(arguments), command.arguments)
            answer = await command.run(Request(self, caller), parsed)
        except ConfigError as error:
            raise CommandError(
                "invalid_format", error.message, hint=error.hint, path=error.path
            ) from error
        except KeyError as error:
            raise CommandError("not_found", f"there is no {error.args[0]!r}") from error
        except ValueError as error:
            raise CommandError("not_supported", str(error)) from error
        except StoreError as error:
            raise CommandError("unavailable", str(error), hint="try again later") from error
        _audit(caller, command, arguments)
        return to_wire(answer)


def _audit(caller: Caller, command: Command, arguments: Mapping[str, Any]) -> None:
    if command.permission is not Permission.READ:
        logger.info("%s by %s (%s)", command.name, caller.name, caller.door)
