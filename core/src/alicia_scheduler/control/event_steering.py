"""``events/enable``, ``disable``, ``trigger``, ``test``, ``skip``, ``unskip``, ``pause``,
``resume``: what is done to events that there are."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

from msgspec import Meta

from alicia_scheduler.api.control import Permission
from alicia_scheduler.api.errors import ConfigError
from alicia_scheduler.api.model import EventExecution
from alicia_scheduler.control.command import Answer, Arguments, Command, Request
from alicia_scheduler.control.event_definitions import refuse_denied
from alicia_scheduler.control.selection import Outcome, Selection, on_each
from alicia_scheduler.host.resolver import Resolver
from alicia_scheduler.host.trial import live_run, trial_execution, trial_run
from alicia_scheduler.kernel import steering

__all__ = ["EVENT_STEERING", "PauseSeconds", "ends_at", "one_end"]

PauseSeconds = Annotated[float, Meta(gt=0, le=10 * 366 * 86_400)]


def ends_at(until: datetime | None, duration: float | None, now: datetime) -> datetime:
    """The end of a pause that begins now: an instant, or so many seconds later, or never."""
    if duration is not None:
        return now + timedelta(seconds=duration)
    return min(until or steering.FOR_EVER, steering.FOR_EVER)


def one_end(until: datetime | None, duration: float | None) -> None:
    """Refuse a pause that is told two ends.

    Raises:
        ConfigError: it is.
    """
    if until is not None and duration is not None:
        raise ConfigError(
            "until and duration exclude each other", path=("duration",), hint="keep one"
        )


class PauseEvents(Selection, frozen=True):
    """The events to pause, and for how long.

    Attributes:
        until: up to this instant no slot runs.
        duration: seconds from now on in which no slot runs. With neither, until it is resumed.
    """

    until: datetime | None = None
    duration: PauseSeconds | None = None

    def __post_init__(self) -> None:
        one_end(self.until, self.duration)


class TestEvent(Arguments, frozen=True):
    """The event to try.

    Attributes:
        event_id: its id.
        live: also run its action, once, outside its history.
    """

    __test__ = False  # its name begins as pytest's test classes do

    event_id: Annotated[str, Meta(min_length=1, max_length=128)]
    live: bool = False


class SwitchedEvent(Answer, frozen=True):
    """An event that was enabled or disabled.

    Attributes:
        event_id: its id.
        enabled: whether it is enabled now.
        revision: its revision now; what was so already makes no new one.
        next_run: its next slot, epoch seconds.
    """

    event_id: str
    enabled: bool
    revision: int
    next_run: datetime | None = None


class TriggeredEvent(Answer, frozen=True):
    """An event that was triggered.

    Attributes:
        event_id: its id.
        executions: what came of it: the new execution, or the record of why there is none.
    """

    event_id: str
    executions: tuple[EventExecution, ...]


class SkippedSlot(Answer, frozen=True):
    """An event of which a slot was marked, or a mark was taken back.

    Attributes:
        event_id: its id.
        slot: the slot, epoch seconds; null when there was none.
    """

    event_id: str
    slot: datetime | None = None


class PausedEvent(Answer, frozen=True):
    """An event that was paused or resumed.

    Attributes:
        event_id: its id.
        paused_until: up to when no slot of it runs, epoch seconds; null when it is not paused.
    """

    event_id: str
    paused_until: datetime | None = None


class LiveRun(Answer, frozen=True):
    """How a run outside the history ended.

    Attributes:
        execution_id: the id that the action was given.
        status: `completed`, `failed` or `cancelled`.
        result: what the action returned.
        error_message: what went wrong, in words.
        error_class: what kind of error it was.
        reason: more about the status, in a stable word.
        retryable: whether a scheduled execution would try again.
    """

    execution_id: str
    status: str
    result: Any = None
    error_message: str | None = None
    error_class: str | None = None
    reason: str | None = None
    retryable: bool = False


class Trial(Answer, frozen=True):
    """What an event's action would be given and do. Secrets show as `***`.

    Attributes:
        event_id: the event.
        action_type: the type of its action.
        slot: the slot that it was tried for, epoch seconds.
        options: the options of the action, with templates rendered.
        preview: what the action type says it would do with them, if it says anything.
        problem: why an attempt would fail before the action begins.
        error_class: what kind of error that would be.
        live: how the action ended, when it was run.
    """

    event_id: str
    action_type: str
    slot: datetime
    options: dict[str, Any]
    preview: Any = None
    problem: str | None = None
    error_class: str | None = None
    live: LiveRun | None = None


async def _enable(request: Request, arguments: Selection) -> Outcome[SwitchedEvent]:
    return await _switch(request, arguments, enabled=True)


async def _disable(request: Request, arguments: Selection) -> Outcome[SwitchedEvent]:
    return await _switch(request, arguments, enabled=False)


async def _switch(
    request: Request, arguments: Selection, *, enabled: bool
) -> Outcome[SwitchedEvent]:
    async def switch(event_id: str) -> SwitchedEvent:
        async with request.control.edits.of(event_id):
            record = await steering.set_enabled(request.kernel, event_id, enabled)
        return SwitchedEvent(
            event_id=event_id,
            enabled=enabled,
            revision=record.event.revision,
            next_run=record.state.next_run if enabled else None,
        )

    return await on_each(request, arguments, switch)


async def _trigger(request: Request, arguments: Selection) -> Outcome[TriggeredEvent]:
    kernel, by = request.kernel, request.caller.execution

    async def trigger(event_id: str) -> TriggeredEvent:
        if by is None:
            executions = await kernel.trigger(event_id)
        else:
            executions = await steering.trigger_by(kernel, event_id, by)
        return TriggeredEvent(event_id=event_id, executions=tuple(executions))

    # In order of id: so they take their places.
    return await on_each(request, arguments, trigger, at_once=1)


async def _test(request: Request, arguments: TestEvent) -> Trial:
    kernel = request.kernel
    await kernel.catalog.load([arguments.event_id])
    entry = kernel.catalog.get(arguments.event_id)
    if entry is None:
        raise KeyError(arguments.event_id)
    refuse_denied(request, entry.event, ("event_id",))
    if entry.prepared is None:
        raise ValueError(entry.problem)
    if not isinstance(kernel.types, Resolver):
        raise ValueError("this host runs no installed actions")
    execution = trial_execution(entry.record, kernel.clock.now())
    record, prepared = entry.record, entry.prepared
    answer = await trial_run(kernel.types, record, prepared, execution)
    live = None
    if arguments.live and answer["problem"] is None:
        live = LiveRun(**await live_run(kernel.types, record, prepared, execution))
    return Trial(**answer, live=live)


async def _skip(request: Request, arguments: Selection) -> Outcome[SkippedSlot]:
    async def skip(event_id: str) -> SkippedSlot:
        slot = await steering.skip_next(request.kernel, event_id)
        return SkippedSlot(event_id=event_id, slot=slot)

    return await on_each(request, arguments, skip)


async def _unskip(request: Request, arguments: Selection) -> Outcome[SkippedSlot]:
    async def unskip(event_id: str) -> SkippedSlot:
        slot = await steering.unskip(request.kernel, event_id)
        return SkippedSlot(event_id=event_id, slot=slot)

    return await on_each(request, arguments, unskip)


async def _pause(request: Request, arguments: PauseEvents) -> Outcome[PausedEvent]:
    until = ends_at(arguments.until, arguments.duration, request.kernel.clock.now())

    async def pause(event_id: str) -> PausedEvent:
        await steering.pause(request.kernel, event_id, until)
        return PausedEvent(event_id=event_id, paused_until=until)

    return await on_each(request, arguments, pause)


async def _resume(request: Request, arguments: Selection) -> Outcome[PausedEvent]:
    async def resume(event_id: str) -> PausedEvent:
        await steering.resume(request.kernel, event_id)
        return PausedEvent(event_id=event_id)

    return await on_each(request, arguments, resume)


EVENT_STEERING = (
    Command(
        "events/enable",
        Selection,
        Outcome[SwitchedEvent],
        Permission.OPERATE,
        _enable,
        "Enable events; each starts its schedule anew.",
    ),
    Command(
        "events/disable",
        Selection,
        Outcome[SwitchedEvent],
        Permission.OPERATE,
        _disable,
        "Disable events; what is under way goes on.",
    ),
    Command(
        "events/trigger",
        Selection,
        Outcome[TriggeredEvent],
        Permission.OPERATE,
        _trigger,
        "Run events now, each by its own rules of overlap.",
    ),
    Command(
        "events/test",
        TestEvent,
        Trial,
        Permission.OPERATE,
        _test,
        "Try an event outside its history: show what its action would do, or run it once.",
    ),
    Command(
        "events/skip",
        Selection,
        Outcome[SkippedSlot],
        Permission.OPERATE,
        _skip,
        "Skip the next slot of events that is not skipped yet.",
    ),
    Command(
        "events/unskip",
        Selection,
        Outcome[SkippedSlot],
        Permission.OPERATE,
        _unskip,
        "Take the last skip of events back.",
    ),
    Command(
        "events/pause",
        PauseEvents,
        Outcome[PausedEvent],
        Permission.OPERATE,
        _pause,
        "Let no slot of events run for a while; each is recorded as skipped.",
    ),
    Command(
        "events/resume",
        Selection,
        Outcome[PausedEvent],
        Permission.OPERATE,
        _resume,
        "End the pause of events.",
    ),
)
