"""asyncio beside trio: a loop in a thread for each plugin that asks for one.

A plugin's asyncio libraries all live in one loop, so that what one call opens another can use. No
two plugins share one, so that whoever blocks it blocks itself.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Generic, TypeVar

import trio

from alicia_scheduler.host.supervision import describe_error

__all__ = ["AsyncioThread"]

T = TypeVar("T")

logger = logging.getLogger(__name__)

END_WITHIN = 5.0
"""Seconds that a cancelled asyncio task has to end, and that a loop has to close."""


class AsyncioThread:
    """An asyncio loop in a daemon thread of its own, started with the first call.

    Args:
        plugin: whose it is, for the thread's name and for blame.
    """

    def __init__(self, plugin: str) -> None:
        self._plugin = plugin
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    async def run(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        """Await ``function(*args)`` in the loop.

        When this is cancelled the asyncio task is cancelled too, and its end is waited for, five
        seconds at the most; one that goes on is told in the log, and left alone.

        Raises:
            RuntimeError: the asyncio task was cancelled from within.
            BaseException: what the function raises.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        call = _Call(function, args)
        self._soon(call.begin)
        try:
            await call.done.wait()
        except trio.Cancelled:
            self._soon(call.cancel)
            with trio.move_on_after(END_WITHIN, shield=True):
                await call.done.wait()
            if not call.done.is_set():
                logger.warning(
                    "plugin %s: the asyncio task of %s goes on %g s after it was cancelled",
                    self._plugin,
                    getattr(function, "__qualname__", function),
                    END_WITHIN,
                )
                raise
            if call.was_cancelled:
                call.tell_error(self._plugin)
                raise
        return call.unwrap(self._plugin)

    def close(self) -> None:
        """Cancel what runs in the loop and let its thread end, without waiting for that."""
        loop, self._loop = self._loop, None
        if loop is not None:
            with suppress(RuntimeError):  # it has closed already
                loop.call_soon_threadsafe(loop.stop)

    async def aclose(self) -> None:
        """Close, and wait for the thread's end, five seconds at the most."""
        self.close()
        thread, self._thread = self._thread, None
        if thread is None:
            return
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(thread.join, END_WITHIN)
        if thread.is_alive():
            logger.warning("plugin %s: its asyncio loop does not end", self._plugin)

    def _soon(self, call: Callable[[], None]) -> None:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(
                target=_live,
                args=(self._loop,),
                name=f"alicia-asyncio {self._plugin}",
                daemon=True,
            )
            self._thread.start()
        self._loop.call_soon_threadsafe(call)


class _Call(Generic[T]):
    """One call on its way through the loop. What begins with the loop runs in its thread.

    Attributes:
        done: set in trio when the task has ended.
        was_cancelled: it was cancelled before it had come to an end by itself.
    """

    def __init__(
        self, function: Callable[..., Coroutine[Any, Any, T]], args: tuple[Any, ...]
    ) -> None:
        self.done = trio.Event()
        self.was_cancelled = False
        self._function = function
        self._args = args
        self._token = trio.lowlevel.current_trio_token()
        self._context = contextvars.copy_context()
        self._task: asyncio.Task[None] | None = None
        self._value: list[T] = []
        self._error: BaseException | None = None

    def begin(self) -> None:
        """In the loop: start the task."""
        self._task = asyncio.get_running_loop().create_task(self._carry(), context=self._context)

    def cancel(self) -> None:
        """In the loop: cancel the task, if there is something left to cancel."""
        if self._task is not None and not self._task.done():
            self.was_cancelled = True
            self._task.cancel()

    async def _carry(self) -> None:
        try:
            self._value.append(await self._function(*self._args))
        except BaseException as error:  # noqa: BLE001 - carried over to whoever awaits the call
            self._error = error
        finally:
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self.done.set)

    def tell_error(self, plugin: str) -> None:
        """Log what the task raised instead of ending when it was cancelled, if it did."""
        if self._error is not None and not isinstance(self._error, asyncio.CancelledError):
            logger.warning("plugin %s: %s", plugin, describe_error(self._error))

    def unwrap(self, plugin: str) -> T:
        """What came of it."""
        if isinstance(self._error, asyncio.CancelledError):
            raise RuntimeError(
                f"plugin {plugin}: the asyncio task was cancelled from within"
            ) from self._error
        if self._error is not None:
            raise self._error
        return self._value[0]


def _live(loop: asyncio.AbstractEventLoop) -> None:
    """The life of the thread: until somebody stops the loop; then all its tasks end."""
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        asyncio.set_event_loop(None)
        loop.close()
