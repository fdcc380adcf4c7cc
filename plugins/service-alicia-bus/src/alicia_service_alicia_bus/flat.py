"""The original's commands, on any topic one level below the prefix, and those it lacked."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from alicia_scheduler.api import CommandError, MqttMessage
from alicia_service_alicia_bus.desk import Seat
from alicia_service_alicia_bus.envelope import Incoming
from alicia_service_alicia_bus.events import (
    event_shown,
    execution_shown,
    new_event,
    statuses_meant,
    update,
)
from alicia_service_alicia_bus.orders import META, Order

__all__ = ["FLAT_COMMANDS", "may_be_command", "read_flat"]

MANY = 1000
"""Most rows of a listing; the original had no bound."""

Fields = Mapping[str, Any]


def may_be_command(message: MqttMessage) -> bool:
    """Whether a message can be a command, without reading it: this host's own notifications come
    on topics of the same level."""
    return b'"command"' in message.payload or message.topic.rpartition("/")[2] in FLAT_COMMANDS


def read_flat(message: MqttMessage, incoming: Incoming) -> Order | None:
    """The command of a message. It is named by the field ``command``, else by its topic.

    Raises:
        CommandError: there is no such command.
    """
    at = next((level for level in reversed(incoming.levels) if "command" in level), None)
    if at is None:
        name = message.topic.rpartition("/")[2]
        fields = incoming.fields
        if name not in FLAT_COMMANDS:
            return None
    else:
        fields, name = at, at["command"]
    verb = FLAT_COMMANDS.get(name) if isinstance(name, str) else None
    if verb is None:
        raise _unknown(name)
    arguments = {key: value for key, value in fields.items() if key not in META}
    return Order(name=name, perform=partial(verb, arguments), arguments=arguments)


def _unknown(name: object) -> CommandError:
    near = difflib.get_close_matches(str(name)[:100], FLAT_COMMANDS, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known ones: {', '.join(FLAT_COMMANDS)}"
    return CommandError("unknown_command", f"there is no command {str(name)[:100]!r}", hint=hint)


async def _create_event(fields: Fields, seat: Seat) -> dict[str, Any]:
    event, warnings = new_event(fields.get("event"))
    answer = await seat.do("events/create", {"event": event})
    return _saved(answer, warnings)


async def _update_event(fields: Fields, seat: Seat) -> dict[str, Any]:
    event_id = _event_id(fields)
    before = (await seat.look("events/get", {"event_id": event_id}))["event"]
    changes, warnings = update(fields.get("event"), before)
    # Without a revision of the sender's own the edit is for the event as it was just read.
    revision = fields.get("revision", before["revision"])
    answer = await seat.do(
        "events/update", {"event_id": event_id, "revision": revision, "changes": changes}
    )
    return _saved(answer, warnings)


def _saved(answer: Any, warnings: list[str]) -> dict[str, Any]:
    event = answer["event"]
    return {
        "event_id": event["event_id"],
        "next_run": event["next_run"],
        "event": event_shown(event),
        "warnings": [*warnings, *answer.get("warnings", ())],
    }


async def _delete_event(fields: Fields, seat: Seat) -> dict[str, Any]:
    event_id = _event_id(fields)
    _single(await seat.do("events/delete", {"event_id": event_id}))
    return {"event_id": event_id, "message": "Event deleted successfully"}


async def _enable_event(fields: Fields, seat: Seat) -> dict[str, Any]:
    return await _switch("events/enable", fields, seat)


async def _disable_event(fields: Fields, seat: Seat) -> dict[str, Any]:
    return await _switch("events/disable", fields, seat)


async def _switch(name: str, fields: Fields, seat: Seat) -> dict[str, Any]:
    done = _single(await seat.do(name, {"event_id": _event_id(fields)}))
    return {key: done.get(key) for key in ("event_id", "enabled", "next_run")}


async def _cancel_event(fields: Fields, seat: Seat) -> dict[str, Any]:
    """Disable the event; what runs of it goes on, as in the original, unless the sender wants it
    cancelled too (``cancel_running``)."""
    cancelling = fields.get("cancel_running", False)
    if not isinstance(cancelling, bool):
        raise CommandError(
            "invalid_format", "cancel_running is true or false", path=("cancel_running",)
        )
    answer = await _disable_event(fields, seat)
    cancelled: list[str] = []
    if cancelling:
        ended = await seat.do("executions/cancel", {"event_id": answer["event_id"]})
        cancelled = [execution["execution_id"] for execution in ended["done"]]
    return answer | {"cancelled_executions": cancelled}


async def _trigger_event(fields: Fields, seat: Seat) -> dict[str, Any]:
    done = _single(await seat.do("events/trigger", {"event_id": _event_id(fields)}))
    executions = [execution_shown(execution) for execution in done["executions"]]
    return {
        "event_id": done["event_id"],
        "execution_id": executions[0]["execution_id"] if executions else None,
        "executions": executions,
        "message": "Event execution started",
    }


async def _get_event(fields: Fields, seat: Seat) -> dict[str, Any]:
    answer = await seat.do("events/get", {"event_id": _event_id(fields)})
    return {"event": event_shown(answer["event"])}


async def _list_events(fields: Fields, seat: Seat) -> dict[str, Any]:
    active_only = fields.get("active_only", False)
    if not isinstance(active_only, bool):
        raise CommandError("invalid_format", "active_only is true or false", path=("active_only",))
    wanted: dict[str, Any] = {"limit": _limit(fields, MANY)}
    if active_only:
        wanted["enabled"] = True
    if fields.get("after_id") is not None:
        wanted["after_id"] = fields["after_id"]
    page = await seat.do("events/list", wanted)
    # The original has the newest first. Beyond a page that cannot be had at once.
    newest = sorted(page["events"], key=lambda event: event["created_at"], reverse=True)
    return {"events": [event_shown(event) for event in newest], "next": page["next"]}


async def _cancel_execution(fields: Fields, seat: Seat) -> dict[str, Any]:
    execution_id = _text(fields, "execution_id")
    return dict(_single(await seat.do("executions/cancel", {"execution_id": execution_id})))


async def _get_executions(fields: Fields, seat: Seat) -> dict[str, Any]:
    wanted: dict[str, Any] = {"limit": _limit(fields, 100)}
    if fields.get("event_id") is not None:
        wanted["event_id"] = _event_id(fields)
    if fields.get("status") is not None:
        wanted["status"] = statuses_meant(fields["status"])
    if fields.get("after") is not None:
        wanted["after"] = fields["after"]
    page = await seat.do("executions/list", wanted)
    executions = [execution_shown(execution) for execution in page["executions"]]
    return {"executions": executions, "next": page["next"]}


async def _get_stats(fields: Fields, seat: Seat) -> dict[str, Any]:
    """The original's figures. What ended is counted from the start of the host on; how many slots
    are ahead is counted among the first thousand enabled events, and null when there are more."""
    stats = await seat.do("stats")
    page = await seat.look("events/list", {"enabled": True, "limit": MANY})
    upcoming = sum(event["next_run"] is not None for event in page["events"])
    ended = Counter(stats["executions"]["ended"])
    return {
        "total_events": stats["events"]["total"],
        "active_events": stats["events"]["enabled"],
        "completed_executions": ended["completed"],
        "failed_executions": ended["failed"] + ended["interrupted"],
        "upcoming_executions": upcoming if page["next"] is None else None,
        "timestamp": stats["started_at"] + stats["uptime"],
    }


def _event_id(fields: Fields) -> str:
    event_id = _text(fields, "event_id")
    if set(event_id) & set("*?["):
        raise CommandError(
            "invalid_format",
            f"{event_id[:100]!r} is no id of an event",
            hint="patterns are for the requests below command/",
            path=("event_id",),
        )
    return event_id


def _text(fields: Fields, key: str) -> str:
    value = fields.get(key)
    if not isinstance(value, str) or not value:
        raise CommandError("invalid_format", f"{key} is missing or no text", path=(key,))
    return value


def _limit(fields: Fields, default: int) -> int:
    limit = fields.get("limit")
    if limit is None:
        return default
    if isinstance(limit, bool) or not isinstance(limit, int) or not 1 <= limit <= MANY:
        raise CommandError(
            "invalid_format", f"limit is a whole number from 1 to {MANY}", path=("limit",)
        )
    return limit


def _single(answer: Any) -> Any:
    """What became of the one that was meant.

    Raises:
        CommandError: it could not be done.
    """
    for failed in answer["failed"]:
        raise CommandError(failed["code"], failed["message"], hint=failed.get("hint"))
    return answer["done"][0]


FLAT_COMMANDS: dict[str, Callable[[Fields, Seat], Awaitable[dict[str, Any]]]] = {
    "create_event": _create_event,
    "cancel_event": _cancel_event,
    "trigger_event": _trigger_event,
    "get_event": _get_event,
    "list_events": _list_events,
    "update_event": _update_event,
    "delete_event": _delete_event,
    "enable_event": _enable_event,
    "disable_event": _disable_event,
    "cancel_execution": _cancel_execution,
    "get_stats": _get_stats,
    "get_executions": _get_executions,
}
"""The first three are the original's own."""
