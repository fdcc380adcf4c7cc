"""Executions under way: one task each, within the limits of their event and of the host.

A run is *reserved* when it is planned, which settles its place at once; it is *launched* after
its start has been committed. An event's runs form a lane, in order; the lane's mode says how many
of them may be past it. Those compete for the host's places (:mod:`.places`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from typing import Protocol

import trio

from alicia_scheduler.api.model import EventExecution, Mode, ScheduledEvent, Status, Trigger
from alicia_scheduler.kernel.attempt import Outcome, attempt, time_limit
from alicia_scheduler.kernel.gathering import Gathering
from alicia_scheduler.kernel.overdue import GRACE, Overdue, StuckAttempts
from alicia_scheduler.kernel.places import Places, WaitingRuns
from alicia_scheduler.kernel.planner import Occupancy
from alicia_scheduler.kernel.prepared import Prepared, Types
from alicia_scheduler.kernel.retries import Retries
from alicia_scheduler.kernel.run import Run, Stage

__all__ = ["Reports", "Run", "Runner"]

logger = logging.getLogger(__name__)


class Reports(Protocol):
    """Who is told what happens to a run, and writes it down: the kernel's accounts."""

    async def started(self, runs: Sequence[Run]) -> Sequence[Run]:
        """Commit that attempts begin; return when that is durable those that may. The others have
        been closed."""
        ...

    def completed(self, run: Run, outcome: Outcome) -> bool:
        """Note the end of an attempt that nothing follows, to be settled together with others;
        False when something does follow."""
        ...

    async def settle(self, runs: Sequence[Run]) -> None:
        """Commit what was noted as completed."""
        ...

    async def ended(self, run: Run, outcome: Outcome) -> None:
        """Commit what became of the attempt, and what follows."""
        ...

    def stuck(self, run: Run, still_open: int) -> None:
        """An attempt ignores its cancellation; so many of its action type do at present."""
        ...


