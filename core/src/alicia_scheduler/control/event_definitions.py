"""``events/list``, ``get``, ``create``, ``update``, ``delete``: what events there are."""

from __future__ import annotations

import uuid
from datetime import datetime
from functools import partial
from typing import Annotated, Any

import msgspec
import trio
from msgspec import Meta

from alicia_scheduler.api.control import CommandError, Permission
from alicia_scheduler.api.errors import ConfigError
from alicia_scheduler.api.model import EventRecord, ScheduledEvent, Status
from alicia_scheduler.config.events import EventTable
from alicia_scheduler.control.command import Answer, Arguments, Command, Request
from alicia_scheduler.control.refusals import issue_json
from alicia_scheduler.control.selection import (
    Outcome,
    Selection,
    is_glob,
    on_each,
    selected_page,
)
from alicia_scheduler.host.check import CheckedEvent, check_event
from alicia_scheduler.host.registry import action_of
from alicia_scheduler.kernel.chains import targets_of
from alicia_scheduler.kernel.definitions import OtherRevision, remove_event, save_event
from alicia_scheduler.kernel.kernel import Kernel
from alicia_scheduler.kernel.listing import known_events

__all__ = ["EVENT_DEFINITIONS", "known_event", "refuse_denied"]

PAGES = 20
"""Pages of the store that one listing looks at: it can be short, also empty, and yet not be the
last one."""

EventId = Annotated[str, Meta(min_length=1, max_length=128)]
Words = Annotated[tuple[str, ...], Meta(max_length=100)]
WRITTEN_BY_USERS = EventTable.__struct_fields__
WHAT_NEEDS_TYPES = frozenset(("schedule_type", "schedule_config", "action"))


class ListEvents(Selection, frozen=True):
    """Which events to list; each filter leaves out what does not match.

    Attributes:
        enabled: only enabled, or only disabled ones.
        status: only events whose last execution ended so: a status or a list of them.
        origin: only events of this origin, e.g. `file` or `api`.
        schedule_type: only events with this type of schedule.
        after_id: where the page begins: the `next` of the page before.
        limit: how many events a page has at the most.
    """

    enabled: bool | None = None
    status: Status | tuple[Status, ...] | None = None
    origin: str | None = None
    schedule_type: str | None = None
    after_id: str | None = None
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100


class EventsPage(Answer, frozen=True):
    """A page of events in order of id.

    Attributes:
        events: the events; there can be fewer than `limit` though more pages follow.
        next: give it as `after_id` for the next page; null behind the last.
    """

    events: tuple[EventRecord, ...]
    next: str | None = None


class GetEvent(Arguments, frozen=True):
    """One event.

    Attributes:
        event_id: its id.
    """

    event_id: EventId


class EventAnswer(Answer, frozen=True):
    """One event as it stands.

    Attributes:
        event: definition and state in one object.
        problem: why it cannot run at present, e.g. because a plugin is missing; null when it can.
        under_way: the ids of its executions that run or wait.
    """

    event: EventRecord
    problem: str | None = None
    under_way: tuple[str, ...] = ()


class CreateEvent(Arguments, frozen=True):
    """A new event.

    Attributes:
        event: the definition, with the fields of an event in a configuration file; its `event_id`
            is made up when it has none.
        allow_unresolved: also take it when a type that it names is not installed. It runs as soon
            as that is there.
    """

    event: dict[str, Any]
    allow_unresolved: bool = False


class UpdateEvent(Arguments, frozen=True):
    """An edit of an event.

    Attributes:
        event_id: its id.
        revision: the revision that the edit was made for; with another one there, it is refused.
        changes: the fields that change, each as a whole.
        allow_unresolved: also take it when a type that it names is not installed.
    """

    event_id: EventId
    revision: Annotated[int, Meta(ge=1)]
    changes: dict[str, Any]
    allow_unresolved: bool = False


class SavedEvent(Answer, frozen=True):
    """The event as it was saved.

    Attributes:
        event: definition and state in one object.
        warnings: what may not be meant, in plain sentences.
    """

    event: EventRecord
    warnings: tuple[str, ...] = ()


