"""The data model: events, executions, notifications. DESIGN section 3 fixes the names.

Every value is frozen: an edit makes a new one. So none can be part of a circle, and the garbage
collector need not look at them (``gc=False``), however many there are. Instants are aware UTC
datetimes, durations are seconds as float. On the wire (JSON, MQTT, ``--json``) instants are epoch
seconds as float; :func:`to_wire` is the one place where the two meet.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum, StrEnum
from typing import Any

import msgspec

__all__ = [
    "DstGap",
    "DstOverlap",
    "EventExecution",
    "EventRecord",
    "EventState",
    "Misfire",
    "Mode",
    "Notification",
    "OnInterrupted",
    "ScheduledEvent",
    "Status",
    "Step",
    "Trigger",
    "from_epoch",
    "to_epoch",
    "to_wire",
]


class Status(StrEnum):
    """Where an execution stands. The Alicia bus knows the first five."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    MISSED = "missed"
    INTERRUPTED = "interrupted"

    @property
    def final(self) -> bool:
        """True when nothing can follow: the disposition of the slot."""
        return self not in (Status.PENDING, Status.RUNNING)


class Trigger(StrEnum):
    """Why an execution exists."""

    SCHEDULE = "schedule"
    MANUAL = "manual"
    RETRY = "retry"
    CATCHUP = "catchup"
    RECOVERY = "recovery"
    CHAIN = "chain"


class Mode(StrEnum):
    """What a due slot does while the event still runs (Home Assistant's names and meaning)."""

    SINGLE = "single"
    RESTART = "restart"
    QUEUED = "queued"
    PARALLEL = "parallel"


class Misfire(StrEnum):
    """What happens to slots that are noticed late."""

    LATEST = "latest"
    ALL = "all"
    SKIP = "skip"


class DstGap(StrEnum):
    """What a reading means that the clock skips: the first instant after the gap, or nothing."""

    AFTER = "after"
    SKIP = "skip"


class DstOverlap(StrEnum):
    """What a reading means that the clock shows twice: its first pass, its second, or both."""

    FIRST = "first"
    SECOND = "second"
    BOTH = "both"


class OnInterrupted(StrEnum):
    """What happens to an execution found unfinished after a crash or a stop."""

    RERUN = "rerun"
    FAIL = "fail"


class ScheduledEvent(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False
):
    """A definition: when, what, and by which policy. Immutable; an edit makes a new revision.

    Durations are seconds.

    Attributes:
        event_id: its id: 1 to 128 of `A-Z a-z 0-9 _ . -`, beginning with a letter or digit.
        name: what people call it.
        schedule_type: the name of an installed schedule type, e.g. `cron`.
        schedule_config: what the schedule type is told; it validates this.
        action: an object with `type`, the name of an action type, which validates the rest.
        description: more about it, for people.
        tags: words by which events are selected together.
        enabled: whether its schedule runs; it can be triggered by hand in any case.
        timezone: an IANA name; null for the host's.
        max_retries: how often a failed execution is tried again.
        retry_delay: seconds to the first retry.
        retry_backoff: by how much each further delay is longer than the one before.
        retry_max_delay: the longest delay in seconds.
        retry_jitter: by which fraction a delay is shorter or longer at random.
        retry_max_age: no further attempt begins later than so many seconds after the slot was due.
        retry_yields: whether a waiting retry ends when the next execution of its event is let in;
            if not, it counts as under way for the overlap mode.
        no_retry_on: classes of errors that no retry follows.
        pause_on_failure: after so many failed executions in a row the event pauses itself.
        timeout: seconds that an attempt may take.
        mode: what a due slot does while the event still runs.
        max_executions: executions that may be under way at once, where the mode allows several.
        priority: of executions that wait for a place, the highest is first.
        limit: the name of a limit of the configuration that the event shares with others.
        misfire: what happens to slots that are noticed late.
        misfire_grace: seconds that a slot may be late and still runs; null for the schedule's own.
        jitter: each slot is put off by up to so many seconds, drawn once.
        starts_at: no slot is before this instant.
        ends_at: no slot is after this instant.
        max_runs: so many slots lead to an execution; then the schedule ends.
        exclude: local days without slots: a date (`2026-12-24`), a range of dates
            (`2026-12-24/2027-01-06`, both included), a weekday (`sat`), or the name of a calendar
            of the configuration.
        dst_gap: what a reading means that a clock change skips; null for the schedule type's rule.
        dst_overlap: what a reading means that a clock change repeats; null for the schedule type's
            rule.
        on_interrupted: what happens to an execution found unfinished after a crash or a stop.
        on_success: events that are triggered when an execution has completed.
        on_failure: events that are triggered when an execution has failed with all its attempts.
        on_complete: events that are triggered in either case.
        created_at: when it was created.
        updated_at: when it was edited last.
        revision: counts its edits, from 1.
        origin: where it comes from: `file`, `api`, `mqtt`, and so on.
    """

    event_id: str
    name: str
    schedule_type: str
    schedule_config: dict[str, Any]
    action: dict[str, Any]
    description: str = ""
    tags: tuple[str, ...] = ()
    enabled: bool = True
    timezone: str | None = None
    max_retries: int = 3
    retry_delay: float = 60.0
    retry_backoff: float = 2.0
    retry_max_delay: float = 3600.0
    retry_jitter: float = 0.1
    retry_max_age: float | None = None
    retry_yields: bool = True
    no_retry_on: tuple[str, ...] = ()
    pause_on_failure: int | None = None
    timeout: float = 300.0
    mode: Mode = Mode.SINGLE
    max_executions: int = 10
    priority: int = 0
    limit: str | None = None
    misfire: Misfire = Misfire.LATEST
    misfire_grace: float | None = None
    jitter: float = 0.0
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    max_runs: int | None = None
    exclude: tuple[str, ...] = ()
    dst_gap: DstGap | None = None
    dst_overlap: DstOverlap | None = None
    on_interrupted: OnInterrupted = OnInterrupted.RERUN
    on_success: tuple[str, ...] = ()
    on_failure: tuple[str, ...] = ()
    on_complete: tuple[str, ...] = ()
    created_at: datetime
    updated_at: datetime
    revision: int = 1
    origin: str = "api"