class Runner:
    """Runs executions.

    Args:
        types: runs the actions.
        reports: told of each start and end.
        places: how many executions may run at once in this host.
        limits: the capacity of each named limit that events may share.
        max_waiting: how many executions may be under way without running. It bounds what is let
            in anew; what was let in before a restart, or retries, is never turned away.
        stagger: seconds between the starts of executions that catch up on missed slots.
    """

    def __init__(
        self,
        types: Types,
        reports: Reports,
        places: int,
        *,
        limits: Mapping[str, int],
        max_waiting: int,
        stagger: float = 0.0,
    ) -> None:
        self.retries = Retries()
        self._types = types
        self._reports = reports
        self._places = Places(places, limits)
        self._max_waiting = max_waiting
        self._stagger = stagger
        self._lanes: dict[str, list[Run]] = {}
        self._runs: dict[str, Run] = {}
        self._arrivals = count()
        self._late = WaitingRuns()
        self._late_came = trio.Event()
        self._late_scope = trio.CancelScope()
        self._drained = trio.CancelScope()
        self._patience = trio.CancelScope()
        self._stuck = StuckAttempts()
        self._idle = trio.Event()
        self._nursery: trio.Nursery | None = None
        self._overdue = Overdue(self._is_running, self._give_up)
        self._starts = Gathering(self._begin)
        self._ends = Gathering(self._settle)

    def open(self, nursery: trio.Nursery) -> None:
        """Run everything from now on as tasks of ``nursery``."""
        self._nursery = nursery
        nursery.start_soon(self._let_late_in, name="catching up")
        nursery.start_soon(self._accompany, name="accompanying runs")

    # -- what is under way ---------------------------------------------------------------

    def occupancy(self, event: ScheduledEvent) -> Occupancy:
        """What the planner must know about an event's executions and the host's room."""
        lane = self._lanes.get(event.event_id, ())
        return Occupancy(
            running=[run.execution for run in lane],
            retrying=self.retries.of_event(event.event_id),
            room=max(0, self._max_waiting - self.waiting),
            free=self._lane_has_room(event, lane) and self._places.has_room(event.limit),
        )

    def of_event(self, event_id: str) -> list[EventExecution]:
        """All executions of an event that run or wait, for a retry too."""
        running = [run.execution for run in self._lanes.get(event_id, ())]
        return [*running, *self.retries.of_event(event_id)]

    def busy(self, event_id: str) -> bool:
        """True while an event has anything under way, a waiting retry included."""
        return event_id in self._lanes or self.retries.any_of_event(event_id)

    def knows(self, execution_id: str) -> bool:
        """True while this execution runs, queues or waits for a place."""
        return execution_id in self._runs

    def under_way(self) -> list[EventExecution]:
        """Every execution that has not ended, as it stands."""
        return [run.execution for run in self._runs.values()] + self.retries.all()

    @property
    def running(self) -> int:
        """How many executions hold a place."""
        return self._places.taken

    @property
    def waiting(self) -> int:
        """How many executions are under way and hold no place, waiting retries left out."""
        return len(self._runs) - self._places.taken

    @property
    def stuck(self) -> int:
        """How many attempts have ignored their cancellation so far."""
        return self._stuck.total

    def active(self) -> Iterator[Run]:
        """The runs that hold a place."""
        return (run for run in self._runs.values() if run.active)

    def still_open(self) -> list[str]:
        """Names of the attempts whose tasks have not ended, for people."""
        return [
            f"execution {run.execution.execution_id} of {run.event.event_id!r} "
            f"(action type {run.prepared.action_type})"
            for run in (*self.active(), *self._stuck)
        ]

    # -- the life of a run ---------------------------------------------------------------

    def reserve(self, event: ScheduledEvent, prepared: Prepared, execution: EventExecution) -> Run:
        """Give a planned execution its place in its event's lane, and one of the host's if both
        have room: then the run is active and is to be launched once its start is committed."""
        run = Run(event, prepared, execution, arrival=next(self._arrivals))
        lane = self._lanes.setdefault(event.event_id, [])
        if execution.next_attempt_at is not None and not event.retry_yields:
            # It kept its place in the lane while it waited for this attempt.
            lane.insert(sum(other.stage is not Stage.LANE for other in lane), run)
        else:
            lane.append(run)
        self._runs[execution.execution_id] = run
        if self._lane_has_room(event, lane):
            self._pass_lane(run)
        return run

    def launch(self, run: Run) -> None:
        """Start an active run whose start has been committed."""
        if self._nursery is None:
            raise RuntimeError("the runner is not open: call open(nursery) first")
        name = f"{run.event.event_id}: {run.prepared.action_type}"
        self._nursery.start_soon(self._live, run, name=name)

    def withdraw(self, run: Run) -> None:
        """Give up a reserved run that was never launched."""
        self._leave(run)

    def cancel(self, execution_id: str, reason: str) -> Run | None:
        """Stop an execution for ``reason``. A run that holds no place leaves its lane at once and
        is returned, for the caller to write down; one that runs ends in its own task."""
        run = self._runs.get(execution_id)
        if run is None:
            return None
        run.cancel_reason = run.cancel_reason or reason
        if run.active:
            if run.scope is not None:
                run.scope.cancel()
            self._overdue.expect(run, within=run.prepared.cleanup)
            return None
        self._leave(run)
        return run

    def advance(self, event_id: str) -> None:
        """Let those behind in a lane pass, as far as there is room: a waiting retry has gone."""
        lane = self._lanes.get(event_id, ())
        for run in [run for run in lane if run.stage is Stage.LANE]:
            if not self._lane_has_room(run.event, lane):
                return
            self._pass_lane(run)
            if run.active:
                self._starts.put(run)

    def resize(self, places: int, limits: Mapping[str, int], max_waiting: int) -> None:
        """Keep to these numbers from now on; what is under way beyond them goes on."""
        self._max_waiting = max_waiting
        for served in self._places.resize(places, limits, list(self.active())):
            self._starts.put(served)

    def close(self) -> None:
        """Start nothing new; what has no place yet stays pending."""
        self._places.close()
        self._late_scope.cancel()

    def hurry(self) -> None:
        """Let :meth:`drain` wait no longer before it cancels."""
        self._patience.cancel()

    async def drain(self, timeout: float) -> None:
        """Start nothing new, let what runs end for ``timeout`` seconds, then cancel the rest with
        the reason ``shutdown`` and wait for it. What has no place yet stays pending."""
        self.close()
        self._patience.deadline = trio.current_time() + timeout
        with self._patience:
            await self._until_idle()
        for run in list(self.active()):
            self.cancel(run.execution.execution_id, "shutdown")
        await self._until_idle()
        self._drained.cancel()

    async def _until_idle(self) -> None:
        while self.running:
            self._idle = trio.Event()
            await self._idle.wait()

    def _lane_has_room(self, event: ScheduledEvent, lane: Iterable[Run]) -> bool:
        past = 0
        for other in lane:
            past += other.stage is not Stage.LANE
        if not event.retry_yields:
            past += len(self.retries.of_event(event.event_id))
        return past < (event.max_executions if event.mode is Mode.PARALLEL else 1)

    def _pass_lane(self, run: Run) -> None:
        """Take one of the host's places, or wait for one. What catches up waits to be let in."""
        if run.execution.trigger is Trigger.CATCHUP:
            run.stage = Stage.LATE
            self._late.push(run)
            self._late_came.set()
        else:
            self._places.claim(run)

    async def _begin(self, runs: Sequence[Run]) -> None:
        """Let runs that have got their place start, once that is committed."""
        begun: set[Run] = set()
        try:
            begun.update(await self._reports.started(runs))
        except Exception:
            # A fault of ours must not end the host: these are lost to the next recovery.
            logger.exception("%d executions could not be started", len(runs))
        for run in runs:
            if run in begun:
                self.launch(run)
            else:
                self._leave(run)

    async def _live(self, run: Run) -> None:
        try:
            outcome = await self._outcome(run)
            run.over = True
            if run.given_up:
                self._stuck.ended(run)
                logger.warning("execution %s has ended after all", run.execution.execution_id)
                return
            if self._reports.completed(run, outcome):
                self._ends.put(run)
                return
            await self._reports.ended(run, outcome)
        except Exception:
            # As above.
            logger.exception("execution %s could not be accounted", run.execution.execution_id)
        self._leave(run)

    async def _settle(self, runs: Sequence[Run]) -> None:
        """Write down the ends of runs, and let the next ones in."""
        try:
            await self._reports.settle(runs)
        except Exception:
            # As above.
            logger.exception("%d executions could not be accounted", len(runs))
        for run in runs:
            self._leave(run)

    async def _outcome(self, run: Run) -> Outcome:
        refusal = self._stuck.refuse(run.prepared.action_type)
        if refusal is not None:
            return Outcome(
                Status.FAILED, error=refusal, reason="stuck", error_class="stuck", retryable=True
            )
        self._overdue.expect(run, within=run.event.timeout + run.prepared.cleanup)
        run.scope = time_limit(run.event)
        if run.cancel_reason is not None:
            run.scope.cancel()
        return await attempt(self._types, run.event, run.prepared, run.execution, run.scope)

    def _is_running(self, run: Run) -> bool:
        return not run.over and self._runs.get(run.execution.execution_id) is run

    async def _accompany(self) -> None:
        """What there must be for as long as anything runs."""
        try:
            with self._drained:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._overdue.watch, name="watching over deadlines")
                    nursery.start_soon(self._starts.work, name="starting")
                    nursery.start_soon(self._ends.work, name="settling")
        finally:
            # What has ended is known as such, also when the host is cancelled.
            with trio.CancelScope(shield=True):
                await self._ends.finish()

    async def _give_up(self, run: Run) -> None:
        """An attempt ignores its cancellation: write it down as ended, and let the next ones in.
        Its task goes on for as long as it likes; what it then answers is not looked at. It is not
        retried, as its effect may still come."""
        run.given_up = True
        self._reports.stuck(run, self._stuck.add(run))
        reason = "timeout" if run.cancel_reason is None else "cancelled"
        error = f"the action ignored its cancellation for {GRACE:g} s and is no longer waited for"
        outcome = Outcome(Status.FAILED, error=error, reason=reason, error_class="stuck")
        try:
            await self._reports.ended(run, outcome)
        except Exception:
            logger.exception("execution %s could not be accounted", run.execution.execution_id)
        self._leave(run)

    def _leave(self, run: Run) -> None:
        """Give back what the run held, and let the next ones in."""
        event_id = run.event.event_id
        if self._runs.pop(run.execution.execution_id, None) is None:
            # It was let in while its record was being committed, and withdrawn when that failed.
            return
        lane = self._lanes[event_id]
        lane.remove(run)
        if lane:
            # First those behind it line up, so that a place goes to whoever's turn it is.
            self.advance(event_id)
        else:
            del self._lanes[event_id]
        if run.stage is Stage.LATE:
            self._late.discard(run)
        elif run.stage is not Stage.LANE:
            for served in self._places.release(run):
                self._starts.put(served)
        self._idle.set()

    async def _let_late_in(self) -> None:
        """Let executions that catch up in one by one, so that a start after an outage is no storm
        (a hundred lamps, one broker)."""
        with self._late_scope:
            while True:
                self._late_came = trio.Event()
                while run := self._late.pop():
                    if self._places.claim(run):
                        self._starts.put(run)
                    await trio.sleep(self._stagger)
                await self._late_came.wait()
