"""Executions under way: one task each, within the limits of their event and of the host.

A run is *reserved* when it is planned, which settles its place at once; it is *launched* after
its start has been committed. An event's runs form a lane, in order; the lane's mode says how many
of them may be active. Lanes share the host's places.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

import trio

from alicia_scheduler.api.model import EventExecution, Mode, ScheduledEvent, Status, Trigger
from alicia_scheduler.kernel.attempt import Outcome, attempt
from alicia_scheduler.kernel.overdue import GRACE, Overdue
from alicia_scheduler.kernel.planner import Occupancy
from alicia_scheduler.kernel.prepared import Prepared, Types

__all__ = ["Reports", "Run", "Runner"]

logger = logging.getLogger(__name__)


class Stage(Enum):
    """How far a run has come: behind others of its event, waiting for a place of the host, or
    holding one (it runs, or will as soon as its start is committed)."""

    LANE = 1
    BACKLOG = 2
    ACTIVE = 3


@dataclass(slots=True, eq=False)
class Run:
    """One execution under way.

    Attributes:
        cancel_reason: why it was told to stop, once it was.
        given_up: it ignored its cancellation, and nobody waits for it any more.
    """

    event: ScheduledEvent
    prepared: Prepared
    execution: EventExecution
    stage: Stage = Stage.LANE
    cancel_reason: str | None = None
    given_up: bool = False
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)

    @property
    def active(self) -> bool:
        return self.stage is Stage.ACTIVE


class Reports(Protocol):
    """Who is told what happens to a run, and writes it down: the kernel's accounts."""

    async def started(self, run: Run) -> bool:
        """Commit that the run's attempt begins; return when that is durable. False when the run
        must not begin and has been closed."""
        ...

    async def ended(self, run: Run, outcome: Outcome) -> None:
        """Commit what became of the attempt."""
        ...


