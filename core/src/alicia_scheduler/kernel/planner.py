"""What becomes of a due event: a pure decision from definition, state, slot and occupancy.

The planner touches nothing. It says which executions exist from now on and which of them may
start, which slots are closed without a run and why, what makes room, and the next slot. The
kernel commits that in one transaction before anything starts.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

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
from alicia_scheduler.kernel.ledger import closed, new_execution, refused
from alicia_scheduler.kernel.slots import (
    MAX_GRACE,
    MICROSECOND,
    due_at,
    grace_of,
    missed_between,
    spaced_slot,
)

__all__ = ["CATCHUP_LIMIT", "LATE", "Occupancy", "Plan", "plan_slot", "plan_trigger"]

LATE = 5.0
"""A slot noticed more than this many seconds late is a misfire (Quartz's threshold)."""

CATCHUP_LIMIT = 100
"""At most so many missed slots run under ``misfire = "all"``; earlier ones share one record."""


class Occupancy(msgspec.Struct, frozen=True, gc=False):
    """What the event has under way, and the room that the host has left.

    Attributes:
        running: executions that run, or wait for a free place to run, oldest first.
        retrying: executions that wait for their next attempt.
        room: how many more executions the host may let wait; None for any number.
        free: whether one that is let in now starts at once.
    """

    running: Sequence[EventExecution] = ()
    retrying: Sequence[EventExecution] = ()
    room: int | None = None
    free: bool = True


class Plan(msgspec.Struct):
    """A decision, to be committed as a whole.

    Attributes:
        admitted: new pending executions, in order; they run as soon as their event and the host
            have room.
        closed: final records of slots that do not run.
        cancelled: ids of executions under way that are to be cancelled (``restart``).
        yielded: executions waiting for a retry that make room for the new one.
        next_run: the next slot.
        slot_count: how many slots have led to an execution, these included.
        crowded: whether slots were closed because they follow each other too fast.
    """

    admitted: list[EventExecution] = msgspec.field(default_factory=list)
    closed: list[EventExecution] = msgspec.field(default_factory=list)
    cancelled: list[str] = msgspec.field(default_factory=list)
    yielded: list[EventExecution] = msgspec.field(default_factory=list)
    next_run: datetime | None = None
    slot_count: int = 0
    crowded: bool = False


def plan_slot(
    event: ScheduledEvent,
    state: EventState,
    schedule: Schedule,
    slot: datetime,
    now: datetime,
    occupancy: Occupancy,
    min_interval: float = 0.0,
    *,
    noticed: datetime | None = None,
) -> Plan:
    """Decide about ``slot``, which is due at ``now``, and all later slots that are due as well.

    How late a slot is noticed, which the misfire policy asks, is counted until ``noticed``: before
    ``now``, when others that were due took their turn first.

    Slots less than ``min_interval`` seconds after one that was decided about are closed with it,
    all in one record, so a schedule that is too fast costs no more than one at that pace.
    """
    plan = Plan(slot_count=state.slot_count)
    following, passed_over = spaced_slot(schedule, event, slot, min_interval)
    if following is None or following > now:
        slots = [slot]
    else:
        every = event.misfire is Misfire.ALL and passed_over is None
        keep = CATCHUP_LIMIT if every else 1
        missed = missed_between(schedule, event, slot, now, keep)
        if due_at(schedule, event, missed.latest[-1]) > now:
            # Its jitter has put it off, and its turn comes then.
            missed = missed_between(schedule, event, slot, missed.latest[-1] - MICROSECOND, keep)
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
        # What was drawn for the slot stands, also when a set clock has moved the slot since.
        drawn = state.next_due if due == state.next_run else None
        due_time = drawn or due_at(schedule, event, due)
        after = following if slots == [slot] and passed_over is None else None
        catching_up = len(slots) > 1
        late = ((noticed or now) - due_time).total_seconds()
        _plan_one(plan, event, schedule, due, due_time, late, after, now, occupancy, catching_up)
    if slots[-1] != slot:
        following, passed_over = spaced_slot(schedule, event, slots[-1], min_interval)
    _set_next(plan, event, slots[-1], following, passed_over, now, min_interval)
    return plan


def plan_trigger(
    event: ScheduledEvent,
    now: datetime,
    occupancy: Occupancy,
    execution: EventExecution | None = None,
) -> Plan:
    """Decide about a manual trigger: the same rules of overlap, and no slot is used up.

    Args:
        execution: what is to run, when it is not a new execution for this instant.
    """
    plan = Plan()
    execution = execution or new_execution(event, now, Trigger.MANUAL)
    # No slot follows that would bound it, so a repeating schedule's longest grace does.
    grace = MAX_GRACE if event.misfire_grace is None else event.misfire_grace
    execution = replace(execution, useful_until=_useful_until(now, grace))
    _admit(plan, event, execution, now, occupancy, event.mode)
    return plan


def _set_next(
    plan: Plan,
    event: ScheduledEvent,
    last: datetime,
    following: datetime | None,
    passed_over: datetime | None,
    now: datetime,
    min_interval: float,
) -> None:
    """Note the next slot, and close those before it that follow too fast."""
    if event.max_runs is not None and plan.slot_count >= event.max_runs:
        return
    plan.next_run = following
    if passed_over is None:
        return
    plan.crowded = True
    before = plan.next_run or last + timedelta(seconds=min_interval)
    plan.closed.append(
        closed(
            event,
            passed_over,
            Status.SKIPPED,
            "min_interval",
            now,
            message=f"the slots from {passed_over.isoformat()} until before {before.isoformat()} "
            f"follow each other faster than min_interval = {min_interval:g} s allows",
            result={"count": None, "first": to_epoch(passed_over), "before": to_epoch(before)},
        )
    )


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
    due: datetime,
    late: float,
    following: datetime | None,
    now: datetime,
    occupancy: Occupancy,
    catching_up: bool,
) -> None:
    if event.max_runs is not None and plan.slot_count >= event.max_runs:
        plan.closed.append(closed(event, slot, Status.SKIPPED, "max_runs", now))
        return
    grace = grace_of(schedule, event, slot, following)
    if late > LATE:
        if event.misfire is Misfire.SKIP:
            plan.closed.append(_missed(event, slot, "misfire", now, late))
            return
        if late > max(LATE, grace):
            plan.closed.append(_missed(event, slot, "grace", now, late))
            return
    trigger = Trigger.CATCHUP if late > LATE else Trigger.SCHEDULE
    mode = Mode.QUEUED if catching_up and event.mode is Mode.SINGLE else event.mode
    before = len(plan.admitted)
    execution = new_execution(event, slot, trigger, due, _useful_until(due, grace))
    _admit(plan, event, execution, now, occupancy, mode, catching_up)
    plan.slot_count += len(plan.admitted) - before


