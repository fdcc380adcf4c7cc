"""A notification as one aligned line for people.

Nothing in a notification can make this raise or write more than one line: what a plugin or a
user put into it is data, and a control character in it is written as its escape.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, tzinfo
from typing import Any, NamedTuple, TypeGuard

from alicia_scheduler.api import Notification, from_epoch

__all__ = ["printable", "text_line"]

NAME_WIDTH = 22
"""Columns for the name of an event; a longer one is cut."""

DETAIL_LIMIT = 200
"""Most characters of an error, a reason or a message."""

GREEN, RED, YELLOW, CYAN, DIM = "32", "31", "33", "36", "2"


class _Look(NamedTuple):
    symbol: str
    word: str
    colour: str


_LOOKS = {
    "execution_queued": _Look("·", "queued", DIM),
    "execution_started": _Look("▸", "started", CYAN),
    "execution_completed": _Look("✓", "completed", GREEN),
    "execution_failed": _Look("✗", "failed", RED),
    "execution_timed_out": _Look("✗", "timed out", RED),
    "execution_retry_scheduled": _Look("↻", "retry", YELLOW),
    "execution_skipped": _Look("–", "skipped", YELLOW),
    "execution_missed": _Look("!", "missed", RED),
    "execution_cancelled": _Look("■", "cancelled", YELLOW),
    "execution_interrupted": _Look("!", "interrupted", YELLOW),
    "execution_output": _Look("│", "output", DIM),
    "event_created": _Look("+", "created", DIM),
    "event_scheduled": _Look("+", "scheduled", DIM),
    "event_updated": _Look("~", "updated", DIM),
    "event_deleted": _Look("-", "deleted", DIM),
    "event_paused": _Look("■", "paused", YELLOW),
    "event_resumed": _Look("▸", "resumed", DIM),
    "error": _Look("!", "error", RED),
    "recovery": _Look("↻", "recovery", YELLOW),
}

WORD_WIDTH = max(len(look.word) for look in _LOOKS.values())


def text_line(notification: Notification, *, zone: tzinfo | None = None, colour: bool) -> str:
    """The line, without a newline: time, outcome, name, slot, lateness and what else is known.

    Args:
        notification: what happened.
        zone: whose clock to show; None is this machine's.
        colour: mark the outcome with ANSI colours.
    """
    data = notification.event_data
    look = _look(notification.event_type)
    at = notification.timestamp.astimezone(zone)
    shown_at = at.isoformat(sep=" ", timespec="milliseconds")
    mark = f"{look.symbol} {look.word:<{WORD_WIDTH}}"
    if colour:
        shown_at, mark = f"\x1b[{DIM}m{shown_at}\x1b[0m", f"\x1b[{look.colour}m{mark}\x1b[0m"
    if notification.event_type == "execution_output":
        rest = _output(data)
    elif notification.event_type.startswith("execution_"):
        rest = _execution(data, at)
    elif notification.event_type.startswith("event_"):
        rest = _event(data, at)
    else:
        rest = _message(data)
    return f"{shown_at}  {mark}  {'  '.join(rest)}".rstrip()


def _look(event_type: str) -> _Look:
    if event_type.startswith("host_"):
        return _Look("*", "host", CYAN)
    # A type that came after this plugin is shown by its own name.
    return _LOOKS.get(event_type) or _Look("*", printable(event_type), CYAN)


def printable(text: str) -> str:
    """``text`` on one line: what is no visible character becomes an escape such as ``\\u001b``."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)


def _execution(data: Mapping[str, Any], at: datetime) -> Iterator[str]:
    yield _name(data)
    yield f"slot {_clock(data.get('scheduled_time'), at):<12}"
    lateness, duration = _span(data.get("lateness")), _span(data.get("duration"))
    if lateness:
        yield f"late {lateness:>8}"
    if duration:
        yield f"took {duration:>8}"
    if data.get("next_attempt_at") is not None:
        yield f"again {_clock(data['next_attempt_at'], at)}"
    retries = data.get("retry_count")
    if isinstance(retries, int) and retries > 0:
        yield f"attempt {retries + 1}"
    if data.get("trigger") not in ("schedule", None):
        yield _detail(data["trigger"])
    why = [_detail(data[key]) for key in ("reason", "error_message") if data.get(key)]
    if why:
        yield ": ".join(why)


def _output(data: Mapping[str, Any]) -> Iterator[str]:
    yield _name(data)
    yield _detail(data.get("line", ""))


def _event(data: Mapping[str, Any], at: datetime) -> Iterator[str]:
    yield _name(data)
    if data.get("next_run") is not None:
        yield f"next {_clock(data['next_run'], at)}"
    if data.get("paused_reason"):
        yield _detail(data["paused_reason"])


def _message(data: Mapping[str, Any]) -> Iterator[str]:
    if data.get("message"):
        yield _detail(data["message"])
    elif data:
        yield _detail(json.dumps(data, default=str))


def _name(data: Mapping[str, Any]) -> str:
    name = printable(str(data.get("name") or data.get("event_id") or "?"))
    if len(name) > NAME_WIDTH:
        name = f"{name[: NAME_WIDTH - 1]}…"
    return f"{name:<{NAME_WIDTH}}"


def _detail(value: object) -> str:
    """The first line of a text: of a traceback that is what was raised."""
    first = next(iter(str(value).strip().splitlines()), "")
    text = printable(first)
    return text if len(text) <= DETAIL_LIMIT else f"{text[: DETAIL_LIMIT - 1]}…"


def _clock(seconds: object, at: datetime) -> str:
    """Epoch seconds as a time of day, with the date when it is not the line's own."""
    if not _is_number(seconds):
        return "?"
    try:
        instant = from_epoch(seconds).astimezone(at.tzinfo)
    except (ValueError, OverflowError, OSError):
        return "?"
    timespec = "milliseconds" if instant.microsecond else "seconds"
    clock = instant.time().isoformat(timespec)
    return clock if instant.date() == at.date() else f"{instant.date()} {clock}"


def _span(seconds: object) -> str | None:
    """A duration in at most two units: ``0.004 s``, ``2 min 05 s``, ``3 d 04 h``."""
    if not _is_number(seconds):
        return None
    if abs(seconds) < 60:
        return f"{seconds:.3f} s"
    sign, whole = ("-" if seconds < 0 else ""), int(abs(seconds))
    for size, unit, smaller, small_unit in ((86_400, "d", 3600, "h"), (3600, "h", 60, "min")):
        if whole >= size:
            return f"{sign}{whole // size} {unit} {whole % size // smaller:02} {small_unit}"
    return f"{sign}{whole // 60} min {whole % 60:02} s"


def _is_number(value: object) -> TypeGuard[float]:
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and abs(value) < float("inf")
    )
