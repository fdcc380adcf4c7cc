"""The kernel: keeps time, decides, runs, remembers.

One datum's way, with no way back: definition → store → agenda → planner → runner → store →
notification → sinks. This module is where the rooms are joined: it takes what is due from the
agenda, lets the planner decide, commits the decision, and only then hands it to the runner.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import trio
from msgspec.structs import replace

from alicia_scheduler.api.errors import StoreError
from alicia_scheduler.api.model import EventExecution, Status, Trigger, to_epoch
from alicia_scheduler.api.store import Change, Due, SaveEvent, SaveExecution, SaveFact, SlotTaken
from alicia_scheduler.kernel import ledger
from alicia_scheduler.kernel.accounts import Accounts, may_run_unrecorded
from alicia_scheduler.kernel.agenda import Agenda
from alicia_scheduler.kernel.catalog import Catalog, Entry
from alicia_scheduler.kernel.clock import Clock
from alicia_scheduler.kernel.decision import Decision
from alicia_scheduler.kernel.gate import ClockGate
from alicia_scheduler.kernel.halting import HALTED, halted
from alicia_scheduler.kernel.notice import Notice
from alicia_scheduler.kernel.notifications import Told, about_error
from alicia_scheduler.kernel.planner import Plan, plan_slot, plan_trigger
from alicia_scheduler.kernel.prepared import Types
from alicia_scheduler.kernel.rates import Rates
from alicia_scheduler.kernel.records import Records
from alicia_scheduler.kernel.runner import Run, Runner
from alicia_scheduler.kernel.slots import advance

__all__ = ["Kernel", "KernelSettings"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class KernelSettings:
    """How the kernel behaves.

    Attributes:
        max_concurrent: executions that may run at once.
        max_waiting: executions that may wait to run at once; the next ones are skipped.
        limits: the capacity of each named limit that events may share.
        min_interval: seconds between two slots of an event; those in between are skipped.
        drain_timeout: seconds that running executions get when the host stops.
        batch: entries handled in one transaction at the most.
        catchup_stagger: seconds between the starts of executions that catch up on missed slots.
        wait_for_clock: seconds that calendar events are held at start at the most, while the
            machine's clock is not known to be right; 0 does not hold them.
    """

    max_concurrent: int = 100
    max_waiting: int = 10_000
    limits: Mapping[str, int] = field(default_factory=dict)
    min_interval: float = 0.1
    drain_timeout: float = 10.0
    batch: int = 250
    catchup_stagger: float = 0.2
    wait_for_clock: float = 0.0


class Kernel:
    """Joins agenda, planner, runner and store. One instance owns all state of a host.

    ``ready`` is set when recovery is done and the schedule runs, ``stopped`` when nothing runs
    any more. ``passed`` is set at the end of the loop's present pass; then it is another event.
    Up to ``paused_until`` no slot of any event runs (:mod:`.halting`).

    Args:
        records: running; makes durable what is decided and tells it.
        types: the installed schedule and action types.
        clock: the only source of time.
    """

    def __init__(
        self,
        records: Records,
        types: Types,
        clock: Clock,
        settings: KernelSettings | None = None,
    ) -> None:
        self.settings = settings or KernelSettings()
        self.records = records
        self.store = records.store
        self.types = types
        self.notifier = records.notifier
        self.clock = clock
        records.in_hand = self._in_hand
        self.agenda = Agenda()
        self.catalog = Catalog(self.store, types, clock, records.removed)
        self.accounts = Accounts(self)
        self.runner = Runner(
            types,
            self.accounts,
            self.settings.max_concurrent,
            limits=self.settings.limits,
            max_waiting=self.settings.max_waiting,
            stagger=self.settings.catchup_stagger,
        )
        self.rates = Rates(clock, self.notifier, self.settings.min_interval)
        self.gate = ClockGate(clock, self.notifier)
        self.notice = Notice(clock)
        self.ready = trio.Event()
        self.stopped = trio.Event()
        self.passed = trio.Event()
        self.stopping = False
        self.paused_until: datetime | None = None

    def stop(self) -> None:
        """Start nothing new and let the loop come to its end."""
        self.stopping = True
        self.runner.close()
        self.agenda.changed.set()

    def pass_made(self) -> None:
        """The loop has looked at what is due, and handled it."""
        self.passed.set()
        self.passed = trio.Event()

    def hurry(self) -> None:
        """Stop, and cancel at once what still runs; its end is recorded."""
        self.stop()
        self.runner.hurry()

    def reconfigure(self, settings: KernelSettings) -> None:
        """Go on with other settings. What is under way is not touched."""
        self.settings = settings
        self.rates.min_interval = settings.min_interval
        self.runner.resize(settings.max_concurrent, settings.limits, settings.max_waiting)

    # -- the walk ------------------------------------------------------------------------

    async def handle(self, due: Sequence[Due]) -> None:
        """Plan everything that is due, commit it as one transaction, then start it."""
        self.catalog.trim(self._needed)
        try:
            await self.catalog.load({entry.event_id for entry in due})
        except StoreError:
            for entry in due:
                self.agenda.put(entry)
            raise
        now = self.clock.now()
        self.notice.look(now)
        decision = Decision()
        given_up: list[EventExecution] = []
        for entry in sorted(due, key=self._rank):
            if entry.execution_id is not None:
                ended = self._retry_is_due(entry.event_id, entry.execution_id, now, decision)
                given_up += [ended] if ended is not None else []
            else:
                self._slot_is_due(entry, now, decision)
        await self.carry_out(decision)
        for ended in given_up:
            await self.accounts.given_up(ended)

    def _rank(self, due: Due) -> tuple[int, bool]:
        """Of what is due together the highest priority takes its place first; and slots before
        retries, as a retry yields to its event's slot."""
        entry = self.catalog.get(due.event_id)
        return (-entry.event.priority if entry else 0, due.execution_id is not None)

    def _slot_is_due(self, due: Due, now: datetime, decision: Decision) -> None:
        entry = self.catalog.get(due.event_id)
        if entry is None or not entry.event.enabled or entry.state.next_run is None:
            return
        if entry.state.next_due != due.at:
            # An older place of the event, read before it moved.
            self.put_next(entry)
            return
        if entry.prepared is None:
            self._set_aside(entry)
            return
        if self.gate.holding and not self.catalog.follows_elapsed_time(entry.event):
            self.gate.hold(due)
            return
        schedule = entry.prepared.schedule
        try:
            plan = plan_slot(
                entry.event,
                halted(entry.state, self.paused_until),
                schedule,
                entry.state.next_run,
                now,
                self.runner.occupancy(entry.event),
                self.settings.min_interval,
                noticed=self.notice.of(due.at, now),
            )
            next_run, next_due = advance(schedule, entry.event, plan.next_run)
        except Exception as error:  # noqa: BLE001 - a schedule type may raise anything
            entry.failed(error)
            self._set_aside(entry)
            return
        skip_slots = entry.state.skip_slots
        if skip_slots:
            # What is behind needs no remembering.
            skip_slots = tuple(slot for slot in skip_slots if next_run and slot >= next_run)
        entry.state = replace(
            entry.state,
            next_run=next_run,
            next_due=next_due,
            slot_count=plan.slot_count,
            skip_slots=skip_slots,
        )
        self.take_over(entry, plan, now, decision)
        decision.moved.append(entry)
        if plan.crowded:
            self.rates.crowded(entry.event)

    def _set_aside(self, entry: Entry) -> None:
        """Leave an event that cannot be planned alone, with its slot kept; the others go on."""
        message = f"event {entry.event.event_id!r} is unresolved: {entry.problem}"
        logger.warning("%s", message)
        self.notifier.error(message, event_id=entry.event.event_id, kind="unresolved")

    def _retry_is_due(
        self, event_id: str, execution_id: str, now: datetime, decision: Decision
    ) -> EventExecution | None:
        """Let the next attempt of an execution take its place; the end of one that can have none
        is returned."""
        execution = self.runner.retries.take(execution_id)
        entry = self.catalog.get(event_id)
        if execution is None:
            return None
        if entry is None or entry.prepared is None:
            problem = entry.problem if entry else "the event was removed"
            return ledger.finished(
                execution, Status.FAILED, now, error=problem, reason="unresolved"
            )
        outdated = ledger.outdated(entry.event, execution, now)
        if outdated is not None:
            self.runner.advance(event_id)
            return outdated
        self.reserve(entry, execution, now, decision)
        return None

    def take_over(self, entry: Entry, plan: Plan, now: datetime, decision: Decision) -> None:
        """Turn a plan into changes to commit and runs to start."""
        for waiting in plan.yielded:
            self.runner.retries.take(waiting.execution_id)
            self.agenda.discard(waiting.execution_id)
            ended = ledger.finished(
                waiting,
                Status.FAILED,
                now,
                error=waiting.error_message,
                error_class=waiting.error_class,
                reason="superseded",
            )
            decision.close(entry, ended)
        for execution in plan.closed:
            decision.close(entry, execution)
        decision.cancelled.extend(plan.cancelled)
        for execution in plan.admitted:
            self.reserve(entry, execution, now, decision)

    def reserve(
        self, entry: Entry, execution: EventExecution, now: datetime, decision: Decision
    ) -> Run:
        """Give an execution its place and note what that means for the transaction."""
        if entry.prepared is None:
            raise ValueError(f"event {entry.event.event_id!r} is unresolved: {entry.problem}")
        run = self.runner.reserve(entry.event, entry.prepared, execution)
        if run.active:
            run.execution = ledger.started(execution, now)
            decision.launches.append(run)
        else:
            run.execution = ledger.queued(execution, now, run.stage.value)
            decision.queued.append(run)
        return run

    async def carry_out(self, decision: Decision) -> None:
        """Commit a decision, then let it happen: mark before act."""
        if not await self._commit_decision(decision):
            await self._hold_back(decision)
        for entry in decision.moved:
            if self.catalog.get(entry.event.event_id) is entry:
                self.put_next(entry)
        for execution_id in decision.cancelled:
            await self.cancel(execution_id, "restart")
        for run in decision.launches:
            self.runner.launch(run)

    async def _commit_decision(self, decision: Decision) -> bool:
        """Commit; an execution whose slot the store knows to have run already is left out.
        Returns False when it is only in memory."""
        refusals: list[Told] = []
        told = decision.told()
        first = self.notifier.reserve(len(told))
        while True:
            try:
                return await self.records.keep(decision.changes(), told, first)
            except SlotTaken as taken:
                logger.error("refused by the store: %s", taken)
                refusals.append(about_error(str(taken), event_id=taken.event_id, kind="slot taken"))
                for run in decision.drop(taken.execution_id):
                    self.runner.withdraw(run)
                told = [*decision.told(), *refusals]

    async def _hold_back(self, decision: Decision) -> None:
        """The starts could not be recorded: an event that must not run twice does not run."""
        for run in [run for run in decision.launches if not may_run_unrecorded(run.event)]:
            decision.launches.remove(run)
            self.runner.withdraw(run)
            await self.accounts.hold_back(run)

    def put_next(self, entry: Entry) -> None:
        """Put an event's next slot on the agenda, or take the event off it."""
        event_id = entry.event.event_id
        if entry.state.next_due is not None and entry.event.enabled:
            beyond = self.records.holds(event_id)
            self.agenda.put(Due(entry.state.next_due, event_id), beyond=beyond)
        else:
            self.agenda.discard(event_id)

    def restart_agenda(self) -> None:
        """Read the agenda anew from the store, and put on it what the store does not know."""
        self.agenda.restart()
        for record in self.catalog.records():
            event_id = record.event.event_id
            if self.records.holds(event_id) and (entry := self.catalog.get(event_id)):
                self.put_next(entry)
        if self.records.degraded is None:
            return
        for waiting in self.runner.retries.all():
            if waiting.next_attempt_at is not None:
                due = Due(waiting.next_attempt_at, waiting.event_id, waiting.execution_id)
                self.agenda.put(due, beyond=True)

    def _needed(self, event_id: str) -> bool:
        """True while the catalog must not let go of an event."""
        return self.runner.busy(event_id) or self.records.holds(event_id)

    def _in_hand(self) -> list[Change]:
        """All that a store which is begun anew must hold."""
        events: list[Change] = [
            SaveEvent(record.event, record.state) for record in self.catalog.records()
        ]
        executions = [SaveExecution(execution) for execution in self.runner.under_way()]
        paused = [SaveFact(HALTED, to_epoch(self.paused_until))] if self.paused_until else []
        return [*events, *executions, *paused]

    # -- commands ------------------------------------------------------------------------

    async def trigger(
        self, event_id: str, parent: EventExecution | None = None
    ) -> list[EventExecution]:
        """Run an event now, by its own rules of overlap; the schedule goes on as before.

        Args:
            parent: the execution on whose behalf; None for a person.

        Returns:
            what came of it: the new execution, or the record of why there is none.

        Raises:
            KeyError: there is no such event.
            ValueError: it is unresolved; the message says which type is missing.
        """
        await self.catalog.load([event_id])
        entry = self.catalog.get(event_id)
        if entry is None:
            raise KeyError(event_id)
        if entry.prepared is None:
            raise ValueError(entry.problem)
        now = self.clock.now()
        execution = None
        if parent is not None:
            execution = replace(
                ledger.new_execution(entry.event, now, Trigger.CHAIN, now),
                parent_id=parent.execution_id,
            )
        plan = plan_trigger(entry.event, now, self.runner.occupancy(entry.event), execution)
        decision = Decision()
        self.take_over(entry, plan, now, decision)
        await self.carry_out(decision)
        self.rates.triggered(entry.event)
        return [*plan.admitted, *plan.closed]

    async def cancel(self, execution_id: str, reason: str) -> bool:
        """Stop an execution that runs, queues or waits for a retry; False when there is none."""
        waiting = self.runner.retries.take(execution_id)
        if waiting is not None:
            self.agenda.discard(execution_id)
            decision = Decision()
            ended = ledger.finished(
                waiting,
                Status.CANCELLED,
                self.clock.now(),
                error=waiting.error_message,
                error_class=waiting.error_class,
                reason=reason,
            )
            decision.close(self.catalog.get(waiting.event_id), ended)
            await self.carry_out(decision)
            self.runner.advance(waiting.event_id)
            return True
        if not self.runner.knows(execution_id):
            return False
        run = self.runner.cancel(execution_id, reason)
        if run is not None:
            await self.accounts.end(run, Status.CANCELLED, reason=reason)
        return True
