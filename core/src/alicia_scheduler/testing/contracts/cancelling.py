"""Cancelling something at each of its awaits, one after the other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from alicia_scheduler.kernel.overdue import GRACE

__all__ = ["cancel_at_each_await", "in_time"]

MOST = 200
"""Something that awaits more often is cancelled at its first so many awaits."""


class _At(trio.abc.Instrument):
    """Cancels a scope when a task is about to take its n-th step."""

    def __init__(self, number: int, scope: trio.CancelScope) -> None:
        self._left = number
        self._scope = scope
        self._task = trio.lowlevel.current_task()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        if task is self._task:
            self._left -= 1
            if self._left == 0:
                self._scope.cancel()


async def cancel_at_each_await(
    do: Callable[[], Awaitable[object]],
    what: str,
    *,
    between: Callable[[], Awaitable[object]] | None = None,
    within: float = GRACE,
) -> int:
    """Do something again and again, each time cancelled one await later, until it ends before.

    Args:
        what: what is done, for messages.
        between: awaited after each time.
        within: seconds that it may take to end once it is cancelled.

    Returns:
        at how many awaits it was cancelled.
    """
    for number in range(1, MOST + 1):
        scope = trio.CancelScope()
        instrument = _At(number, scope)
        trio.lowlevel.add_instrument(instrument)
        try:
            await in_time(do, scope, f"{what}, cancelled at await {number},", within)
        finally:
            trio.lowlevel.remove_instrument(instrument)
        if between is not None:
            await between()
        if not scope.cancel_called:
            return number - 1
    return MOST


async def in_time(
    do: Callable[[], Awaitable[object]], scope: trio.CancelScope, what: str, within: float
) -> None:
    """Do something in ``scope``; fail when it goes on for too long once that is cancelled, or
    raises something else than the cancellation."""
    began: list[float] = []

    async def watch() -> None:
        while not scope.cancel_called:  # noqa: ASYNC110  # a scope has no event
            await trio.sleep(0.01)
        began.append(trio.current_time())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        with scope:
            try:
                await do()
            except Exception as error:
                if not scope.cancel_called:
                    raise
                raise AssertionError(
                    f"{what} raises {type(error).__name__}: {error}; "
                    "let trio.Cancelled pass, and raise nothing in its place"
                ) from error
        took = trio.current_time() - began[0] if began else 0.0
        nursery.cancel_scope.cancel()
    assert took <= within, (
        f"{what} takes {took:.1f} s to end; {within:g} s is the most. "
        "Do not wait in a shielded scope, or bound the wait"
    )