class DeleteEvents(Selection, frozen=True):
    """The events to delete.

    Attributes:
        revision: for one event by its id: delete it only at this revision.
    """

    revision: Annotated[int, Meta(ge=1)] | None = None


class DeletedEvent(Answer, frozen=True):
    """An event that was deleted.

    Attributes:
        event_id: its id.
    """

    event_id: str


async def known_event(kernel: Kernel, event_id: str) -> EventRecord:
    """One event as it is.

    Raises:
        KeyError: there is no such event.
    """
    return (await known_events(kernel, [event_id]))[event_id]


async def _list(request: Request, arguments: ListEvents) -> EventsPage:
    found: list[EventRecord] = []
    after_id = arguments.after_id
    for _ in range(PAGES):
        page, after_id = await selected_page(
            request.kernel, arguments, after_id=after_id, origin=arguments.origin
        )
        for record in page:
            if _is_listed(record, arguments):
                if len(found) == arguments.limit:
                    return EventsPage(events=tuple(found), next=found[-1].event.event_id)
                found.append(record)
        if after_id is None:
            break
    return EventsPage(events=tuple(found), next=after_id)


def _is_listed(record: EventRecord, arguments: ListEvents) -> bool:
    event, status = record.event, arguments.status
    statuses = (status,) if isinstance(status, Status) else status
    return (
        (arguments.enabled is None or event.enabled is arguments.enabled)
        and (statuses is None or record.state.last_status in statuses)
        and (arguments.schedule_type is None or event.schedule_type == arguments.schedule_type)
    )


async def _get(request: Request, arguments: GetEvent) -> EventAnswer:
    kernel = request.kernel
    record = await known_event(kernel, arguments.event_id)
    entry = kernel.catalog.get(arguments.event_id)
    if entry is None:
        entry = kernel.catalog.entry(record.event, record.state)
    under_way = kernel.runner.of_event(arguments.event_id)
    return EventAnswer(
        event=record,
        problem=entry.problem,
        under_way=tuple(execution.execution_id for execution in under_way),
    )


async def _create(request: Request, arguments: CreateEvent) -> SavedEvent:
    raw = dict(arguments.event)
    event_id = raw.pop("event_id", None)
    if event_id is None:
        event_id = str(uuid.uuid4())
    if not isinstance(event_id, str):
        raise ConfigError("must be text", path=("event", "event_id"))
    origin = request.caller.origin
    checked = await _checked(request, event_id, raw, ("event",), origin)
    event = _sound(checked, allow_unresolved=arguments.allow_unresolved)
    refuse_denied(request, event, ("event",))
    async with request.control.edits.of(event_id):
        return await _saved(request, event, checked.unresolved, "event", expected=0)


async def _update(request: Request, arguments: UpdateEvent) -> SavedEvent:
    event_id, changes = arguments.event_id, arguments.changes
    async with request.control.edits.of(event_id):
        before = (await known_event(request.kernel, event_id)).event
        if before.revision != arguments.revision:
            raise OtherRevision(event_id, before.revision, arguments.revision)
        _refuse_file(before, "edited")
        refuse_denied(request, before, ("event_id",))
        raw = _as_written(before) | changes
        checked = await _checked(request, event_id, raw, ("changes",), before.origin)
        # What was unresolved before is no reason against an edit of something else.
        lenient = arguments.allow_unresolved or WHAT_NEEDS_TYPES.isdisjoint(changes)
        event = _sound(checked, allow_unresolved=lenient)
        refuse_denied(request, event, ("changes",))
        return await _saved(request, event, checked.unresolved, "changes", expected=before.revision)


async def _delete(request: Request, arguments: DeleteEvents) -> Outcome[DeletedEvent]:
    single = isinstance(arguments.event_id, str) and not is_glob(arguments.event_id)
    if arguments.revision is not None and not single:
        hint = "name one event by its id, or leave the revision out"
        raise ConfigError("a revision is that of one event", path=("revision",), hint=hint)

    async def delete(event_id: str) -> DeletedEvent:
        async with request.control.edits.of(event_id):
            event = (await known_event(request.kernel, event_id)).event
            _refuse_file(event, "deleted")
            await remove_event(request.kernel, event_id, expected=arguments.revision)
        return DeletedEvent(event_id=event_id)

    return await on_each(request, arguments, delete)


