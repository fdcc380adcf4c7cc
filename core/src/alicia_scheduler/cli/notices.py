"""A notification as one line for people who follow along."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from alicia_scheduler.api.model import from_epoch
from alicia_scheduler.cli.output import printable
from alicia_scheduler.cli.relative import elapsed, told_time

__all__ = ["notice_parts"]

WORDS = {
    "execution_queued": ("queued", "dim"),
    "execution_started": ("started", "cyan"),
    "execution_completed": ("completed", "green"),
    "execution_failed": ("failed", "bold red"),
    "execution_timed_out": ("timed out", "bold red"),
    "execution_retry_scheduled": ("retry", "yellow"),
    "execution_skipped": ("skipped", "yellow"),
    "execution_missed": ("missed", "yellow"),
    "execution_cancelled": ("cancelled", "yellow"),
    "execution_interrupted": ("interrupted", "red"),
    "execution_output": ("output", "dim"),
    "error": ("error", "bold red"),
}
NOTICEABLE = 0.05
"""Seconds of lateness that are worth a word."""

MOST = 200
"""Characters of an error or a message; the rest is in `alicia executions show`."""


def notice_parts(notification: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """``(time, word, style, rest)`` of a notification in its wire form. Whatever is in it, the
    parts have no line break and no control character."""
    kind = str(notification.get("event_type", "?"))
    data = notification.get("event_data")
    data = data if isinstance(data, Mapping) else {}
    word, style = WORDS.get(kind, (kind.replace("_", " "), ""))
    rest = ", ".join(filter(None, _rest(kind, data)))
    return _time(notification.get("timestamp")), printable(word), style, rest


def _time(value: Any) -> str:
    try:
        return from_epoch(value).astimezone().isoformat(sep=" ", timespec="milliseconds")
    except (TypeError, ValueError, OverflowError, OSError):
        return "-"


def _rest(kind: str, data: Mapping[str, Any]) -> Iterator[str]:
    about = data.get("event_id")
    if about is not None:
        yield printable(str(about))
    if kind == "execution_output":
        yield _text(data, "line", "text", "output")
        return
    if kind.startswith("execution_"):
        yield from _of_execution(data)
    elif kind.startswith("event_"):
        following = data.get("next_run")
        if isinstance(following, (int, float)):
            yield f"next {told_time(from_epoch(following))}"
        if data.get("paused_reason"):
            yield _text(data, "paused_reason")
    yield _text(data, "message")


def _of_execution(data: Mapping[str, Any]) -> Iterator[str]:
    lateness, duration = data.get("lateness"), data.get("duration")
    if isinstance(duration, (int, float)):
        yield f"after {elapsed(duration)}"
    elif isinstance(lateness, (int, float)):
        yield f"{elapsed(lateness)} late" if lateness >= NOTICEABLE else ""
    if data.get("retry_count"):
        yield f"attempt {data['retry_count'] + 1}"
    following = data.get("next_attempt_at")
    if isinstance(following, (int, float)):
        yield f"next attempt {told_time(from_epoch(following), datetime.now(UTC))}"
    if data.get("trigger") not in (None, "schedule"):
        yield printable(str(data["trigger"]))
    yield ": ".join(filter(None, (_text(data, "reason"), _text(data, "error_message"))))


def _text(data: Mapping[str, Any], *keys: str) -> str:
    """The first line of the first of these that is there."""
    for key in keys:
        value = data.get(key)
        if value:
            first = str(value).splitlines()[0] if str(value).splitlines() else ""
            return printable(first if len(first) <= MOST else f"{first[: MOST - 1]}…")
    return ""
