"""The commands of the host as the bus may use them: what is allowed, and in whose name."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from fnmatch import fnmatchcase
from typing import Any, NoReturn

import trio

from alicia_scheduler.api import (
    Caller,
    CommandError,
    Commands,
    Permission,
    ServiceContext,
    ServiceUnavailable,
)
from alicia_service_alicia_bus.config import AliciaBusConfig

__all__ = ["Desk", "Seat"]

START_WITHIN = 10.0
"""Seconds that a command waits for a schedule that is only starting."""


class Desk:
    """Where the commands of all senders are brought."""

    def __init__(self, config: AliciaBusConfig, context: ServiceContext) -> None:
        self._config = config
        self._context = context

    def seat(self, sender: str | None) -> Seat:
        """The desk as one sender sees it. Their name is what they call themselves: MQTT 5 and
        3.1.1 carry none that a receiver could check."""
        caller = Caller(
            door="mqtt",
            name=sender or "somebody",
            permission=self._config.permission,
            denied_actions=self._config.denied_actions,
            origin="mqtt",
        )
        return Seat(self, caller)

    def check(self, name: str) -> None:
        """Raises:
        CommandError: the configuration does not let the bus use this command.
        """
        allowed = any(fnmatchcase(name, glob) for glob in self._config.allow)
        if not allowed or any(fnmatchcase(name, glob) for glob in self._config.deny):
            raise CommandError(
                "not_allowed",
                f"{name} is not among what this host lets the bus do",
                hint="the options allow and deny of [services.alicia_bus] say what is",
            )

    async def health(self) -> dict[str, Any]:
        """How the host is, in its own words; empty while the schedule does not run."""
        caller = Caller(door="mqtt", name="health", permission=Permission.READ)
        try:
            return dict(await self._context.commands.execute(caller, "health", {}))
        except (ServiceUnavailable, CommandError):
            return {}

    async def execute(self, caller: Caller, name: str, arguments: Mapping[str, Any]) -> Any:
        """Carry a command out, once the schedule runs."""
        return await (await self._commands()).execute(caller, name, arguments)

    def note(self, caller: Caller, name: str, arguments: Mapping[str, Any], outcome: str) -> None:
        """Have it written down what was done here, or refused, without the host's commands."""
        with suppress(ServiceUnavailable):
            self._context.commands.note(caller, name, arguments, outcome)

    async def _commands(self) -> Commands:
        with trio.move_on_after(START_WITHIN):
            while True:
                try:
                    return self._context.commands
                except ServiceUnavailable:
                    await trio.sleep(0.1)
        raise CommandError("unavailable", "the schedule does not run", hint="try again later")


class Seat:
    """The desk in the name of one caller."""

    def __init__(self, desk: Desk, caller: Caller) -> None:
        self._desk = desk
        self._caller = caller

    def check(self, name: str) -> None:
        """Let the caller use what has this name beside the host's commands, and write it down.

        Raises:
            CommandError: they may not.
        """
        try:
            self._desk.check(name)
        except CommandError as error:
            self.refuse(name, error)
        if not self._caller.permission.includes(Permission.ADMIN):
            self.refuse(name, CommandError("not_allowed", f"{name} needs the permission admin"))
        self._desk.note(self._caller, name, {}, "ok")

    def refuse(
        self, name: str, error: CommandError, arguments: Mapping[str, Any] | None = None
    ) -> NoReturn:
        """Write down that this was refused, and raise it.

        Raises:
            CommandError: the refusal.
        """
        self._desk.note(self._caller, name, arguments or {}, error.code)
        raise error

    async def do(self, name: str, arguments: Mapping[str, Any] | None = None) -> Any:
        """Carry out what the sender asked for.

        Raises:
            CommandError: it is not allowed, or refused.
        """
        try:
            self._desk.check(name)
        except CommandError as error:
            self.refuse(name, error, arguments)
        return await self._desk.execute(self._caller, name, arguments or {})

    async def look(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """Look something up that another command needs and that is not told to the sender."""
        reader = Caller(door=self._caller.door, name=self._caller.name, permission=Permission.READ)
        return await self._desk.execute(reader, name, arguments)
