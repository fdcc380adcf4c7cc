"""Events and executions in their wire form, from the store or from a host behind a URL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

from alicia_scheduler.api.control import CommandError
from alicia_scheduler.api.model import EventRecord, Status, to_wire
from alicia_scheduler.api.store import ExecutionPlace
from alicia_scheduler.cli.door import Door
from alicia_scheduler.cli.output import refuse
from alicia_scheduler.cli.selection import matches

__all__ = ["listed_events", "listed_executions", "one_event", "one_execution"]

PAGE = 1000

Wire = dict[str, Any]


def listed_events(door: Door, events: Sequence[str] = (), tag: str | None = None) -> list[Wire]:
    """The selected events in order of id; all of them when nothing is selected."""
    if door.remote:
        return list(_asked_events(door, events, tag))
    found = []
    with door.store() as store:
        last: str | None = None
        while page := store.list_events(after_id=last, limit=PAGE, origin=None):
            last = page[-1].event.event_id
            found += [wire for wire in map(to_wire, page) if matches(wire, events, tag)]
    return found


def _asked_events(door: Door, events: Sequence[str], tag: str | None) -> Iterator[Wire]:
    selected: Wire = {} if tag is None else {"tag": tag}
    if events:
        selected["event_id"] = list(events)
    after: Wire = {}
    while True:
        page = door.ask("events/list", limit=PAGE, **selected, **after)
        yield from page["events"]
        if page["next"] is None:
            return
        after = {"after_id": page["next"]}


def one_event(door: Door, event_id: str) -> Wire:
    """One event; exits 1 when there is none of this id."""
    if door.remote:
        answer = door.ask("events/get", event_id=event_id)
        return dict(answer["event"])
    with door.store() as store:
        record: EventRecord | None = store.records([event_id]).get(event_id)
    if record is None:
        _missing("event", event_id)
    return dict(to_wire(record))


def listed_executions(
    door: Door,
    *,
    events: Sequence[str],
    tag: str | None,
    statuses: Sequence[Status] | None,
    limit: int,
) -> list[Wire]:
    """The newest executions first: of the selected events, of these statuses."""
    if door.remote:
        return _asked_executions(door, events, tag, statuses, limit)
    found: list[Wire] = []
    with door.store() as store:
        # One exact id is what the store's index knows; all else is looked through.
        exact = events[0] if len(events) == 1 and not set("*?[") & set(events[0]) else None
        tagged = (
            None if tag is None else {item["event_id"] for item in listed_events(door, (), tag)}
        )
        after: ExecutionPlace | None = None
        while len(found) < limit:
            page = store.list_executions(
                event_id=exact, statuses=statuses, after=after, limit=min(PAGE, limit)
            )
            if not page:
                break
            after = ExecutionPlace(page[-1].scheduled_time, page[-1].execution_id)
            found += [
                wire
                for wire in map(to_wire, page)
                if (tagged is None or wire["event_id"] in tagged)
                and matches({**wire, "tags": ()}, events, None)
            ]
    return found[:limit]


def _asked_executions(
    door: Door,
    events: Sequence[str],
    tag: str | None,
    statuses: Sequence[Status] | None,
    limit: int,
) -> list[Wire]:
    selected: Wire = {} if tag is None else {"tag": tag}
    if events:
        selected["event_id"] = list(events)
    if statuses is not None:
        selected["status"] = [status.value for status in statuses]
    found: list[Wire] = []
    after: Mapping[str, Any] = {}
    while len(found) < limit:
        wanted = min(PAGE, limit - len(found))
        page = door.ask("executions/list", limit=wanted, **selected, **after)
        found += page["executions"]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    return found


def one_execution(door: Door, execution_id: str) -> Wire:
    """One execution with its steps; exits 1 when there is none of this id."""
    if door.remote:
        return dict(door.ask("executions/get", execution_id=execution_id)["execution"])
    with door.store() as store:
        execution = store.execution(execution_id)
    if execution is None:
        _missing("execution", execution_id)
    return dict(to_wire(execution))


def _missing(noun: str, name: str) -> NoReturn:
    """Refuse as the host would, where it is not asked."""
    refuse(
        CommandError("not_found", f"there is no {name!r}"),
        f"there is no {noun} {name!r}; `alicia {noun}s list` shows them",
    )
