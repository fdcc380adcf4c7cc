"""A sink that keeps what it is given, so that a test can look at it and wait for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import trio

from alicia_scheduler.api import Notification, SinkType

__all__ = ["RecorderSink"]

PATIENCE = 60.0
"""Seconds that a notification is waited for; of virtual time, where a test has that."""


class NoOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The recorder has no options."""


class RecorderSink:
    """A sink in the memory of a test.

    Attributes:
        batches: what :meth:`write` was given, call by call.
        failures: so many calls of :meth:`write` fail before one takes its batch.
    """

    def __init__(self) -> None:
        self.batches: list[list[Notification]] = []
        self.failures = 0
        self._arrived = trio.Event()

    @property
    def notifications(self) -> list[Notification]:
        """Everything that was written, oldest first."""
        return [notification for batch in self.batches for notification in batch]

    def told(self, event_type: str) -> list[dict[str, Any]]:
        """The data of all notifications of a type."""
        return [item.event_data for item in self.notifications if item.event_type == event_type]

    async def write(self, notifications: Sequence[Notification]) -> None:
        """See :class:`alicia_scheduler.api.Sink`."""
        if self.failures:
            self.failures -= 1
            raise OSError("the recorder was told to fail")
        self.batches.append(list(notifications))
        self._arrived.set()

    async def wait_for(
        self, event_type: str, matching: Callable[[dict[str, Any]], bool] = lambda _: True
    ) -> dict[str, Any]:
        """The data of the first notification of a type that matches, once it is there.

        Raises:
            trio.TooSlowError: it does not come within a minute.
        """
        with trio.fail_after(PATIENCE):
            while True:
                for data in self.told(event_type):
                    if matching(data):
                        return data
                self._arrived = trio.Event()
                await self._arrived.wait()

    def sink_type(self, name: str = "recorder.sink") -> SinkType:
        """A sink type that always opens this recorder, for a plugin of a test."""

        @asynccontextmanager
        async def open_recorder(_config: Any, _context: Any) -> AsyncIterator[RecorderSink]:
            yield self

        return SinkType(
            name=name, config=NoOptions, open=open_recorder, summary="keeps what it is given"
        )
