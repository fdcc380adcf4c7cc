"""What becomes of a due event: a pure decision from definition, state, slot and occupancy.

The planner touches nothing. It says which executions exist from now on and which of them may
start, which slots are closed without a run and why, what makes room, and the next slot. The
kernel commits that in one transaction before anything starts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from alicia_scheduler.api.contracts import Schedule
from alicia_scheduler.api.model import (
    EventExecution,
    EventState,
    Misfire,
    Mode,
    ScheduledEvent,
    Status,
    Trigger,
    to_epoch,
)
from alicia_scheduler.kernel.ledger import closed, new_execution
from alicia_scheduler.kernel.slots import due_at, first_slot, grace_of, missed_between

__all__ = ["CATCHUP_LIMIT", "LATE", "Occupancy", "Plan", "plan_slot", "plan_trigger"]

LATE = 5.0
"""A slot noticed more than this many seconds late is a misfire (Quartz's threshold)."""

CATCHUP_LIMIT = 100
"""At most so many missed slots run under ``misfire = "all"``; earlier ones share one record."""


@dataclass(frozen=True)
class Occupancy:
    """What the event has under way.

    Attributes:
        running: executions that run, or wait for a free place to run, oldest first.
        retrying: executions that wait for their next attempt.
    """

    running: Sequence[EventExecution] = ()
    retrying: Sequence[EventExecution] = ()


@dataclass
class Plan:
    """A decision, to be committed as a whole.

    Attributes:
        admitted: new pending executions, in order; they run as soon as their event and the host
            have room.
        closed: final records of slots that do not run.
        cancelled: ids of executions under way that are to be cancelled (``restart``).
        yielded: executions waiting for a retry that make room for the new one.
        next_run: the next slot.
        slot_count: how many slots have led to an execution, these included.
    """

    admitted: list[EventExecution] = field(default_factory=list)
    closed: list[EventExecution] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    yielded: list[EventExecution] = field(default_factory=list)
    next_run: datetime | None = None
    slot_count: int = 0


def plan_slot(
    event: ScheduledEvent,
    state: EventState,
    schedule: Schedule,
    slot: datetime,
    now: datetime,
    occupancy: Occupancy,
) -> Plan:
    """Decide about ``slot``, which is due at ``now``, and all later slots that are due as well."""
    plan = Plan(slot_count=state.slot_count)
    following = first_slot(schedule, event, slot)
    if following is None or following > now:
        slots = [slot]
    else:
        keep = CATCHUP_LIMIT if event.misfire is Misfire.ALL else 1
        missed = missed_between(schedule, event, slot, now, keep)
        slots = missed.latest
        if missed.first_skipped is not None:
            plan.closed.append(
                _summary(event, missed.first_skipped, slots[0], missed.skipped_count, now)
            )
    for due in slots:
        halt = _halted(state, due)
        if halt is not None:
            plan.closed.append(closed(event, due, Status.SKIPPED, halt, now))
            continue
        _plan_one(plan, event, schedule, due, now, occupancy, catching_up=len(slots) > 1)
    plan.next_run = first_slot(schedule, event, slots[-1], plan.slot_count)
    return plan


def plan_trigger(event: ScheduledEvent, now: datetime, occupancy: Occupancy) -> Plan:
    """Decide about a manual trigger: the same rules of overlap, and no slot is used up."""
    plan = Plan()
    _admit(plan, event, new_execution(event, now, Trigger.MANUAL), now, occupancy, event.mode)
    return plan


def _halted(state: EventState, slot: datetime) -> str | None:
    """Why a person does not want this slot to run, or None."""
    if slot in state.skip_slots:
        return "skip"
    if state.paused_until is not None and slot <= state.paused_until:
        return "paused"
    return None


def _plan_one(
    plan: Plan,
    event: ScheduledEvent,
    schedule: Schedule,
    slot: datetime,
    now: datetime,
    occupancy: Occupancy,
    *,
    catching_up: bool,
) -> None:
    if event.max_runs is not None and plan.slot_count >= event.max_runs:
        plan.closed.append(closed(event, slot, Status.SKIPPED, "max_runs", now))
        return
    due = due_at(schedule, event, slot)
    late = (now - due).total_seconds()
    if late > LATE:
        if event.misfire is Misfire.SKIP:
            plan.closed.append(_missed(event, slot, "misfire", now, late))
            return
        if late > max(LATE, grace_of(schedule, event, slot)):
            plan.closed.append(_missed(event, slot, "grace", now, late))
            return
    trigger = Trigger.CATCHUP if late > LATE else Trigger.SCHEDULE
    mode = Mode.QUEUED if catching_up and event.mode is Mode.SINGLE else event.mode
    before = len(plan.admitted)
    execution = new_execution(event, slot, trigger, due)
    _admit(plan, event, execution, now, occupancy, mode, catching_up)
    plan.slot_count += len(plan.admitted) - before


def _admit(
    plan: Plan,
    event: ScheduledEvent,
    execution: EventExecution,
    now: datetime,
    occupancy: Occupancy,
    mode: Mode,
    catching_up: bool = False,
) -> None:
    """Apply the overlap policy: Home Assistant's modes with its meaning of ``max``. An execution
    that is let in also ends the event's chains of retries, which yield to it."""
    under_way = [*occupancy.running, *plan.admitted]
    limit = CATCHUP_LIMIT if catching_up else event.max_executions
    if not under_way:
        plan.admitted.append(execution)
    elif mode is Mode.SINGLE:
        plan.closed.append(_skipped(event, execution, "overlap", now, under_way))
        return
    elif mode is Mode.RESTART:
        plan.cancelled.extend(run.execution_id for run in occupancy.running)
        plan.closed.extend(
            _skipped(event, run, "restart", now, [execution]) for run in plan.admitted
        )
        plan.admitted[:] = [execution]
    elif len(under_way) < limit:
        plan.admitted.append(execution)
    else:
        plan.closed.append(_skipped(event, execution, "max_executions", now, under_way))
        return
    plan.yielded = list(occupancy.retrying)


def _skipped(
    event: ScheduledEvent,
    execution: EventExecution,
    reason: str,
    now: datetime,
    under_way: Sequence[EventExecution],
) -> EventExecution:
    blocker = under_way[0]
    age = (now - (blocker.start_time or now)).total_seconds()
    return closed(
        event,
        execution.scheduled_time,
        Status.SKIPPED,
        reason,
        now,
        trigger=execution.trigger,
        message=f"execution {blocker.execution_id} is still under way after {age:.1f} s",
        result={"blocked_by": blocker.execution_id, "blocked_for": age},
    )


def _missed(
    event: ScheduledEvent, slot: datetime, reason: str, now: datetime, late: float
) -> EventExecution:
    return closed(
        event,
        slot,
        Status.MISSED,
        reason,
        now,
        message=f"noticed {late:.1f} s late",
        trigger=Trigger.CATCHUP,
    )


def _summary(
    event: ScheduledEvent, first: datetime, before: datetime, count: int | None, now: datetime
) -> EventExecution:
    """One record for a range of missed slots that a later one stands in for."""
    many = "many" if count is None else str(count)
    return closed(
        event,
        first,
        Status.MISSED,
        "coalesced",
        now,
        message=f"{many} slots from {first.isoformat()} until before {before.isoformat()}",
        trigger=Trigger.CATCHUP,
        result={"count": count, "first": to_epoch(first), "before": to_epoch(before)},
    )
