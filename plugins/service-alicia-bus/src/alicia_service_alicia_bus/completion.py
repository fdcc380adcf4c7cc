"""Reports by which receivers tell that an execution is done: ``execution_complete``.

Implements :class:`alicia_scheduler.api.CompletionReports`. The original looked reports up in a
table keyed by events, so none was ever found (X3); here the execution's id is the key.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
import trio

from alicia_scheduler.api import CommandError, CompletionReport, MqttMessage, Status
from alicia_service_alicia_bus.config import AliciaBusConfig
from alicia_service_alicia_bus.envelope import Incoming, unwrap
from alicia_service_alicia_bus.lanes import Rate
from alicia_service_alicia_bus.tally import Tally

__all__ = ["Completions"]

EVENT_TYPE = "execution_complete"

FINAL = {
    "completed": Status.COMPLETED,
    "failed": Status.FAILED,
    "cancelled": Status.CANCELLED,
}

REMEMBERED = 1000
"""Executions that are no longer waited for, and of which a report is known to be late."""


class Expected:
    """Implements :class:`alicia_scheduler.api.ExpectedReport`."""

    def __init__(self) -> None:
        self.report: CompletionReport | None = None
        self._came = trio.Event()

    def give(self, report: CompletionReport) -> None:
        """The report is there; a second one changes nothing."""
        if self.report is None:
            self.report = report
            self._came.set()

    async def wait(self) -> CompletionReport:
        """See :meth:`alicia_scheduler.api.ExpectedReport.wait`."""
        while self.report is None:
            await self._came.wait()
        return self.report


class Completions:
    """Hears reports, and gives them to whoever waits for them."""

    def __init__(self, config: AliciaBusConfig, tally: Tally) -> None:
        self._config = config
        self._tally = tally
        self._rate = Rate(config.max_rate)
        self._expected: dict[str, list[Expected]] = {}
        self._past: dict[str, None] = {}

    @contextmanager
    def expect(self, execution_id: str) -> Iterator[Expected]:
        """See :meth:`alicia_scheduler.api.CompletionReports.expect`."""
        expected = Expected()
        self._expected.setdefault(execution_id, []).append(expected)
        try:
            yield expected
        finally:
            waiting = self._expected[execution_id]
            waiting.remove(expected)
            if not waiting:
                del self._expected[execution_id]
            self._past.pop(execution_id, None)
            self._past[execution_id] = None
            if len(self._past) > REMEMBERED:
                del self._past[next(iter(self._past))]

    def take(self, message: MqttMessage) -> None:
        """Look at a message of the bus: a report that is waited for goes where it belongs."""
        if message.retain or b"execution_id" not in message.payload:
            return  # others speak here as well
        if len(message.payload) > self._config.max_payload:
            self._tally.note("report", f"a report of {len(message.payload)} bytes is too long")
            return
        if not self._rate.take():
            self._tally.note("rate", "reports come faster than max_rate allows")
            return
        try:
            incoming = unwrap(message.payload)
            if incoming.find("event_type") != EVENT_TYPE:
                return
            report = _report(incoming)
        except CommandError as error:
            self._tally.note("report", f"a report on {message.topic[:200]!r} is none: {error}")
            return
        self._tally.handled += 1
        self._give(report)

    def _give(self, report: CompletionReport) -> None:
        waiting = self._expected.get(report.execution_id)
        if waiting is not None:
            for expected in waiting:
                expected.give(report)
        elif report.execution_id in self._past:
            self._tally.note(
                "late",
                f"{report.reporter or 'somebody'} reported {report.status} for the execution "
                f"{report.execution_id}, which is no longer waited for: too late, not applied",
            )
        else:
            self._tally.note(
                "unknown_execution",
                f"a report for the execution {report.execution_id[:100]!r}, for which nobody waits",
            )


def _report(incoming: Incoming) -> CompletionReport:
    """What a report says.

    Raises:
        CommandError: it does not say which execution ended, or how.
    """
    execution_id = incoming.find("execution_id")
    if not isinstance(execution_id, str) or not execution_id or len(execution_id) > 256:
        raise CommandError("invalid_format", "execution_id is missing or no id")
    status = incoming.fields.get("status", incoming.find("status"))
    final = FINAL.get("completed" if status is None else status) if _is_text(status) else None
    if final is None:
        shown = str(status)[:100]
        raise CommandError("invalid_format", f"{shown!r} is no status that an execution ends with")
    result = incoming.fields.get("result")
    return CompletionReport(
        execution_id=execution_id,
        status=final,
        result=result,
        error=_error(incoming, result),
        reporter=incoming.source or "",
    )


def _is_text(status: object) -> bool:
    return status is None or isinstance(status, str)


def _error(incoming: Incoming, result: Any) -> str | None:
    """What went wrong, in words: where the services of the bus write it."""
    places = [incoming.fields, result if isinstance(result, dict) else {}]
    for place in places:
        for key in ("error_message", "error", "message"):
            if isinstance(place.get(key), str) and place[key]:
                return str(place[key])[:2000]
    if result is None or isinstance(result, dict):
        return None
    return msgspec.json.encode(result)[:2000].decode(errors="replace")
