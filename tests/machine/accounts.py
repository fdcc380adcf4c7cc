"""What must hold of every event whatever was done to it: the accounting invariant.

The expected slots come from the schedules and from when a definition was in force. How the planner
decides is not repeated here: a slot may end in any way, but in exactly one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from tests.machine.world import Effect

from alicia_scheduler.api import (
    EventExecution,
    EventState,
    Mode,
    OnInterrupted,
    ScheduledEvent,
    Status,
    Trigger,
    from_epoch,
)
from alicia_scheduler.kernel.slots import due_at
from alicia_scheduler.testing.kernel import ScriptedTypes

__all__ = ["Known", "Span", "check_effects", "check_event", "check_notifications"]

CLOSE = timedelta(milliseconds=1)
"""A slot so close to now may be seen as due or as not due yet."""

OF_SLOTS = (Trigger.SCHEDULE, Trigger.CATCHUP)


@dataclass
class Span:
    """A time in which one schedule of an event was in force: its slots are due in it."""

    event: ScheduledEvent
    since: datetime
    until: datetime | None = None
    due: list[datetime] = field(default_factory=list)

    def __post_init__(self) -> None:
        types = ScriptedTypes({self.event.action["type"]: _no_action})
        self._schedule = types.prepare(self.event, self.since).schedule

    def look(self, now: datetime) -> bool:
        """Bring ``due`` up to now; False when it cannot be said whether a slot is due."""
        end = min(now, self.until) if self.until else now
        while (slot := self.following()) is not None and self.event.enabled:
            at = due_at(self._schedule, self.event, slot)
            if abs(at - end) < CLOSE:
                return False
            if at > end:
                break
            self.due.append(slot)
        return True

    def following(self) -> datetime | None:
        """The slot after the last one that was due."""
        found = self._schedule.next_after(self.due[-1] if self.due else self.since)
        end = self.event.ends_at
        return None if found is None or (end and found > end) else found


async def _no_action(_config: object, _execution: EventExecution) -> None: ...


@dataclass
class Known:
    """What a test knows of an event: its definition now, and all its spans."""

    event: ScheduledEvent
    spans: list[Span] = field(default_factory=list)


def check_event(
    known: Known, state: EventState, history: list[EventExecution], now: datetime
) -> None:
    """Every due slot has exactly one record or is in exactly one range, and no other has; the
    next slot is the one that follows; counters are what the history says."""
    looked = [span.look(now) for span in known.spans]
    if not all(looked):
        return
    due = [slot for span in known.spans for slot in span.due]
    places = {slot: place for place, slot in enumerate(due)}
    records = [0] * len(due)
    for run in history:
        if run.reason == "coalesced":
            assert run.result is not None
            first, end = from_epoch(run.result["first"]), from_epoch(run.result["before"])
            for place in range(bisect_left(due, first), bisect_left(due, end)):
                records[place] += 1
        elif run.trigger in OF_SLOTS:
            assert run.scheduled_time in places, f"{run} is of a slot that was not due"
            records[places[run.scheduled_time]] += 1
    if state.next_run is None and _used_up(known.event, state):
        # max_runs ended the schedule: what would have followed was never due.
        while records and records[-1] == 0:
            records.pop()
    wrong = [(due[place], count) for place, count in enumerate(records) if count != 1]
    assert not wrong, f"slots of {known.event.event_id} with their number of records: {wrong[:5]}"
    _check_next(known, state, now)
    _check_counters(state, history)


def _used_up(event: ScheduledEvent, state: EventState) -> bool:
    return event.max_runs is not None and state.slot_count >= event.max_runs


def _check_next(known: Known, state: EventState, now: datetime) -> None:
    span = known.spans[-1]
    if not known.event.enabled or _used_up(known.event, state):
        assert state.next_run is None
        return
    expected = span.following()
    assert state.next_run == expected, f"next is {state.next_run}, and {expected} follows"
    assert state.next_due is None or state.next_due > now - CLOSE


def _check_counters(state: EventState, history: list[EventExecution]) -> None:
    ran = Counter(run.status for run in history if run.status.final and run.start_time)
    counted = (state.run_count, state.success_count, state.failure_count)
    failed = ran[Status.FAILED] + ran[Status.INTERRUPTED]
    assert counted == (ran.total(), ran[Status.COMPLETED], failed), (
        f"counted {counted}, and {ran} ended"
    )


def check_effects(
    events: dict[str, ScheduledEvent],
    effects: list[Effect],
    history: list[EventExecution],
    together: Counter[str],
) -> None:
    """No effect without a record, no completion without an effect, none twice that may not be."""
    runs = {run.execution_id: run for run in history}
    done: dict[str, set[int]] = defaultdict(set)
    keys: Counter[str] = Counter()
    for effect in effects:
        run = runs.get(effect.execution_id)
        assert run is not None, f"an effect without a record: {effect}"
        assert run.start_time is not None, f"an effect without a record of its start: {effect}"
        assert effect.attempt not in done[effect.execution_id], "an attempt had two effects"
        done[effect.execution_id].add(effect.attempt)
        if run.trigger is not Trigger.MANUAL:
            keys[effect.key] += 1
        event = events.get(effect.event_id)
        if event is not None and event.on_interrupted is OnInterrupted.FAIL:
            assert keys[effect.key] <= 1, f"{effect.key} had a second effect"
    for run in history:
        if run.status is Status.COMPLETED:
            assert run.attempt in done[run.execution_id], "completed without an effect"
    for event_id, most in together.items():
        event = events.get(event_id)
        if event is not None:
            limit = event.max_executions if event.mode is Mode.PARALLEL else 1
            assert most <= limit, f"{most} runs of {event_id} at once"


def check_notifications(told: list, history: list[EventExecution]) -> None:
    """Each end is told once at the most and is what the history says; numbers only grow."""
    runs = {run.execution_id: run for run in history}
    ends: Counter[str] = Counter()
    for item in told:
        status = item.event_data.get("status")
        execution_id = item.event_data.get("execution_id")
        if execution_id is not None and Status(status).final:
            ends[execution_id] += 1
            assert runs[execution_id].status == status
    assert set(ends.values()) <= {1}, "an end was told twice"
    numbers = [item.sequence for item in told]
    assert numbers == sorted(set(numbers)), "a number was used twice, or out of order"
