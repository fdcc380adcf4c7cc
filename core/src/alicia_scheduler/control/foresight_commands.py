"""``preview`` and ``explain``: the slots to come, and why one runs or does not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Annotated, Any, TypeVar

import msgspec
import trio
from msgspec import Meta

from alicia_scheduler.api.control import Permission
from alicia_scheduler.api.errors import ConfigError
from alicia_scheduler.api.model import EventExecution, EventState, ScheduledEvent
from alicia_scheduler.api.store import ExecutionPlace
from alicia_scheduler.control.command import Answer, Arguments, Command, Request
from alicia_scheduler.control.event_definitions import known_event
from alicia_scheduler.foresight.explanation import explain, slot_near
from alicia_scheduler.foresight.preview import Row, preview_rows
from alicia_scheduler.foresight.subject import Subject, subject_of, unsaved_event
from alicia_scheduler.kernel.halting import halted
from alicia_scheduler.kernel.prepared import Unresolved

__all__ = ["FORESIGHT"]

T = TypeVar("T")

HISTORY_LIMIT = 1000
"""Executions of an event, up to a slot, that are looked through for what tells of it."""

EventId = Annotated[str, Meta(min_length=1, max_length=128)]


class Preview(Arguments, frozen=True):
    """The event, or the schedule that is no event yet, and how far to look.

    Attributes:
        event_id: an event.
        schedule_type: instead of an event: the type of a schedule.
        schedule_config: its configuration.
        timezone: its zone, an IANA name; the host's by default.
        exclude: the days it leaves out, as an event writes them.
        jitter: its jitter in seconds.
        count: how many slots.
        from: slots after this instant; by default from now on.
        to: slots up to and with this instant.
        with_excluded: also show the slots that are excluded, marked.
    """

    event_id: EventId | None = None
    schedule_type: Annotated[str, Meta(min_length=1)] | None = None
    schedule_config: dict[str, Any] | None = None
    timezone: str | None = None
    exclude: tuple[str, ...] = ()
    jitter: Annotated[float, Meta(ge=0, le=3_162_240_000)] = 0.0
    count: Annotated[int, Meta(ge=1, le=1000)] = 10
    from_: datetime | None = msgspec.field(default=None, name="from")
    to: datetime | None = None
    with_excluded: bool = False

    def __post_init__(self) -> None:
        spec = self.schedule_type is not None and self.schedule_config is not None
        if (self.event_id is not None) is spec:
            raise ConfigError(
                "what is to be previewed is not said",
                path=("event_id",),
                hint="give event_id, or schedule_type and schedule_config, and not both",
            )
        if not spec and (self.schedule_type or self.timezone or self.exclude or self.jitter):
            raise ConfigError(
                "timezone, exclude and jitter are for a schedule that is no event",
                path=("event_id",),
            )
        if self.from_ is not None and self.to is not None and self.to <= self.from_:
            raise ConfigError("must be later than from", path=("to",))


class PreviewSlot(Answer, frozen=True):
    """One slot to come.

    Attributes:
        slot: epoch seconds.
        local: the same in the event's zone, ISO 8601.
        due: when the kernel acts on it, epoch seconds: the slot plus its jitter.
        latest: the end of the band that the jitter is drawn from, epoch seconds.
        marks: what a person should know, in a few words each.
        excluded: the item of `exclude` that takes the slot out; null for one that counts.
    """

    slot: float
    local: str
    due: float
    latest: float
    marks: tuple[str, ...] = ()
    excluded: str | None = None


class PreviewAnswer(Answer, frozen=True):
    """The slots to come.

    Attributes:
        event_id: the event; null for a schedule that is none.
        schedule_type: the type of the schedule.
        timezone: the IANA name of its zone.
        description: the schedule in words.
        slots: the slots in order.
        more: whether others follow.
    """

    event_id: str | None
    schedule_type: str
    timezone: str
    description: str
    slots: tuple[PreviewSlot, ...]
    more: bool = False


class Explain(Arguments, frozen=True):
    """An event and an instant.

    Attributes:
        event_id: the event.
        at: the instant; without it, the last slot that has a record and the next one.
    """

    event_id: EventId
    at: datetime | None = None


class FilterVerdict(Answer, frozen=True):
    """What one filter says about a slot.

    Attributes:
        filter: which one, in the kernel's order.
        passed: false when the slot does not run because of it.
        why: a sentence.
    """

    filter: str
    passed: bool
    why: str


class ExplainedSlot(Answer, frozen=True):
    """What becomes, or became, of one slot.

    Attributes:
        slot: epoch seconds.
        past: whether it was due already.
        verdicts: each filter in order, up to the first that makes the others meaningless.
        outcome: the answer in a sentence.
        executions: what the history has about the slot, oldest first.
    """

    slot: datetime
    past: bool
    verdicts: tuple[FilterVerdict, ...]
    outcome: str
    executions: tuple[EventExecution, ...] = ()


class ExplainAnswer(Answer, frozen=True):
    """Why slots of an event run or do not.

    Attributes:
        event_id: the event.
        timezone: the IANA name of its zone.
        slots: one answer for each instant.
    """

    event_id: str
    timezone: str
    slots: tuple[ExplainedSlot, ...]


async def _preview(request: Request, arguments: Preview) -> PreviewAnswer:
    now = request.kernel.clock.now()
    after = arguments.from_ or now
    if arguments.event_id is not None:
        make = await _saved_subject(request, arguments.event_id, now)
    else:
        event = unsaved_event(
            arguments.schedule_type or "",
            arguments.schedule_config or {},
            timezone=arguments.timezone,
            exclude=arguments.exclude,
            jitter=arguments.jitter,
        )
        make = _Subjects(request, event, None, after)
    answer = partial(_previewed, make, arguments, after)
    return await _in_thread(request, answer)


def _previewed(make: _Subjects, arguments: Preview, after: datetime) -> PreviewAnswer:
    subject = make()
    found = preview_rows(subject, after, until=arguments.to, with_excluded=arguments.with_excluded)
    rows = list(islice(found, arguments.count))
    return PreviewAnswer(
        event_id=arguments.event_id,
        schedule_type=subject.event.schedule_type,
        timezone=subject.zone.key,
        description=subject.schedule.describe(),
        slots=tuple(_slot(row) for row in rows),
        more=len(rows) == arguments.count and next(found, None) is not None,
    )


def _slot(row: Row) -> PreviewSlot:
    wire = row.to_wire()
    return PreviewSlot(**(wire | {"marks": tuple(wire["marks"])}))


async def _explain(request: Request, arguments: Explain) -> ExplainAnswer:
    kernel = request.kernel
    now = kernel.clock.now()
    make = await _saved_subject(request, arguments.event_id, now)
    subject = await _in_thread(request, make)
    instants: list[datetime]
    if arguments.at is not None:
        instants = [await _in_thread(request, partial(slot_near, subject, arguments.at))]
    else:
        last = await kernel.store.list_executions(event_id=arguments.event_id, limit=1)
        instants = [execution.scheduled_time for execution in last]
        following = subject.state.next_run or await _in_thread(
            request, partial(subject.schedule.next_after, now)
        )
        instants += [following] if following is not None else []
    slots = []
    for slot in sorted(set(instants)):
        executions = await kernel.store.list_executions(
            event_id=arguments.event_id, after=ExecutionPlace(slot, ""), limit=HISTORY_LIMIT
        )
        found = await _in_thread(request, partial(explain, subject, slot, now, executions))
        slots.append(
            ExplainedSlot(
                slot=found.slot,
                past=found.past,
                verdicts=tuple(
                    FilterVerdict(filter=each.filter, passed=each.passed, why=each.why)
                    for each in found.verdicts
                ),
                outcome=found.outcome,
                executions=found.executions,
            )
        )
    return ExplainAnswer(event_id=arguments.event_id, timezone=subject.zone.key, slots=tuple(slots))


class _Subjects:
    """Makes a subject of an event, away from the loop: plugins build its schedule."""

    def __init__(
        self, request: Request, event: ScheduledEvent, state: EventState | None, now: datetime
    ) -> None:
        self._host = request.host
        self._event, self._state, self._now = event, state, now

    def __call__(self) -> Subject:
        host = self._host
        try:
            return subject_of(
                self._event,
                host.registry,
                host.settings,
                host.checked.calendars,
                now=self._now,
                state=self._state,
            )
        except Unresolved as error:
            raise ValueError(str(error)) from error


async def _saved_subject(request: Request, event_id: str, now: datetime) -> _Subjects:
    record = await known_event(request.kernel, event_id)
    state = halted(record.state, request.kernel.paused_until)
    return _Subjects(request, record.event, state, now)


async def _in_thread(request: Request, job: Callable[[], T]) -> T:
    # A schedule may take long to find its slots; the loop does not wait for it.
    aside = request.control.aside
    return await trio.to_thread.run_sync(job, limiter=aside, abandon_on_cancel=True)


FORESIGHT = (
    Command(
        "preview",
        Preview,
        PreviewAnswer,
        Permission.READ,
        _preview,
        "Show the next slots of an event, or of a schedule that is saved nowhere.",
    ),
    Command(
        "explain",
        Explain,
        ExplainAnswer,
        Permission.READ,
        _explain,
        "Say why an event runs, or does not, at an instant.",
    ),
)
