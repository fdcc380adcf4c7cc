"""At start: what the last run of the host left unfinished gets its end or its second chance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from alicia_scheduler.api.model import EventExecution, OnInterrupted, Status
from alicia_scheduler.kernel import ledger
from alicia_scheduler.kernel.decision import Decision

if TYPE_CHECKING:
    from alicia_scheduler.kernel.kernel import Kernel

__all__ = ["recover", "take_over"]


async def recover(kernel: Kernel) -> None:
    """Settle every unfinished execution, in one transaction, and tell what was found.

    - *Running*: the host died under it. It is closed as interrupted (``crash``); with
      ``on_interrupted = "rerun"`` a new execution for the same slot starts.
    - *Waiting for a retry*: it goes on waiting; the agenda brings it up.
    - *Queued*: it never started, so it starts now.

    All take their places in the lanes of their events, oldest slot first, before any new slot is
    planned, so that the overlap policy holds across a restart.

    ``recovery`` is notified when there was something to settle, or when the last run of the host
    was cut short.

    Missed slots need nothing here: they come up on the agenda as due, and the planner applies
    the misfire policy.
    """
    unfinished = await kernel.store.unfinished()
    if unfinished or kernel.records.unclean:
        await _settle(kernel, unfinished)


async def take_over(kernel: Kernel) -> None:
    """The store became another one while the kernel ran: what only this one knows comes alive,
    its unfinished executions as at a start."""
    strange = {execution.execution_id for execution in await _unknown(kernel)}
    # What the kernel no longer knew after the first look may have ended since the store was asked;
    # what is unfinished at a second look is nobody's.
    unfinished = [run for run in await _unknown(kernel) if run.execution_id in strange]
    if unfinished:
        await _settle(kernel, unfinished)
    kernel.restart_agenda()


async def _unknown(kernel: Kernel) -> list[EventExecution]:
    runner = kernel.runner
    return [
        execution
        for execution in await kernel.store.unfinished()
        if not runner.knows(execution.execution_id)
        and not runner.retries.get(execution.execution_id)
    ]


async def _settle(kernel: Kernel, unfinished: Sequence[EventExecution]) -> None:
    await kernel.catalog.load({execution.event_id for execution in unfinished})
    found = {"interrupted": 0, "rerun": 0, "retrying": 0, "queued": 0}
    decision = Decision()
    retrying = [run for run in unfinished if _waits_for_retry(run)]
    for execution in retrying:
        # First, as one that does not yield keeps those behind it waiting.
        kernel.runner.retries.hold(execution)
    found["retrying"] = len(retrying)
    for execution in unfinished:
        if execution.status is Status.RUNNING:
            _close_interrupted(kernel, execution, decision, found)
        elif not _waits_for_retry(execution):
            _requeue(kernel, execution, decision, found)
    await kernel.carry_out(decision)
    kernel.notifier.emit("recovery", _report(kernel, found))


def _report(kernel: Kernel, found: dict[str, int]) -> dict[str, Any]:
    """What was found and done, for people and for machines."""
    settled = ", ".join(f"{count} {what}" for what, count in found.items() if count)
    unclean, starts = kernel.records.unclean, kernel.records.starts
    before = "the last run was cut short" if unclean else "the last run stopped in order"
    return {
        "message": f"{before}; unfinished executions: {settled or 'none'}",
        "status": "recovered",
        "unclean": unclean,
        "starts": starts.count,
        "unclean_starts": starts.unclean,
        **found,
    }


def _waits_for_retry(execution: EventExecution) -> bool:
    return execution.status is Status.PENDING and execution.next_attempt_at is not None


def _close_interrupted(
    kernel: Kernel, execution: EventExecution, decision: Decision, found: dict[str, int]
) -> None:
    now = kernel.clock.now()
    entry = kernel.catalog.get(execution.event_id)
    decision.close(entry, ledger.finished(execution, Status.INTERRUPTED, now, reason="crash"))
    found["interrupted"] += 1
    if entry is None or entry.prepared is None:
        return
    if entry.event.on_interrupted is OnInterrupted.RERUN:
        kernel.reserve(entry, ledger.rerun(entry.event, execution), now, decision)
        found["rerun"] += 1


def _requeue(
    kernel: Kernel, execution: EventExecution, decision: Decision, found: dict[str, int]
) -> None:
    now = kernel.clock.now()
    entry = kernel.catalog.get(execution.event_id)
    if entry is None or entry.prepared is None:
        problem = entry.problem if entry else "the event was removed"
        ended = ledger.finished(
            execution, Status.CANCELLED, now, error=problem, reason="unresolved"
        )
        decision.close(entry, ended)
        return
    kernel.reserve(entry, execution, now, decision)
    found["queued"] += 1
