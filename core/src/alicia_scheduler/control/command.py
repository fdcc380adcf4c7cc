"""What a command is: a name, the shapes of its arguments and its answer, who may, what it does."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from alicia_scheduler.api.control import Caller, Permission

if TYPE_CHECKING:
    from alicia_scheduler.control.control import Control
    from alicia_scheduler.host.host import Host
    from alicia_scheduler.kernel.kernel import Kernel

__all__ = ["Answer", "Arguments", "Command", "Nothing", "Request"]


class Arguments(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every command's arguments: unknown keys are refused."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Base of every command's answer."""


class Nothing(Arguments, frozen=True):
    """No arguments."""


@dataclass(frozen=True)
class Request:
    """One command as it is being carried out: the host's parts, and who asked."""

    control: Control
    caller: Caller

    @property
    def host(self) -> Host:
        """The host that is commanded."""
        return self.control.host

    @property
    def kernel(self) -> Kernel:
        """Its kernel.

        Raises:
            CommandError: it does not run yet.
        """
        return self.control.kernel


@dataclass(frozen=True)
class Command:
    """One command.

    Attributes:
        name: ``<noun>/<verb>``, which is also the message's ``type`` on the wire.
        arguments: msgspec Struct of the arguments; its docstring documents them.
        answer: msgspec Struct of the answer; its docstring documents it.
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
