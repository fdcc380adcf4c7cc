"""What is written down when an attempt begins and ends, and what follows from how it ended."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from alicia_scheduler.api.model import EventExecution, OnInterrupted, Status, Trigger
from alicia_scheduler.api.store import Change, Due, SaveExecution, SaveState
from alicia_scheduler.kernel import ledger
from alicia_scheduler.kernel.attempt import Outcome, retry_delay

if TYPE_CHECKING:
    from alicia_scheduler.kernel.kernel import Kernel
    from alicia_scheduler.kernel.runner import Run

__all__ = ["Accounts"]


class Accounts:
    """Keeps the books of one kernel. The runner reports here."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    async def started(self, run: Run) -> None:
        """An attempt begins that was not committed together with its slot."""
        kernel = self._kernel
        run.execution = ledger.started(run.execution, kernel.clock.now())
        await kernel.commit([SaveExecution(run.execution)])
        kernel.notifier.execution(run.execution, run.event.name)

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
        kernel = self._kernel
        run.execution = ledger.finished(
            run.execution, status, kernel.clock.now(), result=result, error=error, reason=reason
        )
        await kernel.commit([SaveExecution(run.execution), *self._settled(run.execution)])
        kernel.notifier.execution(run.execution, run.event.name)

    async def _wait_for_retry(self, run: Run, outcome: Outcome) -> None:
        kernel = self._kernel
        delay = retry_delay(run.event, run.execution.retry_count, outcome.after)
        at = kernel.clock.now() + timedelta(seconds=delay)
        execution = ledger.waiting(
            run.execution, at, outcome.reason or "error", outcome.error or ""
        )
        run.execution = execution
        await kernel.commit([SaveExecution(execution)])
        kernel.runner.hold_retry(execution)
        kernel.agenda.put(Due(at, execution.event_id, execution.execution_id))
        kernel.notifier.execution(execution, run.event.name)

    async def _interrupted(self, run: Run) -> None:
        """The host stops: close the run, and leave its re-run pending for the next start, so that
        a stop and a crash end the same way for the event."""
        kernel = self._kernel
        now = kernel.clock.now()
        run.execution = ledger.finished(run.execution, Status.INTERRUPTED, now, reason="shutdown")
        changes: list[Change] = [SaveExecution(run.execution), *self._settled(run.execution)]
        if run.event.on_interrupted is OnInterrupted.RERUN:
            slot = run.execution.scheduled_time
            changes.append(SaveExecution(ledger.new_execution(run.event, slot, Trigger.RECOVERY)))
        await kernel.commit(changes)
        kernel.notifier.execution(run.execution, run.event.name)

    def _settled(self, execution: EventExecution) -> list[Change]:
        """Count an ended execution into its event's state; the change to commit with it."""
        entry = self._kernel.catalog.get(execution.event_id)
        if entry is None:
            return []
        entry.state = ledger.settled(entry.state, execution)
        return [SaveState(execution.event_id, entry.state)]
