"""Notifications as lines on the terminal or in the journal: sink type ``log``."""

from __future__ import annotations

from collections.abc import Iterator

from alicia_scheduler.api import SinkType, hookimpl
from alicia_sink_log.config import LogSinkConfig
from alicia_sink_log.sink import open_sink

__all__ = ["LogSinkConfig"]


@hookimpl
def alicia_sinks() -> Iterator[SinkType]:
    """Offer the sink."""
    yield SinkType(
        name="log",
        config=LogSinkConfig,
        open=open_sink,
        summary="one line per notification, for people or as JSON",
    )
