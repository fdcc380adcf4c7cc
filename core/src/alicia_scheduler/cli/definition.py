"""The definition of an event as a command line or a file says it."""

from __future__ import annotations

import json
import shlex
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from alicia_scheduler.api.errors import ConfigError
from alicia_scheduler.cli.moments import seconds_of
from alicia_scheduler.config.document import MAX_BYTES, Document
from alicia_scheduler.config.plain import plain

__all__ = ["Setting", "assigned", "definitions_in", "read_setting", "schedule_of", "wanted_action"]


@dataclass(frozen=True)
class Setting:
    """``--set action.topic=home/lamp``: where, from the outermost key inwards, and what."""

    path: tuple[str, ...]
    value: Any


def read_setting(text: str) -> Setting:
    """What ``KEY=VALUE`` sets. The key is written as in TOML; so is the value, or it is JSON, and
    what is neither is text.

    Raises:
        click.UsageError: there is no key.
    """
    key, equals, value = text.partition("=")
    path = _path(key) if equals else None
    if path is None:
        raise click.UsageError(f"--set {text!r}: write KEY=VALUE, as in action.topic=home/lamp")
    return Setting(path, read_value(value))


def read_value(text: str) -> Any:
    """A value as TOML or JSON has it; what is neither is text.

    Raises:
        click.UsageError: it is a value that JSON has no form for, such as NaN.
    """
    value: Any = text.strip()
    for read in (_toml_value, json.loads):
        try:
            value = read(text)
        except (ValueError, RecursionError):
            continue
        break
    try:
        return plain(value)
    except ConfigError as error:
        raise click.UsageError(f"{text!r} {error}") from error


def _toml_value(text: str) -> Any:
    if "\n" in text.strip():
        raise ValueError("several lines are no value")
    return tomllib.loads(f"value = {text}")["value"]


def _path(key: str) -> tuple[str, ...] | None:
    try:
        found: Any = tomllib.loads(f"{key} = 0") if "\n" not in key else {}
    except tomllib.TOMLDecodeError:
        return None
    path: list[str] = []
    while isinstance(found, dict) and len(found) == 1:
        ((step, found),) = found.items()
        path.append(step)
    return tuple(path) or None


def assigned(definition: Mapping[str, Any], settings: Sequence[Setting]) -> dict[str, Any]:
    """The definition with each setting in its place; tables on the way are made."""
    changed = json.loads(json.dumps(definition))
    for setting in settings:
        table = changed
        for step in setting.path[:-1]:
            inner = table.get(step)
            if not isinstance(inner, dict):
                inner = table[step] = {}
            table = inner
        table[setting.path[-1]] = setting.value
    return dict(changed)


def schedule_of(
    every: str | None, cron: str | None, at: str | None, daily: tuple[str, ...]
) -> dict[str, Any]:
    """``schedule_type`` and ``schedule_config`` of the one option that is given; empty for none.

    Raises:
        click.UsageError: more than one is given, or it cannot be read.
    """
    given = [
        name
        for name, value in (("--every", every), ("--cron", cron), ("--at", at), ("--daily", daily))
        if value
    ]
    if len(given) > 1:
        raise click.UsageError(f"give one of {' and '.join(given)}: an event has one schedule")
    if every:
        return {
            "schedule_type": "interval",
            "schedule_config": {"type": "seconds", "value": seconds_of(every, "--every")},
        }
    if cron:
        return {"schedule_type": "cron", "schedule_config": {"expression": cron}}
    if at:
        return {"schedule_type": "once", "schedule_config": {"run_at": at}}
    if daily:
        times: Any = daily[0] if len(daily) == 1 else list(daily)
        return {
            "schedule_type": "recurring",
            "schedule_config": {"frequency": "daily", "time_of_day": times},
        }
    return {}


def wanted_action(
    *,
    topic: str | None,
    message: str | None,
    qos: int | None,
    retain: bool,
    target: str | None,
    method: str | None,
    command: str | None,
) -> dict[str, Any] | None:
    """The action that the options describe, None when there are none.

    Raises:
        click.UsageError: they describe several, or only a part of one.
    """
    given = [
        name
        for name, value in (("--topic", topic), ("--url", target), ("--command", command))
        if value
    ]
    if len(given) > 1:
        raise click.UsageError(f"give one of {' and '.join(given)}: an event has one action")
    if not topic and (qos is not None or retain):
        raise click.UsageError("--qos and --retain go with --topic")
    if not target and method:
        raise click.UsageError("--method goes with --url http://…")
    if not topic and not target and message is not None:
        raise click.UsageError("--message goes with --topic or --url http://…")
    if topic:
        action: dict[str, Any] = {"type": "mqtt_publish", "topic": topic}
        if message is not None:
            action["message"] = read_message(message)
        if qos is not None:
            action["qos"] = qos
        return action | ({"retain": True} if retain else {})
    if target:
        action = {"type": "http_request", "url": target}
        if message is not None:
            body = read_message(message)
            action["body" if isinstance(body, str) else "json"] = body
        return action | {"method": method or ("GET" if message is None else "POST")}
    if command:
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise click.UsageError(f"--command {command!r}: {error}") from error
        return {"type": "script_execution", "command": words}
    return None


def read_message(text: str) -> Any:
    """A message: JSON where it is an object or a list, else text as it stands."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return found if isinstance(found, (dict, list)) else text


def definitions_in(file: str) -> dict[str | None, dict[str, Any]]:
    """The events that a file (or ``-``, standard input) defines, by id; None stands for the id of
    one that has none. It is TOML or JSON: one event's fields, or a table ``events`` of several.

    Raises:
        ConfigError: it cannot be read or is neither.
    """
    text = _text_of(file)
    if text.lstrip().startswith("{"):
        try:
            data = plain(json.loads(text))
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"this is no JSON: {error}", file=file) from error
    else:
        data = plain(Document.parse(text, file).data)
    if not isinstance(data, dict):
        raise ConfigError("an event is an object", file=file)
    events = data.get("events")
    if events is None:
        return {data.pop("event_id", None): data}
    if isinstance(events, list) and all(isinstance(item, dict) for item in events):
        return {item.pop("event_id", None): item for item in events}
    if not isinstance(events, dict) or not all(isinstance(item, dict) for item in events.values()):
        hint = "write [events.<id>] with its fields below"
        raise ConfigError("`events` is a table of events by their ids", file=file, hint=hint)
    return dict(events)


def _text_of(file: str) -> str:
    try:
        if file == "-":
            raw = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with Path(file).open("rb") as stream:
                raw = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise ConfigError(f"it cannot be read: {error}", file=file) from error
    if len(raw) > MAX_BYTES:
        raise ConfigError(f"it is larger than {MAX_BYTES // 1024 // 1024} MiB", file=file)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError("it is not UTF-8 text", file=file) from error
