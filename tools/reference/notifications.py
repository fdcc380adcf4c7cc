"""The page about notifications: what is emitted when, and with which data."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, NamedTuple

from tools.reference.docstrings import attributes
from tools.reference.sources import emitted_types

from alicia_scheduler.api.model import (
    EventExecution,
    EventRecord,
    EventState,
    ScheduledEvent,
    to_wire,
)
from alicia_scheduler.kernel.ledger import describe

__all__ = ["NOTIFICATIONS", "Data", "fields_of", "notifications_page"]

EXECUTION = "execution"
EVENT = "event"
ELSE = "…"
"""Stands for fields that are listed elsewhere."""
Data = str | dict[str, str]
MESSAGE = {"message": "the same for people"}


class Told(NamedTuple):
    """One type of notification.

    Attributes:
        when: when it is emitted.
        data: the fields of its ``event_data`` with their meaning; ``execution`` and ``event``
            stand for the fields that all of these have.
        more: fields besides those of ``data``.
    """

    when: str
    data: Data
    more: Mapping[str, str] = MappingProxyType({})


NOTIFICATIONS: dict[str, Told] = {
    "event_created": Told("An event was added, by the file or a command.", EVENT),
    "event_updated": Told("Its definition was edited.", EVENT),
    "event_deleted": Told("It was removed; the data is its last state.", EVENT),
    "event_enabled": Told("It was switched on.", EVENT),
    "event_disabled": Told("It was switched off.", EVENT),
    "event_scheduled": Told(
        "Its next slot was found, or found anew because what it depends on has changed.", EVENT
    ),
    "event_paused": Told("It pauses, by command or because it failed too often in a row.", EVENT),
    "event_resumed": Told("Its pause was ended by command.", EVENT),
    "event_skipping": Told("The slots that it is to skip have changed.", EVENT),
    "event_failing": Told("An execution failed with all its attempts, the first in a row.", EVENT),
    "event_recovered": Told(
        "An execution completed, the first after one or more that failed.",
        EVENT,
        {
            "failures": "how many had failed in a row",
            "failed_since": "when the first of them ended, epoch seconds",
            "outage": "seconds from then to the end of the one that completed",
        },
    ),
    "execution_queued": Told("It waits for a place, or for the one before it.", EXECUTION),
    "execution_started": Told("An attempt begins; that it does is on disk already.", EXECUTION),
    "execution_output": Told(
        "An action tells what it is doing. At most some lines a second are told.",
        {
            "execution_id": "the execution",
            "event_id": "its event",
            "attempt": "number of the attempt, from 1",
            "line": "what it says, cut when it is long",
            "left_out": "lines before this one that came too fast to be told",
        },
    ),
    "execution_retry_scheduled": Told(
        "An attempt failed, and the next one waits until `next_attempt_at`.", EXECUTION
    ),
    "execution_completed": Told("It ended well.", EXECUTION),
    "execution_failed": Told("It failed, and no attempt follows.", EXECUTION),
    "execution_timed_out": Told(
        "It failed because its last attempt took longer than `timeout`.", EXECUTION
    ),
    "execution_cancelled": Told("It was cancelled; `reason` says by what.", EXECUTION),
    "execution_skipped": Told("Its slot did not run by a rule; `reason` says which.", EXECUTION),
    "execution_missed": Told("Its slot was noticed too late to run.", EXECUTION),
    "execution_interrupted": Told("It was found unfinished after a crash.", EXECUTION),
    "scheduler_paused": Told(
        "The whole schedule pauses.", {"paused_until": "until when, epoch seconds"}
    ),
    "scheduler_resumed": Told(
        "The pause of the whole schedule was ended.", {"paused_until": "null"}
    ),
    "host_started": Told("The schedule runs; events of the file are in force.", MESSAGE),
    "host_stopped": Told("The last one of a run that ends in order.", MESSAGE),
    "recovery": Told(
        "At each start, when everything that an earlier run left unfinished is settled.",
        MESSAGE
        | {
            "status": "`recovered`",
            "unclean": "true when the run before was cut short",
            "starts": "starts of this host so far",
            "unclean_starts": "those of them that followed a run that was cut short",
            "interrupted": "executions that had been under way",
            "rerun": "those of them that run again",
            "retrying": "executions whose next attempt still waits",
            "queued": "executions that wait for a place again",
        },
    ),
    "configuration_reloaded": Told(
        "A new configuration is in force.",
        MESSAGE,
        {ELSE: "the plan, as [`scheduler/reload`](commands.md#schedulerreload) answers it"},
    ),
    "plugins_changed": Told(
        "Plugins came, went or changed their status while the host runs.",
        MESSAGE,
        {ELSE: "what changed, as [`plugins/rescan`](commands.md#pluginsrescan) answers it"},
    ),
    "clock_stepped": Told(
        "The wall clock was set.",
        MESSAGE
        | {
            "step": "by so many seconds, negative when back",
            "now": "what it shows now, epoch seconds",
            "moved": "events whose next slot moved",
        },
    ),
    "clock_waiting": Told(
        "Slots of the calendar are held back until the clock is right, or no longer.",
        MESSAGE | {"holding": "true while they are"},
    ),
    "calendars_replanned": Told(
        "Data of time zones, calendars, limits or the host's place changed.",
        MESSAGE | {"moved": "events whose next slot was found anew"},
    ),
    "store_recovered": Told(
        "The store can be written again.",
        MESSAGE
        | {
            "seconds": "for how long it could not",
            "lost": "changes that were given up for lack of room",
        },
    ),
    "sink_recovered": Told(
        "A sink writes again.",
        MESSAGE | {"sink": "its name", "lost": "notifications that it will never see"},
    ),
    "error": Told(
        "Trouble that is no execution's own failure.",
        MESSAGE | {"event_id": "the event that it is about, or null", "class": "a stable word"},
        {
            "plugin": "with `loop_held` and `plugin_quarantined`: the plugin to blame",
            "seconds": "with these: for how long",
            "place": "with `loop_held`: file and line that held the loop",
        },
    ),
}
"""Every type there is. A test finds them in the sources, and their fields in what is emitted."""

INTRODUCTION = """\
# Notifications

