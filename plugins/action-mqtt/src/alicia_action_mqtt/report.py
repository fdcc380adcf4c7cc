"""The report by which a receiver says how an execution ended."""

from __future__ import annotations

from typing import Any

from alicia_scheduler.api import CalledOff, CompletionReport, Retryable, Status

__all__ = ["reported"]


def reported(report: CompletionReport, published: dict[str, Any]) -> dict[str, Any]:
    """What a report of success adds to the result of an execution.

    Args:
        report: what the receiver told.
        published: the result so far, which a failure keeps too.

    Raises:
        Retryable: it failed (class ``reported_failure``).
        CalledOff: it was cancelled.
    """
    told = {"status": report.status.value, "reporter": report.reporter, "result": report.result}
    if report.status is Status.COMPLETED:
        return told
    whole = published | {"status": report.status.value, "report": told}
    reason = f": {report.error}" if report.error else ""
    if report.status is Status.CANCELLED:
        raise CalledOff(f"{report.reporter or 'the receiver'} cancelled it{reason}", result=whole)
    raise Retryable(
        f"{report.reporter or 'the receiver'} reported a failure{reason}",
        error_class="reported_failure",
        result=whole,
    )
