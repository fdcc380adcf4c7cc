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

    Durations are seconds. ``timezone`` is an IANA name or None for the host's. ``action`` is an
    object with ``type``; the action type validates the rest, as the schedule type validates
    ``schedule_config``.

    ``exclude`` takes whole local days out of any schedule: each item is a date (``2026-12-24``), a
    range of dates (``2026-12-24/2027-01-06``, both included), a weekday (``sat``), or the name of
    a calendar of the configuration. ``dst_gap`` and ``dst_overlap`` replace the schedule type's
    own rule for readings that a clock change skips or repeats; None keeps it.

    No further attempt begins later than ``retry_max_age`` after the slot was due, and none follows
    an error whose class is in ``no_retry_on``. A waiting retry ends when the next execution of its
    event is let in; with ``retry_yields`` False it counts as under way for the overlap mode. After
    ``pause_on_failure`` failed executions in a row the event pauses itself. Of those that wait for
    a place, the highest ``priority`` is first; ``limit`` names a limit of the configuration that
    the event shares with others.

    ``on_success``, ``on_failure`` and ``on_complete`` (either of the two) name events that are
    triggered when an execution has ended so, with all its attempts.
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

    ``run_count`` counts executions that started and ended; ``success_count`` and
    ``failure_count`` split it. Attempts of one execution are one run.

    ``next_run`` is the next slot, ``next_due`` when the kernel acts on it: the slot plus its
    jitter. ``anchor`` is the instant the schedule was started; grids count from it. It is None
    until the schedule type was there to start it. ``slot_count`` counts the slots that led to an
    execution, which is what ``max_runs`` bounds.

    Slots up to ``paused_until`` and the exact slots in ``skip_slots`` do not run; each is recorded
    as skipped. ``paused_reason`` says why the event is paused, in a stable word or a sentence.
    ``failures_in_row`` counts the executions that failed, with all their attempts, since the last
    one that did not; ``pause_on_failure`` looks at it. ``failing_since`` is when the first of them
    ended; an event that has it is failing.
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

    ``scheduled_time`` is the slot. ``retry_count`` is the number of attempts after the first, so
    the first attempt has 0. While a retry waits, ``status`` is pending and ``next_attempt_at``
    says until when. ``reason`` says more about a status in a stable word (``timeout``,
    ``overlap``, ``grace``, ``coalesced``, ``crash``, ``shutdown``, …). ``due_time`` is the slot
    plus the jitter drawn for it. ``error_class`` names the kind of an error for counting and for
    policies, beside the words for people in ``error_message``. ``steps`` is what happened to the
    execution so far, oldest first. ``retry_of`` is the execution that somebody had run again,
    ``parent_id`` the one whose end, or whose service call, triggered this one. An effect later
    than ``useful_until`` is worth nothing any more: the end of the grace in which the slot may
    still start late. None when nobody can say.
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