async def _checked(
    request: Request,
    event_id: str,
    raw: dict[str, Any],
    path: tuple[str, ...],
    origin: str,
) -> CheckedEvent:
    """The definition, checked as that of a file is; places of mistakes begin with ``path``."""
    host = request.host
    check = partial(
        check_event,
        event_id,
        raw,
        registry=host.registry,
        settings=host.settings,
        checked=host.checked,
        now=request.kernel.clock.now(),
        origin=origin,
        path=path,
    )
    # Checking reads secrets and asks plugins: nothing for the loop.
    return await trio.to_thread.run_sync(check, limiter=request.control.aside)


def _sound(checked: CheckedEvent, *, allow_unresolved: bool) -> ScheduledEvent:
    if checked.event is None or checked.issues:
        first, *others = checked.issues
        raise CommandError(
            "invalid_format",
            first.message,
            hint=first.hint,
            path=first.path,
            details={"issues": [issue_json(issue) for issue in checked.issues]} if others else None,
        )
    if checked.unresolved and not allow_unresolved:
        hint = "install what brings it, or say allow_unresolved"
        raise CommandError("not_supported", checked.unresolved[0], hint=hint)
    return checked.event


async def _saved(
    request: Request, event: ScheduledEvent, unresolved: list[str], place: str, *, expected: int
) -> SavedEvent:
    kernel = request.kernel
    warnings = list(unresolved)
    targets = set(targets_of(event))
    known = await known_events(kernel, targets)
    warnings += [
        f"it names an event {name!r} that does not exist" for name in sorted(targets - known.keys())
    ]
    try:
        record = await save_event(kernel, event, expected=expected)
    except ConfigError as error:
        raise error.under(place) from error
    return SavedEvent(event=record, warnings=tuple(warnings))


def _as_written(event: ScheduledEvent) -> dict[str, Any]:
    """The fields of an event that its user writes, as data."""
    data = msgspec.to_builtins(event, builtin_types=(datetime,))
    return {
        name: list(data[name]) if isinstance(data[name], tuple) else data[name]
        for name in WRITTEN_BY_USERS
    }


def _refuse_file(event: ScheduledEvent, done: str) -> None:
    if event.origin == "file":
        raise CommandError(
            "not_allowed",
            f"event {event.event_id!r} belongs to the configuration file and cannot be {done} here",
            hint="edit the file and reload it; enabling, pausing and triggering work here",
        )


def refuse_denied(request: Request, event: ScheduledEvent, path: tuple[str, ...]) -> None:
    """Refuse what the caller may not do with an event that has this action.

    Raises:
        CommandError: its action is of a type that is denied to them.
    """
    action_type, _ = action_of(event.action)
    if action_type in request.caller.denied_actions:
        message = f"{action_type} actions are not allowed through the door {request.caller.door}"
        raise CommandError("not_allowed", message, path=path)


EVENT_DEFINITIONS = (
    Command(
        "events/list",
        ListEvents,
        EventsPage,
        Permission.READ,
        _list,
        "List events, page by page.",
    ),
    Command(
        "events/get",
        GetEvent,
        EventAnswer,
        Permission.READ,
        _get,
        "Show one event: its definition, its state and what of it is under way.",
    ),
    Command(
        "events/create",
        CreateEvent,
        SavedEvent,
        Permission.ADMIN,
        _create,
        "Create an event.",
    ),
    Command(
        "events/update",
        UpdateEvent,
        SavedEvent,
        Permission.ADMIN,
        _update,
        "Change fields of an event, which makes a new revision of it.",
    ),
    Command(
        "events/delete",
        DeleteEvents,
        Outcome[DeletedEvent],
        Permission.ADMIN,
        _delete,
        "Delete events and cancel what of them is under way; their history stays.",
    ),
)
