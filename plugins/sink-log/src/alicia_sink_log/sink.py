"""The sink at work: batches of lines to a stream, outside the loop."""

from __future__ import annotations

import json
import os
import select
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from alicia_scheduler.api import Notification, SinkContext, to_wire
from alicia_sink_log.config import LogSinkConfig
from alicia_sink_log.text import text_line

__all__ = ["LogSink", "open_sink"]

DESCRIPTORS = {"stdout": 1, "stderr": 2}


@asynccontextmanager
async def open_sink(config: LogSinkConfig, context: SinkContext) -> AsyncIterator[LogSink]:
    """The sink on a standard stream of this process."""
    descriptor = DESCRIPTORS[config.stream]
    stream = getattr(sys, config.stream)
    yield LogSink(
        config,
        context,
        descriptor=descriptor,
        encoding=getattr(stream, "encoding", None) or "utf-8",
        colour=os.isatty(descriptor) and not os.environ.get("NO_COLOR"),
    )


class LogSink:
    """Writes notifications to a file descriptor, a batch at a time.

    Args:
        config: which notifications, and how.
        context: the host's handle; its threads do the writing.
        descriptor: open for writing. Python's own stream objects are passed by, because a thread
            that is stuck in one of them would keep the interpreter from exiting.
        encoding: of the stream; what it cannot hold becomes a question mark.
        colour: mark outcomes with ANSI colours (https://no-color.org says when not to).
    """

    def __init__(
        self,
        config: LogSinkConfig,
        context: SinkContext,
        *,
        descriptor: int,
        encoding: str = "utf-8",
        colour: bool = False,
    ) -> None:
        self._config = config
        self._context = context
        self._descriptor = descriptor
        self._encoding = encoding
        self._line: Callable[[Notification], str] = json_line
        if config.format == "text":
            self._line = lambda notification: text_line(notification, colour=colour)

    async def write(self, notifications: Sequence[Notification]) -> None:
        """Write the wanted ones of a batch, and return when the stream has taken them.

        Raises:
            OSError: the stream is closed, e.g. the reader of a pipe has gone.
        """
        lines = [
            f"{self._line(notification)}\n"
            for notification in notifications
            if self._config.wants(notification.event_type)
        ]
        if lines:
            encoded = "".join(lines).encode(self._encoding, "replace")
            await self._context.run_sync(_write_all, self._descriptor, encoded)


def json_line(notification: Notification) -> str:
    """The notification in its wire form, in ASCII, so that nothing in it can steer a terminal."""
    text = json.dumps(to_wire(notification), default=str, separators=(",", ":"))
    return text.replace("\x7f", "\\u007f")


def _write_all(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        try:
            written = os.write(descriptor, rest)
        except BlockingIOError:
            # Somebody who shares the terminal has made it non-blocking.
            select.select([], [descriptor], [])
        else:
            rest = rest[written:]
