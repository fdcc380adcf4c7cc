"""What a command is: a name, the shapes of its arguments and its answer, who may, what it does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from alicia_scheduler.api.control import Caller, Permission

if TYPE_CHECKING:
    from alicia_scheduler.control.control import Control

__all__ = ["Arguments", "Command", "Nothing", "Request"]


class Arguments(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every command's arguments: unknown keys are refused."""


class Nothing(Arguments, frozen=True):
    """No arguments."""


@dataclass(frozen=True)
class Request:
    """One command as it is being carried out: the host's parts, and who asked."""

    control: Control
    caller: Caller


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        name: ``<noun>/<verb>``, which is also the message's ``type`` on the wire.
        arguments: msgspec Struct of the arguments; its docstring documents them.
        answer: msgspec Struct of the answer, for its JSON Schema.
        permission: what the caller must have. What needs more than ``read`` is audited.
        run: does it. A ``KeyError`` means ``not_found``, a ``ValueError`` ``not_supported``, a
            ``ConfigError`` ``invalid_format`` at its place in the arguments.
        summary: one line for people.
    """

    name: str
    arguments: type[Any]
    answer: type[Any]
    permission: Permission
    run: Callable[[Request, Any], Awaitable[Any]]
    summary: str
