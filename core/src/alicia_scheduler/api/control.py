"""Commands to a host, as whoever gives them sees it: who asks, what they may, how it is refused.

The commands themselves live behind every door of the host: a Unix socket, TCP, the command line,
and the doors that plugins add (a service that takes commands from a bus).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Protocol

import msgspec

from alicia_scheduler.api.errors import AliciaError
from alicia_scheduler.api.model import EventExecution

__all__ = ["Caller", "CommandError", "Commands", "Permission"]


class Permission(StrEnum):
    """What somebody may do. Each includes those before it."""

    READ = "read"
    """Look: list, get, preview, explain, subscribe."""
    OPERATE = "operate"
    """Also steer what is there: trigger, pause, skip, cancel, retry, enable, disable."""
    ADMIN = "admin"
    """Also change what there is: create, update, delete, reload, plugins, backup."""

    def includes(self, other: Permission) -> bool:
        """True when who has this permission may do what needs ``other``."""
        ranks = list(Permission)
        return ranks.index(self) >= ranks.index(other)


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who gives a command, as the audit log names it.

    Attributes:
        door: through which door: ``unix``, ``tcp``, ``mqtt``, ``event``, ``signal``, ``python``.
        name: who: a user, the name of a token, the sender on a bus, an event's id.
        permission: what they may do.
        denied_actions: action types that they can neither put into an event nor try out.
        origin: the ``origin`` of the events they create.
        execution: on behalf of which execution of this host, when the door is ``event``.
    """

    door: str
    name: str
    permission: Permission = Permission.READ
    denied_actions: frozenset[str] = frozenset()
    origin: str = "api"
    execution: EventExecution | None = None


class CommandError(AliciaError):
    """A command was refused; nothing of it was done.

    Args:
        code: a stable word, Home Assistant's where it has one: ``not_found``, ``invalid_format``,
            ``not_allowed``, ``not_supported``, ``conflict``, ``unknown_command``,
            ``unknown_error``, ``unavailable``.
        message: one plain sentence for people.
        hint: what to do instead.
        path: where in the arguments the mistake is, from the outermost key inwards.
        details: more for programs: ``revision``, the present one after a ``conflict``; ``issues``,
            every mistake when there are several.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        hint: str | None = None,
        path: tuple[str | int, ...] = (),
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.hint = hint
        self.path = path
        self.details: dict[str, Any] = dict(details or {})

    def __str__(self) -> str:
        place = ".".join(str(step) for step in self.path)
        text = f"{place}: {self.message}" if place else self.message
        return f"{text} ({self.hint})" if self.hint else text

    def to_json(self) -> dict[str, Any]:
        """The refusal as it goes over the wire, the same through every door."""
        found: dict[str, Any] = {"code": self.code, "message": self.message}
        if self.hint is not None:
            found["hint"] = self.hint
        if self.path:
            found["path"] = list(self.path)
        if self.details:
            found["details"] = self.details
        return found


class Commands(Protocol):
    """Where every door brings its commands."""

    async def execute(self, caller: Caller, name: str, arguments: Mapping[str, Any]) -> Any:
        """Carry out a command.

        Args:
            caller: who asks; their permission is checked, and what changes anything is written
                to the audit log under their name.
            name: ``<noun>/<verb>``, e.g. ``events/trigger``.
            arguments: plain JSON data.

        Returns:
            the answer, JSON-ready.

        Raises:
            CommandError: it is unknown, not allowed, its arguments are wrong, or it cannot be
                done.
        """
        ...

    def note(self, caller: Caller, name: str, arguments: Mapping[str, Any], outcome: str) -> None:
        """Write to the audit log what a door did by itself, or refused before it came here. Never
        waits. Added in API 1.1.

        Args:
            name: of the command, or of what the door calls its own; one that only looks is not
                written.
            outcome: ``ok``, or the code of the refusal.
        """
        ...
