"""Why a slot runs or does not, filter by filter: from the history when it is past, from what the
planner will look at when it is to come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from alicia_scheduler.api.model import (
    EventExecution,
    Misfire,
    Mode,
    Status,
    from_epoch,
    to_epoch,
    to_wire,
)
from alicia_scheduler.foresight.clockmarks import marks_of
from alicia_scheduler.foresight.subject import Subject
from alicia_scheduler.kernel.planner import LATE
from alicia_scheduler.kernel.slots import (
    due_at,
    first_slot,
    grace_of,
    last_between,
    spaced_slot,
)
from alicia_scheduler.kernel.steering import FOR_EVER

__all__ = ["Explanation", "Verdict", "explain", "slot_near"]

MICROSECOND = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)
COUNT_LIMIT = 10_000
"""Slots that are gone through at the most to tell whether ``max_runs`` is reached or the pace is
too fast."""

OVERLAP = {
    Mode.SINGLE: "it is skipped if the event still runs then",
    Mode.RESTART: "it cancels an execution that still runs then",
    Mode.QUEUED: "it waits for an execution that still runs then",
    Mode.PARALLEL: "it runs beside executions that still run then",
}


@dataclass(frozen=True)
class Verdict:
    """What one filter says about a slot.

    Attributes:
        filter: which one, in the kernel's order.
        passed: False when the slot does not run because of it.
        why: a sentence.
    """

    filter: str
    passed: bool
    why: str


@dataclass(frozen=True)
class Explanation:
    """What becomes, or became, of one slot.

    Attributes:
        slot: aware UTC.
        past: whether it was due already.
        verdicts: each filter in order, up to the first that makes the others meaningless. They
            follow the definition and the state of today, also for a slot that is past.
        outcome: the answer in a sentence.
        executions: what the history has about the slot, oldest first.
    """

    slot: datetime
    past: bool
    verdicts: tuple[Verdict, ...]
    outcome: str
    executions: tuple[EventExecution, ...] = field(default=())

    def to_wire(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "slot": to_epoch(self.slot),
            "past": self.past,
            "verdicts": [
                {"filter": item.filter, "passed": item.passed, "why": item.why}
                for item in self.verdicts
            ],
            "outcome": self.outcome,
            "executions": [to_wire(execution) for execution in self.executions],
        }


def slot_near(subject: Subject, instant: datetime) -> datetime:
    """The slot within the second that begins at ``instant``, or ``instant`` itself: grids of
    elapsed time have slots that nobody can type."""
    slot = subject.bare.next_after(instant - MICROSECOND)
    return slot if slot is not None and slot < instant + SECOND else instant


def explain(
    subject: Subject, slot: datetime, now: datetime, executions: Sequence[EventExecution] = ()
) -> Explanation:
    """Say what becomes of ``slot``.

    Args:
        slot: an aware UTC instant, which need not be a slot.
        now: what the clock shows.
        executions: those of the event in the history, newest first.
    """
    past = slot <= now
    verdicts = tuple(_verdicts(subject, slot, now, executions))
    about = tuple(run for run in reversed(executions) if _is_about(run, slot))
    outcome = _outcome(subject, slot, now, verdicts, about)
    return Explanation(slot, past, verdicts, outcome, about)


def _verdicts(
    subject: Subject, slot: datetime, now: datetime, executions: Sequence[EventExecution]
) -> Iterator[Verdict]:
    produced = _produced(subject, slot)
    yield produced
    if not produced.passed:
        return
    yield _bounds(subject, slot)
    yield _exclusion(subject, slot)
    yield _enabled(subject)
    used = _used_before(subject, slot, now)
    yield _pace(subject, used)
    yield _skip_list(subject, slot)
    yield _pause(subject, slot)
    yield _max_runs(subject, slot, now, used)
    yield _jitter(subject, slot)
    yield _misfire(subject, slot)
    yield _overlap(subject, executions)


def _produced(subject: Subject, slot: datetime) -> Verdict:
    following = subject.bare.next_after(slot - MICROSECOND)
    says = subject.bare.describe()
    if following == slot:
        marks = ", ".join(marks_of(subject, slot, None))
        return Verdict("schedule", True, f"{says} has this slot{f' ({marks})' if marks else ''}")
    if following is None:
        return Verdict("schedule", False, f"{says} has no slot here and none later")
    return Verdict(
        "schedule", False, f"{says} has no slot here; the next is {_local(subject, following)}"
    )


def _bounds(subject: Subject, slot: datetime) -> Verdict:
    event = subject.event
    if event.starts_at is not None and slot < event.starts_at:
        return Verdict("bounds", False, f"before starts_at, {_local(subject, event.starts_at)}")
    if event.ends_at is not None and slot > event.ends_at:
        return Verdict("bounds", False, f"after ends_at, {_local(subject, event.ends_at)}")
    bounded = event.starts_at is not None or event.ends_at is not None
    return Verdict("bounds", True, "within starts_at and ends_at" if bounded else "none are set")


def _exclusion(subject: Subject, slot: datetime) -> Verdict:
    item = subject.excluded(slot)
    if item is not None:
        return Verdict("exclude", False, f"its day is excluded by {item!r}")
    return Verdict("exclude", True, "its day is not excluded")


def _enabled(subject: Subject) -> Verdict:
    if subject.event.enabled:
        return Verdict("enabled", True, "the event is enabled")
    return Verdict("enabled", False, "the event is disabled")


def _skip_list(subject: Subject, slot: datetime) -> Verdict:
    if slot in subject.state.skip_slots:
        return Verdict("skip", False, "this slot was marked to be skipped")
    return Verdict("skip", True, "not marked to be skipped")


def _pause(subject: Subject, slot: datetime) -> Verdict:
    until = subject.state.paused_until
    if until is None or slot > until:
        return Verdict("pause", True, "the event is not paused then")
    why = "until it is resumed" if until >= FOR_EVER else f"until {_local(subject, until)}"
    reason = f" ({subject.state.paused_reason})" if subject.state.paused_reason else ""
    return Verdict("pause", False, f"the event is paused {why}{reason}")


@dataclass(frozen=True)
class _Ahead:
    """What the planner comes by on its way to a slot.

    Attributes:
        runs: how many slots lead to a run before it, as far as is known.
        crowded: whether it is passed over, because it follows another one too fast.
        known: False when it is too far ahead to be counted out.
    """

    runs: int = 0
    crowded: bool = False
    known: bool = True


def _used_before(subject: Subject, slot: datetime, now: datetime) -> _Ahead:
    """Go the planner's way to a slot to come, where that matters."""
    event, schedule, spacing = subject.event, subject.schedule, subject.min_interval
    if slot <= now:
        return _Ahead()
    if event.max_runs is None:
        close = slot - timedelta(seconds=spacing)
        if last_between(schedule, event, close, slot - MICROSECOND) is None:
            return _Ahead()
    at = subject.state.next_run
    if at is None or at <= now:
        at = first_slot(schedule, event, now)
    runs = 0
    for _ in range(COUNT_LIMIT):
        if at is None or at >= slot:
            return _Ahead(runs, crowded=at is not None and at > slot)
        runs += subject.halted(at) is None
        at, _passed_over = spaced_slot(schedule, event, at, spacing)
    return _Ahead(runs, known=False)


