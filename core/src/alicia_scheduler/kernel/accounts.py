"""What is written down when an attempt begins and ends, and what follows from how it ended."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING

from msgspec.structs import replace

from alicia_scheduler.api.model import EventExecution, OnInterrupted, ScheduledEvent, Status
from alicia_scheduler.api.store import Change, Due, SaveExecution, SaveState
from alicia_scheduler.kernel import ledger
from alicia_scheduler.kernel.attempt import Outcome, retry_delay
from alicia_scheduler.kernel.chains import chain, follow_ups, prepare_chain
from alicia_scheduler.kernel.decision import Decision
from alicia_scheduler.kernel.notifications import Told, about_execution, about_transitions
from alicia_scheduler.kernel.overdue import STUCK_LIMIT

if TYPE_CHECKING:
    from alicia_scheduler.kernel.kernel import Kernel
    from alicia_scheduler.kernel.runner import Run

__all__ = ["Accounts", "may_run_unrecorded"]

logger = logging.getLogger(__name__)

UNRECORDED = "the store cannot be written, and this event must not run without a record of it"


def may_run_unrecorded(event: ScheduledEvent) -> bool:
    """False for an event that promises to run at most once: without a record of its start, a
    crash would let it run again."""
    return event.on_interrupted is OnInterrupted.RERUN


class Accounts:
    """Keeps the books of one kernel. The runner reports here."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    async def started(self, runs: Sequence[Run]) -> list[Run]:
        """Attempts begin that were not committed together with their slots. Returns those that
        may. A run that must not has been closed: it has waited past its ``retry_max_age``, or it
        may not run without a record of it and there can be none."""
        now = self._kernel.clock.now()
        ready: list[Run] = []
        for run in runs:
            ended = ledger.outdated(run.event, run.execution, now)
            if ended is not None:
                await self._close(run, ended)
            else:
                run.execution = ledger.started(run.execution, now)
                ready.append(run)
        if await self._keep(ready):
            return ready
        begun = [run for run in ready if may_run_unrecorded(run.event)]
        for run in ready:
            if run not in begun:
                await self.hold_back(run)
        return begun

    async def hold_back(self, run: Run) -> None:
        """The start of a run that must not run twice could not be recorded: it does not run."""
        run.execution = ledger.finished(
            replace(run.execution, start_time=None),
            Status.SKIPPED,
            self._kernel.clock.now(),
            error=UNRECORDED,
            reason="unrecorded",
        )
        await self._keep([run])

    def completed(self, run: Run, outcome: Outcome) -> bool:
        """Note the end of an attempt that completed and that nothing follows. Returns False for
        every other, which is :meth:`ended`'s."""
        if outcome.status is not Status.COMPLETED or run.event.on_success or run.event.on_complete:
            return False
        run.execution = ledger.finished(
            run.execution, Status.COMPLETED, self._kernel.clock.now(), result=outcome.result
        )
        return True

    async def settle(self, runs: Sequence[Run]) -> None:
        """Write down in one transaction what was noted as completed."""
        changes: list[Change] = []
        told: list[Told] = []
        for run in runs:
            counted, also = self._settled(run.execution)
            changes += counted
            told += also
        await self._keep(runs, changes, told)

    async def ended(self, run: Run, outcome: Outcome) -> None:
        """An attempt has ended: the execution ends with it, or waits for the next one."""
        if outcome.status is Status.COMPLETED:
            await self.end(run, Status.COMPLETED, result=outcome.result)
        elif run.cancel_reason == "shutdown":
            await self._interrupted(run)
        elif run.cancel_reason is not None or outcome.status is Status.CANCELLED:
            reason = run.cancel_reason or outcome.reason or "cancelled"
            called_off = outcome if run.cancel_reason is None else Outcome(Status.CANCELLED)
            await self.end(
                run,
                Status.CANCELLED,
                result=called_off.result,
                error=called_off.error,
                reason=reason,
            )
        elif outcome.retryable and run.execution.retry_count < run.event.max_retries:
            await self._retry(run, outcome)
        else:
            await self._fail(run, outcome)

    async def given_up(self, ended: EventExecution) -> None:
        """An execution that waited for its next attempt can have none: write its end down, and
        let follow what follows."""
        entry = self._kernel.catalog.get(ended.event_id)
        await self._close_with(ended, follow_ups(entry.event, ended) if entry is not None else ())

    def stuck(self, run: Run, still_open: int) -> None:
        """An attempt ignores its cancellation."""
        kind = run.prepared.action_type
        message = (
            f"execution {run.execution.execution_id} of event {run.event.event_id!r} ignores its "
            f"cancellation (action type {kind!r}, {still_open} open); it is no longer waited for"
        )
        if still_open == STUCK_LIMIT:
            message += f"; nothing more of {kind!r} starts until one of them ends"
        logger.error("%s", message)
        self._kernel.notifier.error(message, event_id=run.event.event_id, kind="stuck")

    async def end(
        self,
        run: Run,
        status: Status,
        *,
        result: dict[str, object] | None = None,
        error: str | None = None,
        error_class: str | None = None,
        reason: str | None = None,
    ) -> None:
        """The execution ends; nothing follows."""
        ended = ledger.finished(
            run.execution,
            status,
            self._kernel.clock.now(),
            result=result,
            error=error,
            error_class=error_class,
            reason=reason,
        )
        await self._close(run, ended)

    async def _close(self, run: Run, ended: EventExecution) -> None:
        """Write an end down, with what it means for the event."""
        run.execution = ended
        wanted = follow_ups(run.event, ended)
        if wanted:
            await self._close_with(ended, wanted)
            return
        changes, told = self._settled(ended)
        await self._keep([run], changes, told)

    async def _close_with(self, ended: EventExecution, wanted: Sequence[str]) -> None:
        """Write an end down, in one transaction with what it triggers."""
        ancestors = await prepare_chain(self._kernel, ended, wanted)
        decision = Decision()
        decision.close(self._kernel.catalog.get(ended.event_id), ended)
        chain(self._kernel, ended, wanted, ancestors, decision)
        await self._kernel.carry_out(decision)

    async def _fail(self, run: Run, outcome: Outcome, because: str | None = None) -> None:
        error = "; ".join(filter(None, (outcome.error, because)))
        await self.end(
            run,
            Status.FAILED,
            result=outcome.result,
            error=error,
            error_class=outcome.error_class,
            reason=outcome.reason,
        )

    async def _retry(self, run: Run, outcome: Outcome) -> None:
        """Let the execution wait for its next attempt, unless its event wants none after this."""
        kernel, event = self._kernel, run.event
        if outcome.error_class in event.no_retry_on:
            why = f"not tried again: no_retry_on has {outcome.error_class!r}"
            await self._fail(run, outcome, why)
            return
        delay = retry_delay(event, run.execution.retry_count, outcome.after)
        at = kernel.clock.now() + timedelta(seconds=delay)
        too_old = ledger.too_old(event, run.execution, at)
        if too_old is not None:
            await self._fail(run, outcome, too_old)
            return
        execution = ledger.waiting(
            run.execution, at, outcome.reason or "error", outcome.error or "", outcome.error_class
        )
        run.execution = execution
        durable = await self._keep([run])
        if run.cancel_reason not in (None, "shutdown"):
            # Somebody stopped it while that was written down.
            await self._cancelled(run, outcome)
            return
        kernel.runner.retries.hold(execution)
        due = Due(at, execution.event_id, execution.execution_id)
        kernel.agenda.put(due, beyond=not durable)

    async def _cancelled(self, run: Run, outcome: Outcome) -> None:
        """The execution ends before its next attempt, with the error of its last one."""
        await self.end(
            run,
            Status.CANCELLED,
            error=outcome.error,
            error_class=outcome.error_class,
            reason=run.cancel_reason,
        )

    async def _interrupted(self, run: Run) -> None:
        """The host stops: close the run, and leave its re-run pending for the next start, so that
        a stop and a crash end the same way for the event."""
        kernel = self._kernel
        now = kernel.clock.now()
        run.execution = ledger.finished(run.execution, Status.INTERRUPTED, now, reason="shutdown")
        changes, told = self._settled(run.execution)
        if run.event.on_interrupted is OnInterrupted.RERUN:
            changes.append(SaveExecution(ledger.rerun(run.event, run.execution)))
        await self._keep([run], changes, told)

    async def _keep(
        self, runs: Sequence[Run], changes: Sequence[Change] = (), also: Sequence[Told] = ()
    ) -> bool:
        """Make the executions of runs durable as they stand, with what changes along, and tell it.
        Returns False when it is only in memory."""
        saved = [SaveExecution(run.execution) for run in runs]
        told = [about_execution(run.execution, run.event.name) for run in runs]
        return await self._kernel.records.keep([*saved, *changes], [*told, *also])

    def _settled(self, execution: EventExecution) -> tuple[list[Change], list[Told]]:
        """Count an ended execution into its event's state: the change to commit with it, and
        what to tell about the event."""
        entry = self._kernel.catalog.get(execution.event_id)
        if entry is None:
            return [], []
        before = entry.state
        entry.state = ledger.settled(entry.event, before, execution)
        told = about_transitions(entry.event, before, entry.state, execution)
        return [SaveState(execution.event_id, entry.state)], told