class EventState(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the kernel keeps about an event while it lives; not part of the definition.

    Attributes:
        next_run: the next slot.
        next_due: when the kernel acts on it: the slot plus its jitter.
        anchor: the instant the schedule was started; grids count from it. Null until the schedule
            type was there to start it.
        slot_count: the slots that led to an execution, which is what `max_runs` bounds.
        paused_until: slots up to this instant do not run; each is recorded as skipped.
        paused_reason: why the event is paused, in a stable word or a sentence.
        skip_slots: the exact slots that do not run; each is recorded as skipped.
        last_run: when the last execution that ended had started.
        last_status: how that ended; `pending` when there was none.
        run_count: executions that started and ended; the attempts of one are one run.
        success_count: those of them that completed.
        failure_count: those of them that failed or were interrupted.
        failures_in_row: executions that failed, with all their attempts, since the last one that
            did not.
        failing_since: when the first of them ended; an event that has it is failing.
    """

    next_run: datetime | None = None
    next_due: datetime | None = None
    anchor: datetime | None = None
    slot_count: int = 0
    paused_until: datetime | None = None
    paused_reason: str | None = None
    skip_slots: tuple[datetime, ...] = ()
    last_run: datetime | None = None
    last_status: Status = Status.PENDING
    run_count: int = 0
    success_count: int = 0
    failure_count: int = 0
    failures_in_row: int = 0
    failing_since: datetime | None = None


class EventRecord(msgspec.Struct, frozen=True, gc=False):
    """A definition together with its state: what a listing shows and the store keeps."""

    event: ScheduledEvent
    state: EventState


class Step(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One thing that happened to an execution, in the order in which it happened.

    Attributes:
        name: ``due``, ``queued``, ``started``, ``attempt 2`` and so on, ``ended``.
        offset: seconds since the slot was due; negative when it happened before.
    """

    name: str
    offset: float


class EventExecution(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The run for one slot, or for one manual trigger; it has one or more attempts.

    Attributes:
        execution_id: its id.
        event_id: its event.
        revision: the revision of the event that it runs.
        scheduled_time: the slot.
        due_time: the slot plus the jitter drawn for it.
        status: where it stands; while a retry waits, it is `pending`.
        trigger: why it exists.
        start_time: when its first attempt began.
        end_time: when it ended.
        result: what the action returned, or more about a slot that did not run.
        error_message: what went wrong last, in words.
        error_class: the kind of that error, for counting and for policies.
        retry_count: attempts after the first, so the first attempt has 0.
        reason: more about the status in a stable word: `timeout`, `overlap`, `grace`, `coalesced`,
            `crash`, `shutdown`, and so on.
        next_attempt_at: until when a retry waits.
        steps: what happened to it so far, oldest first.
        retry_of: the execution that somebody had run again.
        parent_id: the execution whose end, or whose service call, triggered this one.
        useful_until: an effect later than this is worth nothing any more: the end of the grace in
            which the slot may still start late. Null when nobody can say.
    """

    execution_id: str
    event_id: str
    revision: int
    scheduled_time: datetime
    due_time: datetime | None = None
    status: Status = Status.PENDING
    trigger: Trigger = Trigger.SCHEDULE
    start_time: datetime | None = None
    end_time: datetime | None = None
    result: dict[str, Any] | None = None
    error_message: str | None = None
    error_class: str | None = None
    retry_count: int = 0
    reason: str | None = None
    next_attempt_at: datetime | None = None
    steps: tuple[Step, ...] = ()
    retry_of: str | None = None
    parent_id: str | None = None
    useful_until: datetime | None = None

    @property
    def attempt(self) -> int:
        """Number of the current attempt, counted from 1."""
        return self.retry_count + 1

    @property
    def lateness(self) -> float | None:
        """Seconds from the slot to the start of the execution, or None if it never started."""
        if self.start_time is None:
            return None
        return (self.start_time - self.scheduled_time).total_seconds()

    @property
    def duration(self) -> float | None:
        """Seconds from start to end, or None if it has not started or not ended."""
        if self.start_time is None or self.end_time is None:
            return None
        return (self.end_time - self.start_time).total_seconds()

    @property
    def idempotency_key(self) -> str:
        """Same for each repetition of one attempt, different otherwise: event, slot, attempt."""
        return f"{self.event_id}/{to_epoch(self.scheduled_time):.6f}/{self.attempt}"


class Notification(msgspec.Struct, frozen=True, kw_only=True):
    """A lifecycle message of the kernel, in the shape the Alicia bus knows.

    ``sequence`` grows by one with each notification of a host.
    """

    event_type: str
    event_data: dict[str, Any]
    timestamp: datetime
    source: str
    sequence: int


def to_epoch(instant: datetime) -> float:
    """Epoch seconds of an aware instant, exact to the microsecond."""
    return instant.timestamp()


def from_epoch(seconds: float) -> datetime:
    """The aware UTC instant of epoch seconds, rounded to the microsecond."""
    return datetime.fromtimestamp(seconds, UTC)


def to_wire(value: object) -> Any:
    """Plain JSON-ready data for a model value: instants become epoch seconds (float).

    An :class:`EventRecord` becomes one flat object, definition and state together, as the wire
    model of DESIGN section 3 has it.
    """
    if isinstance(value, EventExecution):
        return _wire_execution(value)
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, EventRecord):
        return {**to_wire(value.event), **to_wire(value.state)}
    if isinstance(value, msgspec.Struct):
        return _wire_object(msgspec.structs.asdict(value))
    if isinstance(value, dict):
        return _wire_object(value)
    if isinstance(value, (list, tuple)):
        return [(_CONVERTERS.get(type(item)) or to_wire)(item) for item in value]
    return value


def _wire_execution(run: EventExecution) -> dict[str, Any]:
    """What is told most, field by field: twice in each execution's life."""
    return {
        "execution_id": run.execution_id,
        "event_id": run.event_id,
        "revision": run.revision,
        "scheduled_time": run.scheduled_time.timestamp(),
        "due_time": run.due_time and run.due_time.timestamp(),
        "status": str.__str__(run.status),
        "trigger": str.__str__(run.trigger),
        "start_time": run.start_time and run.start_time.timestamp(),
        "end_time": run.end_time and run.end_time.timestamp(),
        "result": run.result and _wire_object(run.result),
        "error_message": run.error_message,
        "error_class": run.error_class,
        "retry_count": run.retry_count,
        "reason": run.reason,
        "next_attempt_at": run.next_attempt_at and run.next_attempt_at.timestamp(),
        "steps": [{"name": step.name, "offset": step.offset} for step in run.steps],
        "retry_of": run.retry_of,
        "parent_id": run.parent_id,
        "useful_until": run.useful_until and run.useful_until.timestamp(),
    }


_AS_THEY_ARE = frozenset((str, int, float, bool, type(None)))
"""The types whose values are on the wire what they are here; most fields of a record."""

_CONVERTERS: dict[type, Callable[[Any], Any]] = {
    datetime: datetime.timestamp,
    Step: msgspec.structs.asdict,
    **dict.fromkeys((Status, Trigger, Mode, Misfire, OnInterrupted), str.__str__),
}
"""What :func:`to_wire` does with the types that it meets most. Each notification is such a walk."""


def _wire_object(fields: dict[Any, Any]) -> dict[Any, Any]:
    return {
        name: value
        if (kind := type(value)) in _AS_THEY_ARE
        else (_CONVERTERS.get(kind) or to_wire)(value)
        for name, value in fields.items()
    }
