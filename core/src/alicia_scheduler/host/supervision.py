"""Keeping a long-lived part of a plugin running: open it, watch it, open it again."""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import trio

from alicia_scheduler.host.faults import is_foreign

__all__ = ["CLOSE_TIMEOUT", "OPEN_TIMEOUT", "Backoff", "OpenedTooLate", "Stop", "keep_open"]

logger = logging.getLogger(__name__)

OPEN_TIMEOUT = 60.0
"""Seconds a part gets to open (reliability.md R64)."""

CLOSE_TIMEOUT = 5.0
"""Seconds a part gets to close (reliability.md R65)."""


class OpenedTooLate(Exception):
    """A part took longer than :data:`OPEN_TIMEOUT` to open."""


class Backoff:
    """Waits that double from ``first`` to ``most`` seconds, with full jitter."""

    def __init__(self, first: float = 1.0, most: float = 60.0) -> None:
        self._first, self._most = first, most
        self._failures = 0

    def reset(self) -> None:
        """Begin again with the shortest wait."""
        self._failures = 0

    def next(self) -> float:
        """The next wait in seconds."""
        ceiling = min(self._most, self._first * 2 ** min(self._failures, 16))
        self._failures += 1
        return random.uniform(0, ceiling)


class Stop:
    """Asks a part to close: at once while it is being opened, in order when it is open."""

    def __init__(self) -> None:
        self._wanted = trio.Event()
        self._opening: trio.CancelScope | None = None

    def set(self) -> None:
        """Ask."""
        self._wanted.set()
        if self._opening is not None:
            self._opening.cancel()

    def is_set(self) -> bool:
        """Whether somebody has asked."""
        return self._wanted.is_set()

    async def wait(self) -> None:
        """Wait until somebody asks."""
        await self._wanted.wait()

    def opens(self, scope: trio.CancelScope | None) -> None:
        """``scope`` is what to cancel until the part is open; None when it is."""
        self._opening = scope


async def keep_open(
    name: str,
    opener: Callable[[], AbstractAsyncContextManager[Any]],
    *,
    up: Callable[[Any], None],
    down: Callable[[str, BaseException], None],
    stop: Stop,
    late: Callable[[str], None] = lambda _sentence: None,
) -> None:
    """Hold what ``opener`` opens until ``stop``; when it fails, say so and open it again.

    Opening and closing happen in this one task, as trio wants it. Opening gets
    :data:`OPEN_TIMEOUT`, closing :data:`CLOSE_TIMEOUT`.
    Whatever a plugin raises ends here, except for cancellation.

    Args:
        late: told when it cannot be closed in time or in order.
    """
    backoff = Backoff()
    while not stop.is_set():
        opened_at = None
        # Bounds the opening, then nothing, then the closing.
        scope = trio.CancelScope(deadline=trio.current_time() + OPEN_TIMEOUT)
        stop.opens(scope)
        try:
            with scope:
                async with opener() as part:
                    stop.opens(None)
                    scope.deadline = math.inf
                    opened_at = trio.current_time()
                    up(part)
                    await stop.wait()
                    scope.deadline = trio.current_time() + CLOSE_TIMEOUT
            if scope.cancelled_caught and opened_at is None:
                if not stop.is_set():
                    raise OpenedTooLate(f"it did not open within {OPEN_TIMEOUT:g} s")
                logger.warning("%s was not open yet when the host stopped", name)
            elif scope.cancelled_caught:
                logger.warning("%s did not close within %g s", name, CLOSE_TIMEOUT)
                late(f"{name} did not close within {CLOSE_TIMEOUT:g} s")
            return
        except BaseException as error:
            if not isinstance(error, Exception) and not is_foreign(error):
                raise
            if stop.is_set():
                doing = "opening" if opened_at is None else "closing"
                logger.warning("%s failed while %s: %s", name, doing, describe_error(error))
                late(f"{name} failed while {doing}: {describe_error(error)}")
                return
            down(describe_error(error), error)
            if opened_at is not None and trio.current_time() - opened_at > 60:
                backoff.reset()
        with trio.move_on_after(backoff.next()):
            await stop.wait()


def describe_error(error: BaseException) -> str:
    """The innermost errors of a (group of) exception, on one line."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(describe_error(inner) for inner in error.exceptions)
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