What a host tells about itself: to sinks, to whoever subscribes, and to every listener in Python. Each
has this shape, which the Alicia bus knows:

| field | is | meaning |
| --- | --- | --- |
| `event_type` | text | One of the types below. |
| `event_data` | table | What it is about; secrets in it are `***`. |
| `timestamp` | epoch seconds | When it happened. |
| `source` | text | `event_scheduler`. |
| `sequence` | whole number | Grows by one with each notification of a host, over restarts too. |

On MQTT each goes to `alicia/scheduler/events` and to `alicia/scheduler/<event_type>`
([sink `mqtt`](plugins/sink-mqtt.md)). A type or a field can be added in any release; none is
renamed within an API major.
"""


def fields_of(told: Told) -> dict[str, str]:
    """The fields of the data of a type, with their meaning."""
    shared = told.data if isinstance(told.data, dict) else SHARED[told.data]
    return {**shared, **told.more}


def _execution_fields() -> dict[str, str]:
    now = datetime.now(UTC)
    execution = EventExecution(execution_id="", event_id="", revision=1, scheduled_time=now)
    more = {
        "name": "name of the event",
        "lateness": "seconds from the slot to the start, or null",
        "duration": "seconds from start to end, or null",
    }
    return _described(describe(execution, ""), attributes(EventExecution) | more)


def _event_fields() -> dict[str, str]:
    now = datetime.now(UTC)
    event = ScheduledEvent(
        event_id="",
        name="",
        schedule_type="",
        schedule_config={},
        action={},
        created_at=now,
        updated_at=now,
    )
    meanings = attributes(ScheduledEvent) | attributes(EventState)
    return _described(to_wire(EventRecord(event, EventState())), meanings)


def _described(data: dict[str, Any], meanings: dict[str, str]) -> dict[str, str]:
    return {name: meanings[name] for name in data}


SHARED: dict[str, dict[str, str]] = {EXECUTION: _execution_fields(), EVENT: _event_fields()}


def notifications_page() -> str:
    """The page."""
    there = emitted_types()
    parts = [INTRODUCTION.strip()]
    for name, told in NOTIFICATIONS.items():
        # One that a plugin system to come will emit is not told about before it does.
        if name not in there:
            continue
        parts += [f"## {name}", told.when]
        if isinstance(told.data, str):
            noun = "an execution" if told.data == EXECUTION else "an event"
            more = ", and:" if told.more else "."
            parts.append(
                f"Has [the fields of {noun}](#the-fields-of-{noun.replace(' ', '-')}){more}"
            )
            if told.more:
                parts.append(_table(told.more))
        else:
            parts.append(_table(fields_of(told)))
    parts += ["## The fields of an execution", _table(SHARED[EXECUTION])]
    parts += ["## The fields of an event", _table(SHARED[EVENT])]
    return "\n\n".join(parts)


def _table(fields: Mapping[str, str]) -> str:
    rows = ["| field | meaning |", "| --- | --- |"]
    rows += [
        f"| {name if name == ELSE else f'`{name}`'} | {text[:1].upper()}{text[1:]} |"
        for name, text in fields.items()
    ]
    return "\n".join(rows)
