"""What happens in a host, for whoever iterates over it: bounded, and never in its way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

import msgspec
import trio

from alicia_scheduler.api import EventExecution, Notification, Status

__all__ = ["Stream", "Streams", "ended_execution"]

T = TypeVar("T")

LIMIT = 10_000
"""Items that wait for one reader at the most."""


class Stream(Generic[T]):
    """Items as they come: ``async for item in stream``. It ends when the host does.

    Attributes:
        dropped: so many of the oldest were dropped because the reader was too slow.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self.dropped = 0
        self._limit = limit
        self._waiting: deque[T] = deque()
        self._arrived = trio.Event()
        self._closed = False

    def put(self, item: T) -> None:
        """Take an item in, without waiting."""
        if len(self._waiting) >= self._limit:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(item)
        self._arrived.set()

    def close(self) -> None:
        """Nothing more comes."""
        self._closed = True
        self._arrived.set()

    def __aiter__(self) -> Stream[T]:
        return self

    async def __anext__(self) -> T:
        await trio.lowlevel.checkpoint()
        while not self._waiting:
            if self._closed:
                raise StopAsyncIteration
            self._arrived = trio.Event()
            await self._arrived.wait()
        return self._waiting.popleft()


class Streams:
    """All streams of a host, fed by :meth:`hear`."""

    def __init__(self) -> None:
        self._feeds: dict[int, tuple[Callable[[Notification], None], Callable[[], None]]] = {}
        self._closed = False

    def hear(self, notification: Notification) -> None:
        """Hand a notification to every stream that wants it."""
        for feed, _ in tuple(self._feeds.values()):
            feed(notification)

    @contextmanager
    def open(
        self, choose: Callable[[Notification], T | None], limit: int = LIMIT
    ) -> Iterator[Stream[T]]:
        """A stream of what ``choose`` makes of each notification, None left out."""
        stream: Stream[T] = Stream(limit)

        def feed(notification: Notification) -> None:
            item = choose(notification)
            if item is not None:
                stream.put(item)

        self._feeds[id(stream)] = (feed, stream.close)
        if self._closed:
            stream.close()
        try:
            yield stream
        finally:
            del self._feeds[id(stream)]

    def close(self) -> None:
        """The host has ended: every stream ends behind what it holds."""
        self._closed = True
        for _, close in tuple(self._feeds.values()):
            close()


def ended_execution(notification: Notification) -> EventExecution | None:
    """The execution whose end a notification tells, or None when it tells something else."""
    data = notification.event_data
    status = data.get("status")
    if not notification.event_type.startswith("execution_") or "execution_id" not in data:
        return None
    if status not in set(Status) or not Status(status).final:
        return None
    steps = [[step["name"], step["offset"]] for step in data.get("steps", ())]
    return msgspec.convert({**data, "steps": steps}, EventExecution, strict=False)
