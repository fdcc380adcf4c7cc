"""An asyncio loop that lives inside a trio task: same thread, no hand-over.

asyncio waits for sockets through a selector, and a selector is itself something that can be waited
for (epoll and kqueue have a file descriptor of their own). So the loop never sleeps: whenever it
has nothing left to do it stops, and trio waits in its place, for the selector or for the next
timer. What a trio task calls in between runs at once, without a wake-up of another thread, which
cost more than publishing itself.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
import selectors
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from functools import partial
from typing import Any, TypeVar, TypeVarTuple

import trio

__all__ = ["HostedLoop"]

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

TURN = 0.001
"""Seconds after which a loop that is still busy lets other tasks of trio have their turn."""


EARLY = 0.001
"""Seconds by which a timer's instant may seem to have moved without having."""


class _Yielding(selectors.DefaultSelector):
    """A selector that never waits, and tells how long it should have.

    Attributes:
        idle: called when there is nothing to do at the moment.
        wait: seconds that the loop wanted to wait; 0 when it has more to do.
    """

    def __init__(self) -> None:
        super().__init__()
        self.idle: Callable[[], object] = lambda: None
        self.wait = 0.0
        self._began: float | None = None

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        busy = timeout is not None and timeout <= 0
        # Looked once already: what has come since then, trio will notice.
        ready: list[tuple[selectors.SelectorKey, int]] = []
        if busy or self._began is None:
            ready = super().select(0)
        nothing = not ready and not busy
        now = time.monotonic()
        if self._began is None:
            self._began = now
        if nothing or now - self._began >= TURN:
            self.wait = (math.inf if timeout is None else timeout) if nothing else 0.0
            self._began = None
            self.idle()
        return ready


class HostedLoop(asyncio.SelectorEventLoop):
    """Runs while :meth:`host` does. Its methods may be called by any task of the same thread."""

    def __init__(self) -> None:
        self._yielding = _Yielding()
        self._turning = False
        self._waiting = trio.CancelScope()
        super().__init__(self._yielding)
        self._yielding.idle = self.stop

    async def host(self, main: asyncio.Task[Any]) -> None:
        """Turn the loop until ``main`` is done."""
        while not main.done():
            with trio.CancelScope() as self._waiting:
                await self._host(main, self._waiting)

    async def _host(self, main: asyncio.Task[Any], waiting: trio.CancelScope) -> None:
        """The same, until a task of trio calls something or a timer is due."""
        descriptor = self._yielding.fileno()
        while True:
            self._turn()
            if main.done():
                return
            if self._yielding.wait == 0.0:
                await trio.lowlevel.checkpoint()
                continue
            # The same scope for many waits: making one costs as much as the rest of this loop.
            until = trio.current_time() + self._yielding.wait
            if not abs(until - waiting.deadline) < EARLY:
                waiting.deadline = until
            await trio.lowlevel.wait_readable(descriptor)

    def _turn(self) -> None:
        self._turning = True
        try:
            self.run_forever()
        finally:
            self._turning = False

    def call_soon(
        self,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        """As asyncio's, and ends the wait when it is a task of trio that calls."""
        handle = super().call_soon(callback, *args, context=context)
        if not self._turning:
            self._waiting.cancel()
        return handle

    def end(self) -> None:
        """Cancel what is left, give it one chance to say goodbye, and close. Does not wait."""
        if self.is_closed():
            return
        for task in asyncio.all_tasks(self):
            task.cancel()
        self._turn()
        self.close()

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Call ``func`` in a thread that nobody waits for when the process ends.

        asyncio's own pool would be joined then, and a black hole would hold the process for as
        long as it likes.
        """
        future: asyncio.Future[T] = self.create_future()

        def settle(setter: Callable[[], object]) -> None:
            if not future.done():
                setter()

        def apart() -> None:
            setter: Callable[[], object]
            try:
                setter = partial(future.set_result, func(*args))
            except Exception as error:  # noqa: BLE001  # carried to whoever awaits the future
                setter = partial(future.set_exception, error)
            try:
                self.call_soon_threadsafe(settle, setter)
            except RuntimeError:  # the loop has closed meanwhile
                return

        threading.Thread(target=apart, name="alicia-mqtt", daemon=True).start()
        return future

    def call_exception_handler(self, context: Mapping[str, Any]) -> None:
        """Nothing: what fails here is told as the end of the connection."""