def _useful_until(due: datetime, grace: float) -> datetime | None:
    """Until when what is due at ``due`` may still take effect: as late as it might start."""
    try:
        return due + timedelta(seconds=max(LATE, grace))
    except OverflowError:
        return None


def _admit(
    plan: Plan,
    event: ScheduledEvent,
    execution: EventExecution,
    now: datetime,
    occupancy: Occupancy,
    mode: Mode,
    catching_up: bool = False,
) -> None:
    """Apply the overlap policy: Home Assistant's modes with its meaning of ``max``, which counts
    what runs and what waits. A retry that waits counts too, unless it yields: then an execution
    that is let in ends it. Last, the host must have room for one more that waits."""
    kept = [] if event.retry_yields else occupancy.retrying
    before = [*kept, *occupancy.running]
    under_way = [*before, *plan.admitted]
    limit = CATCHUP_LIMIT if catching_up else event.max_executions
    replaces = under_way if mode is Mode.RESTART else []
    if under_way and mode is Mode.SINGLE:
        plan.closed.append(_overlapping(execution, "overlap", now, under_way))
    elif not replaces and len(under_way) >= limit:
        plan.closed.append(_overlapping(execution, "max_executions", now, under_way))
    elif not _has_room(plan, execution, occupancy, replacing=bool(replaces)):
        message = "as many executions wait already as the host lets wait (max_waiting)"
        plan.closed.append(refused(execution, "queue_full", now, message))
    else:
        if replaces:
            plan.cancelled = [run.execution_id for run in before]
            plan.closed += [_overlapping(run, "restart", now, [execution]) for run in plan.admitted]
            plan.admitted.clear()
        plan.admitted.append(execution)
        plan.yielded = list(occupancy.retrying) if event.retry_yields else []


def _has_room(
    plan: Plan, execution: EventExecution, occupancy: Occupancy, *, replacing: bool
) -> bool:
    """Whether the host may let this execution wait, or it need not wait, or it takes the place
    of one that waits."""
    if occupancy.room is None or len(plan.admitted) < occupancy.room:
        return True
    if replacing:
        waits = any(run.status is Status.PENDING for run in occupancy.running)
        return waits or bool(plan.admitted)
    return occupancy.free and not plan.admitted and execution.trigger is not Trigger.CATCHUP


def _overlapping(
    execution: EventExecution, reason: str, now: datetime, under_way: Sequence[EventExecution]
) -> EventExecution:
    """The record of a slot that another execution stands in the way of, with its age."""
    blocker = under_way[0]
    since = blocker.start_time or blocker.due_time or blocker.scheduled_time
    age = max(0.0, (now - since).total_seconds())
    if reason == "restart":
        message = f"execution {blocker.execution_id} takes its place"
    elif reason == "max_executions":
        message = (
            f"{len(under_way)} executions are under way (max_executions); "
            f"the oldest, {blocker.execution_id}, for {age:.1f} s"
        )
    else:
        message = f"execution {blocker.execution_id} is still under way after {age:.1f} s"
    result = {"blocked_by": blocker.execution_id, "blocked_for": age}
    return refused(execution, reason, now, message, result)


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