def _pace(subject: Subject, ahead: _Ahead) -> Verdict:
    spacing = f"min_interval = {subject.min_interval:g} s"
    if ahead.crowded:
        return Verdict("min_interval", False, f"it follows one before it faster than {spacing}")
    if not ahead.known:
        return Verdict("min_interval", True, f"too far ahead to tell whether {spacing} lets it run")
    return Verdict("min_interval", True, f"does not come faster than {spacing}")


def _max_runs(subject: Subject, slot: datetime, now: datetime, ahead: _Ahead) -> Verdict:
    event, used = subject.event, subject.state.slot_count
    if event.max_runs is None:
        return Verdict("max_runs", True, "any number of runs")
    if slot <= now:
        return Verdict("max_runs", True, f"{used} of {event.max_runs} runs are used by now")
    left = event.max_runs - used - ahead.runs
    if left <= 0:
        return Verdict("max_runs", False, f"all {event.max_runs} runs are used up before")
    if not ahead.known:
        return Verdict(
            "max_runs", True, f"too far ahead to tell how many of {event.max_runs} remain"
        )
    return Verdict("max_runs", True, f"{left} of {event.max_runs} runs are left for it")


def _jitter(subject: Subject, slot: datetime) -> Verdict:
    if not subject.event.jitter:
        return Verdict("jitter", True, "none")
    due = due_at(subject.schedule, subject.event, slot)
    seconds = (due - slot).total_seconds()
    return Verdict("jitter", True, f"drawn for this slot: {seconds:.3f} s")


