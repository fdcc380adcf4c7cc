"""What is written down when an attempt begins and ends, and what follows from how it ended."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from msgspec.structs import replace

from alicia_scheduler.api.model import (
    EventExecution,
    OnInterrupted,
    ScheduledEvent,
    Status,
    Trigger,
)
from alicia_scheduler.api.store import Change, Due, SaveExecution, SaveState
from alicia_scheduler.kernel import ledger
from alicia_scheduler.kernel.attempt import Outcome, retry_delay
from alicia_scheduler.kernel.notifications import about_execution

if TYPE_CHECKING:
    from alicia_scheduler.kernel.kernel import Kernel
    from alicia_scheduler.kernel.runner import Run

__all__ = ["Accounts", "may_run_unrecorded"]

UNRECORDED = "the store cannot be written, and this event must not run without a record of it"


def may_run_unrecorded(event: ScheduledEvent) -> bool:
    """False for an event that promises to run at most once: without a record of its start, a
    crash would let it run again."""
    return event.on_interrupted is OnInterrupted.RERUN


class Accounts:
    """Keeps the books of one kernel. The runner reports here."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    async def started(self, run: Run) -> bool:
        """An attempt begins that was not committed together with its slot. Returns False when
        it must not, and has been closed."""
        run.execution = ledger.started(run.execution, self._kernel.clock.now())
        if await self._keep(run) or may_run_unrecorded(run.event):
            return True
        await self.hold_back(run)
        return False

    async def hold_back(self, run: Run) -> None:
        """The start of a run that must not run twice could not be recorded: it does not run."""
        run.execution = ledger.finished(
            replace(run.execution, start_time=None),
            Status.SKIPPED,
            self._kernel.clock.now(),
            error=UNRECORDED,
            reason="unrecorded",
        )
        await self._keep(run)

    async def ended(self, run: Run, outcome: Outcome) -> None:
        """An attempt has ended: the execution ends with it, or waits for the next one."""
        if outcome.status is Status.COMPLETED:
            await self.end(run, Status.COMPLETED, result=outcome.result)
        elif run.cancel_reason == "shutdown":
            await self._interrupted(run)
        elif run.cancel_reason is not None or outcome.status is Status.CANCELLED:
            await self.end(run, Status.CANCELLED, reason=run.cancel_reason or "cancelled")
        elif outcome.retryable and run.execution.retry_count < run.event.max_retries:
            await self._wait_for_retry(run, outcome)
        else:
            await self.end(run, Status.FAILED, error=outcome.error, reason=outcome.reason)

    async def end(
        self,
        run: Run,
        status: Status,
        *,
        result: dict[str, object] | None = None,
        error: str | None = None,
        reason: str | None = None,
    ) -> None:
        """The execution ends; nothing follows."""
        now = self._kernel.clock.now()
        run.execution = ledger.finished(
            run.execution, status, now, result=result, error=error, reason=reason
        )
        await self._keep(run, *self._settled(run.execution))

    async def _wait_for_retry(self, run: Run, outcome: Outcome) -> None:
        kernel = self._kernel
        delay = retry_delay(run.event, run.execution.retry_count, outcome.after)
        at = kernel.clock.now() + timedelta(seconds=delay)
        execution = ledger.waiting(
            run.execution, at, outcome.reason or "error", outcome.error or ""
        )
        run.execution = execution
        durable = await self._keep(run)
        kernel.runner.hold_retry(execution)
        due = Due(at, execution.event_id, execution.execution_id)
        kernel.agenda.put(due, beyond=not durable)

    async def _interrupted(self, run: Run) -> None:
        """The host stops: close the run, and leave its re-run pending for the next start, so that
        a stop and a crash end the same way for the event."""
        kernel = self._kernel
        now = kernel.clock.now()
        run.execution = ledger.finished(run.execution, Status.INTERRUPTED, now, reason="shutdown")
        changes = self._settled(run.execution)
        if run.event.on_interrupted is OnInterrupted.RERUN:
            slot = run.execution.scheduled_time
            changes.append(SaveExecution(ledger.new_execution(run.event, slot, Trigger.RECOVERY)))
        await self._keep(run, *changes)

    async def _keep(self, run: Run, *changes: Change) -> bool:
        """Make the run's execution durable as it stands, with what changes along, and tell it.
        Returns False when it is only in memory."""
        told = [about_execution(run.execution, run.event.name)]
        return await self._kernel.records.keep([SaveExecution(run.execution), *changes], told)

    def _settled(self, execution: EventExecution) -> list[Change]:
        """Count an ended execution into its event's state; the change to commit with it."""
        entry = self._kernel.catalog.get(execution.event_id)
        if entry is None:
            return []
        entry.state = ledger.settled(entry.state, execution)
        return [SaveState(execution.event_id, entry.state)]
