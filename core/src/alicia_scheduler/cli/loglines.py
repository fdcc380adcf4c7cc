"""The host's own log on standard error: one line a message, whatever somebody sent."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from types import TracebackType
from typing import TypeAlias

from alicia_scheduler.cli.output import printable

__all__ = ["LineFormatter"]

Failure: TypeAlias = (
    tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]
)


class LineFormatter(logging.Formatter):
    """Time in UTC with its offset, level, logger, message: on one line, without control characters,
    so that nobody's name or answer can pass for a line of the host's or drive a terminal. A
    traceback keeps its lines."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        at = datetime.fromtimestamp(record.created, UTC)
        return at.isoformat(sep=" ", timespec="milliseconds")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        return printable(super().formatMessage(record))

    def formatException(self, ei: Failure) -> str:  # noqa: N802
        return "\n".join(map(printable, super().formatException(ei).splitlines()))