def _misfire(subject: Subject, slot: datetime) -> Verdict:
    event = subject.event
    if event.misfire is Misfire.SKIP:
        return Verdict("misfire", True, f"noticed more than {LATE:g} s late it is missed (skip)")
    grace = max(LATE, grace_of(subject.schedule, event, slot))
    return Verdict(
        "misfire", True, f"noticed up to {grace:g} s late it still runs ({event.misfire})"
    )


def _overlap(subject: Subject, executions: Sequence[EventExecution]) -> Verdict:
    why = f"{OVERLAP[subject.event.mode]} ({subject.event.mode})"
    if subject.event.limit is not None:
        why += f"; it waits while the limit {subject.event.limit!r} has no free place"
    under_way = [run for run in executions if not run.status.final]
    if under_way:
        oldest = under_way[-1]
        since = _local(subject, oldest.start_time or oldest.scheduled_time)
        why += f"; under way at present: {oldest.execution_id} since {since}"
    return Verdict("overlap", True, why)


def _is_about(execution: EventExecution, slot: datetime) -> bool:
    """Whether a record tells of a slot: its own, or one that stands in for a range of them."""
    if execution.scheduled_time == slot:
        return True
    found = execution.result or {}
    if execution.reason not in ("coalesced", "min_interval") or "before" not in found:
        return False
    return execution.scheduled_time <= slot < from_epoch(found["before"])


def _outcome(
    subject: Subject,
    slot: datetime,
    now: datetime,
    verdicts: Sequence[Verdict],
    about: Sequence[EventExecution],
) -> str:
    if about:
        return "; ".join(_told(subject, execution) for execution in about)
    against = next((verdict for verdict in verdicts if not verdict.passed), None)
    if against is not None:
        verb = "did" if slot <= now else "does"
        return f"{verb} not run: {against.filter}: {against.why}"
    if slot > now:
        due = due_at(subject.schedule, subject.event, slot)
        return f"will run, due {_local(subject, due)}"
    following = subject.state.next_run
    if following is not None and slot >= following:
        return "is due and not decided yet: no host runs, or it is at it"
    if slot < subject.event.created_at:
        return "the event did not exist yet"
    return "nothing is known: no host ran it, or its record has left the history"


def _told(subject: Subject, execution: EventExecution) -> str:
    """What an execution's record says, in a sentence."""
    status = execution.status.value
    reason = f" ({execution.reason})" if execution.reason else ""
    if execution.status is Status.PENDING and execution.next_attempt_at is not None:
        at = _local(subject, execution.next_attempt_at)
        return f"failed{reason}, attempt {execution.attempt + 1} waits until {at}"
    parts = [f"{status}{reason}"]
    if execution.lateness is not None:
        parts.append(f"started {execution.lateness:.3f} s after its slot")
    if execution.duration is not None:
        parts.append(f"took {execution.duration:.3f} s")
    if execution.retry_count:
        parts.append(f"{execution.retry_count} retries")
    if execution.error_message:
        parts.append(execution.error_message.splitlines()[0])
    return ", ".join(parts)


def _local(subject: Subject, instant: datetime) -> str:
    """ISO time of the event's zone; UTC where that would leave the calendar."""
    try:
        local = instant.astimezone(subject.zone)
    except OverflowError:
        local = instant.astimezone(UTC)
    return local.isoformat(sep=" ", timespec="milliseconds" if local.microsecond else "seconds")
