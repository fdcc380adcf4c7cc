"""Reports that what an execution started elsewhere is done, as a contract.

A publish is done when the broker has it; whether the receiver did anything is another question. A
service that hears the answer, on whatever way, provides this contract. Ask for it with
``context.service(CompletionReports)``.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Protocol

import msgspec

from alicia_scheduler.api.model import Status

__all__ = ["CompletionReport", "CompletionReports", "ExpectedReport"]


class CompletionReport(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody told about an execution.

    Attributes:
        execution_id: which one.
        status: how it ended: completed, failed or cancelled.
        result: what they told of it (JSON-ready), or None.
        error: what went wrong, in words, or None.
        reporter: who told it, as they call themselves.
    """

    execution_id: str
    status: Status
    result: Any = None
    error: str | None = None
    reporter: str = ""


class ExpectedReport(Protocol):
    """A report that somebody waits for."""

    async def wait(self) -> CompletionReport:
        """Wait until the report is there, however long that takes; the first one counts."""
        ...


class CompletionReports(Protocol):
    """Who hears reports."""

    def expect(self, execution_id: str) -> AbstractContextManager[ExpectedReport]:
        """Listen for the report on an execution while the block is open.

        Enter it before the work is asked for, as the answer may be fast. What comes after the
        block is late: it is told in the log, and changes nothing.
        """
        ...
