"""Async functions of the embedding program as actions: action type ``function``.

An event names its function and does not hold it, as no store can keep a function. So the event
outlives the process and its function does not: until the program gives a function of this name
again, the event is unresolved.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import msgspec

from alicia_scheduler.api import (
    Action,
    ActionContext,
    ActionType,
    ConfigError,
    EventExecution,
    Permanent,
    hookimpl,
)
from alicia_scheduler.kernel.prepared import Unresolved

__all__ = ["FUNCTION", "Functions"]

FUNCTION = "function"
"""The name of the action type."""


class FunctionConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which function an event runs.

    Attributes:
        name: the name that the program gave it.
    """

    name: str


class Functions:
    """The functions that the program has given, by name. A plugin, as its hook shows."""

    def __init__(self) -> None:
        self._functions: dict[str, Callable[[EventExecution], Awaitable[object]]] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._functions

    def put(self, name: str, function: Callable[..., Awaitable[object]]) -> None:
        """Take a function, in place of an earlier one of this name.

        Args:
            function: async; it is given the execution, unless it has no parameter.

        Raises:
            ConfigError: it is not async, or has parameters that nobody gives it.
        """
        self._functions[name] = _of_an_execution(name, function)

    def snapshot(self) -> Callable[[], None]:
        """A function that puts all back as it is now."""
        kept = dict(self._functions)

        def restore() -> None:
            self._functions = kept

        return restore

    def discard(self, name: str) -> None:
        """Forget a function. No effect when there is none of this name."""
        self._functions.pop(name, None)

    async def run(self, config: FunctionConfig, execution: EventExecution) -> object | None:
        """See :meth:`alicia_scheduler.api.Action.run`."""
        function = self._functions.get(config.name)
        if function is None:
            raise Permanent(_missing(config.name), error_class="not_found")
        return await function(execution)

    @hookimpl
    def alicia_action_types(self) -> Iterator[ActionType]:
        """Offer the functions as one action type."""
        yield ActionType(
            name=FUNCTION,
            config=FunctionConfig,
            open=self._opened,
            check=self._check,
            summary="run an async function of the program that the host is embedded in",
        )

    @asynccontextmanager
    async def _opened(self, _context: ActionContext) -> AsyncIterator[Action]:
        yield self

    def _check(self, config: FunctionConfig, _settings: object) -> None:
        if config.name not in self._functions:
            raise Unresolved(_missing(config.name))


def _missing(name: str) -> str:
    return f"the program has given no function {name!r} (host.add_event or @host.action gives one)"


def _of_an_execution(
    name: str, function: Callable[..., Awaitable[object]]
) -> Callable[[EventExecution], Awaitable[object]]:
    call = function if inspect.isroutine(function) else getattr(function, "__call__", function)  # noqa: B004
    if not (inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(call)):
        raise ConfigError(
            f"the action of {name!r} is not an async function",
            path=("action",),
            hint="write 'async def'; blocking code goes through trio.to_thread.run_sync",
        )
    signature = inspect.signature(function)
    for arguments in ((None,), ()):
        try:
            signature.bind(*arguments)
        except TypeError:
            continue
        return function if arguments else partial(_without_execution, function)
    raise ConfigError(
        f"the action of {name!r} needs more than the execution: {signature}",
        path=("action",),
        hint="bind the other parameters with functools.partial",
    )


async def _without_execution(
    function: Callable[[], Awaitable[object]], _execution: EventExecution
) -> Any:
    return await function()