class Runner:
    """Runs executions. ``stuck`` counts the attempts that ignored their cancellation.

    Args:
        types: runs the actions.
        reports: told of each start and end.
        places: how many executions may run at once in this host.
        stagger: seconds between the starts of executions that catch up on missed slots.
    """

    def __init__(self, types: Types, reports: Reports, places: int, stagger: float = 0.0) -> None:
        self._types = types
        self._reports = reports
        self._free = places
        self._stagger = stagger
        self._lanes: dict[str, list[Run]] = {}
        self._runs: dict[str, Run] = {}
        self._retrying: dict[str, dict[str, EventExecution]] = {}
        self._backlog: deque[Run] = deque()
        self._late: deque[Run] = deque()
        self._late_came = trio.Event()
        self._late_scope = trio.CancelScope()
        self._overdue_scope = trio.CancelScope()
        self.stuck = 0
        self._given_up: set[Run] = set()
        self._closing = False
        self._idle = trio.Event()
        self._nursery: trio.Nursery | None = None
        self._overdue = Overdue(self._is_running, self._give_up)

    def open(self, nursery: trio.Nursery) -> None:
        """Run everything from now on as tasks of ``nursery``."""
        self._nursery = nursery
        nursery.start_soon(self._let_late_in, name="catching up")
        nursery.start_soon(self._watch_overdue, name="watching over deadlines")

    # -- what is under way ---------------------------------------------------------------

    def occupancy(self, event_id: str) -> Occupancy:
        """What the planner must know about an event's executions."""
        return Occupancy(
            running=[run.execution for run in self._lanes.get(event_id, ())],
            retrying=list(self._retrying.get(event_id, {}).values()),
        )

    def busy(self, event_id: str) -> bool:
        """True while an event has anything under way, a waiting retry included."""
        return event_id in self._lanes or event_id in self._retrying

    def knows(self, execution_id: str) -> bool:
        """True while this execution runs, queues or waits for a place."""
        return execution_id in self._runs

    def under_way(self) -> list[EventExecution]:
        """Every execution that has not ended, as it stands."""
        return [run.execution for run in self._runs.values()] + self.waiting_retries()

    def active(self) -> Iterator[Run]:
        """The runs that hold a place."""
        return (run for run in self._runs.values() if run.active)

    def still_open(self) -> list[str]:
        """Names of the attempts whose tasks have not ended, for people."""
        return [
            f"execution {run.execution.execution_id} of {run.event.event_id!r} "
            f"(action type {run.prepared.action_type})"
            for run in (*self.active(), *self._given_up)
        ]

    # -- retries -------------------------------------------------------------------------

    def hold_retry(self, execution: EventExecution) -> None:
        """Remember an execution that waits for its next attempt."""
        waiting = self._retrying.setdefault(execution.event_id, {})
        waiting[execution.execution_id] = execution

    def take_retry(self, event_id: str, execution_id: str) -> EventExecution | None:
        """Take an execution out of its wait; None when it no longer waits."""
        waiting = self._retrying.get(event_id, {})
        execution = waiting.pop(execution_id, None)
        if not waiting:
            self._retrying.pop(event_id, None)
        return execution

    def retry(self, execution_id: str) -> EventExecution | None:
        """The execution of this id, if it waits for its next attempt."""
        found = (waiting.get(execution_id) for waiting in self._retrying.values())
        return next((execution for execution in found if execution is not None), None)

    def waiting_retries(self) -> list[EventExecution]:
        """Every execution that waits for its next attempt."""
        return [run for waiting in self._retrying.values() for run in waiting.values()]

    # -- the life of a run ---------------------------------------------------------------

    def reserve(self, event: ScheduledEvent, prepared: Prepared, execution: EventExecution) -> Run:
        """Give a planned execution its place in its event's lane, and one of the host's if both
        have room: then the run is active and is to be launched once its start is committed."""
        run = Run(event, prepared, execution)
        lane = self._lanes.setdefault(event.event_id, [])
        lane.append(run)
        self._runs[execution.execution_id] = run
        if self._lane_has_room(run):
            self._claim(run)
        return run

    def launch(self, run: Run) -> None:
        """Start an active run whose start has been committed."""
        self._spawn(run, committed=True)

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
            run.scope.cancel()
            self._overdue.expect(run, within=0.0)
            return None
        self._leave(run)
        return run

    async def drain(self, timeout: float) -> None:
        """Start nothing new, let what runs end for ``timeout`` seconds, then cancel the rest with
        the reason ``shutdown`` and wait for it. What has no place yet stays pending."""
        self._closing = True
        self._late_scope.cancel()
        with trio.move_on_after(timeout):
            await self._until_idle()
        for run in list(self.active()):
            self.cancel(run.execution.execution_id, "shutdown")
        await self._until_idle()
        self._overdue_scope.cancel()

    async def _until_idle(self) -> None:
        while any(True for _ in self.active()):
            self._idle = trio.Event()
            await self._idle.wait()

    def _lane_has_room(self, run: Run) -> bool:
        lane = self._lanes[run.event.event_id]
        past = sum(other.stage is not Stage.LANE for other in lane)
        return past < (run.event.max_executions if run.event.mode is Mode.PARALLEL else 1)

    def _claim(self, run: Run) -> None:
        """Take one of the host's places, or queue for one. What catches up queues apart."""
        if run.execution.trigger is Trigger.CATCHUP:
            run.stage = Stage.BACKLOG
            self._late.append(run)
            self._late_came.set()
        else:
            self._claim_place(run)

    def _claim_place(self, run: Run) -> None:
        if self._free > 0 and not self._closing:
            self._free -= 1
            run.stage = Stage.ACTIVE
        else:
            run.stage = Stage.BACKLOG
            self._backlog.append(run)

    def _spawn(self, run: Run, *, committed: bool) -> None:
        if self._nursery is None:
            raise RuntimeError("the runner is not open: call open(nursery) first")
        name = f"{run.event.event_id}: {run.prepared.action_type}"
        self._nursery.start_soon(self._live, run, committed, name=name)

    async def _live(self, run: Run, committed: bool) -> None:
        try:
            if not committed and not await self._reports.started(run):
                self._leave(run)
                return
            self._overdue.expect(run, within=run.event.timeout)
            outcome = await attempt(self._types, run.event, run.prepared, run.execution, run.scope)
            if run.given_up:
                self._given_up.discard(run)
                logger.warning("execution %s has ended after all", run.execution.execution_id)
                return
            await self._reports.ended(run, outcome)
        except Exception:
            # A fault of ours must not end the host: this run is lost to the next recovery.
            logger.exception("execution %s could not be accounted", run.execution.execution_id)
        self._leave(run)

    def _is_running(self, run: Run) -> bool:
        return self._runs.get(run.execution.execution_id) is run

    async def _watch_overdue(self) -> None:
        with self._overdue_scope:
            await self._overdue.watch()

    async def _give_up(self, run: Run) -> None:
        """An attempt ignores its cancellation: write it down as ended, and let the next ones in.
        Its task goes on for as long as it likes; what it then answers is not looked at."""
        run.given_up = True
        self._given_up.add(run)
        self.stuck += 1
        logger.error(
            "execution %s ignores its cancellation (action type %s)",
            run.execution.execution_id,
            run.prepared.action_type,
        )
        reason = "timeout" if run.cancel_reason is None else "cancelled"
        error = f"the action ignored its cancellation for {GRACE:g} s and is no longer waited for"
        await self._reports.ended(run, Outcome(Status.FAILED, error=error, reason=reason))
        self._leave(run)

    def _leave(self, run: Run) -> None:
        """Give back what the run held, and let the next ones in."""
        del self._runs[run.execution.execution_id]
        lane = self._lanes[run.event.event_id]
        lane.remove(run)
        if run.stage is Stage.ACTIVE:
            self._free += 1
        elif run.stage is Stage.BACKLOG:
            (self._late if run in self._late else self._backlog).remove(run)
        if not lane:
            del self._lanes[run.event.event_id]
        self._serve_backlog()
        following = next((other for other in lane if other.stage is Stage.LANE), None)
        if following is not None and self._lane_has_room(following):
            self._claim(following)
            if following.active:
                self._spawn(following, committed=False)
        self._idle.set()

    def _serve_backlog(self) -> None:
        """Hand free places to those who wait for one, first come first served."""
        while self._backlog and self._free > 0 and not self._closing:
            run = self._backlog.popleft()
            self._free -= 1
            run.stage = Stage.ACTIVE
            self._spawn(run, committed=False)

    async def _let_late_in(self) -> None:
        """Let executions that catch up in one by one, so that a start after an outage is no storm
        (a hundred lamps, one broker)."""
        with self._late_scope:
            while True:
                self._late_came = trio.Event()
                while self._late:
                    run = self._late.popleft()
                    self._claim_place(run)
                    if run.active:
                        self._spawn(run, committed=False)
                    await trio.sleep(self._stagger)
                await self._late_came.wait()
