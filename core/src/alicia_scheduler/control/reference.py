"""The reference of the commands, made of their table: ``python -m
alicia_scheduler.control.reference`` prints the page of the documentation."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from alicia_scheduler.control.command import Command
from alicia_scheduler.control.commands import COMMANDS
from alicia_scheduler.control.schema import answer_schema, arguments_schema

__all__ = ["Field", "answered_fields", "command_fields", "reference"]

INTRODUCTION = """\
# Commands

What a running host can be told, through every door: the Unix socket, TCP, the command line, the
bus. Names, arguments, answers and refusals are the same behind each. This page is made of the
table of commands (`python -m alicia_scheduler.control.reference`); `commands/list` answers the same
as JSON Schema.

A message over WebSocket holds the arguments beside its `id` and `type`:
`{"id": 1, "type": "events/pause", "event_id": "morning-*", "duration": 3600}`.

- **Permissions**: `read` looks, `operate` also steers what is there, `admin` also changes what
  there is. Each includes those before it. What needs more than `read` is written to `audit.log` in
  the state directory, done or refused.
- **Selection**: where many events can be meant, `event_id` is an id, a pattern or a list of these,
  and `tag` a tag or a list. Both together mean the events that match both. Such a verb answers
  `done` and `failed`, in order of id; if the one event that is named by its id cannot be done, the
  whole command is refused, and a pattern or tag that selects nothing is `not_found`.
- **Instants** are given as ISO 8601 with a zone or as epoch seconds, and answered as epoch seconds
  (UTC). Durations are seconds.
- **Refusals** have a `code` (`not_found`, `invalid_format`, `not_allowed`, `not_supported`,
  `conflict`, `unknown_command`, `unavailable`, `unknown_error`), a `message`, and may have a
  `hint`, the `path` of the argument that is wrong, and `details`: the present `revision` with a
  `conflict`, all `issues` of a definition. Nothing of a refused command was done.
"""

NOUNS = {
    "events": "Events",
    "executions": "Executions",
    "": "Foresight, figures and backup",
    "plugins": "Plugins",
    "scheduler": "The whole scheduler",
    "commands": "The commands themselves",
}


class Field(NamedTuple):
    """One argument of a command, or one field of an answer.

    Attributes:
        name: its key.
        kind: what it takes, in words.
        required: whether it must be given.
        default: what it is otherwise, as JSON; None when it is required or absent.
        meaning: a sentence or two.
    """

    name: str
    kind: str
    required: bool
    default: str | None
    meaning: str


def command_fields(command: Command) -> list[Field]:
    """The arguments of a command, for help and documentation."""
    return list(_fields(arguments_schema(command)))


def answered_fields(command: Command) -> list[Field]:
    """The fields of a command's answer."""
    return list(_fields(answer_schema(command)))


def reference() -> str:
    """The page about all commands, as Markdown."""
    parts = [INTRODUCTION]
    shapes: dict[str, dict[str, Any]] = {}
    for noun, title in NOUNS.items():
        parts.append(f"## {title}\n")
        for command in COMMANDS.values():
            if command.name.rpartition("/")[0] == noun:
                parts.append(_section(command))
                shapes |= arguments_schema(command).get("$defs", {})
                shapes |= answer_schema(command).get("$defs", {})
    parts += ["## Definition of an event\n", _argument_table(_definition()), ""]
    parts.append("## Shapes\n")
    parts += [_shape(name, shape) for name, shape in sorted(shapes.items())]
    return "\n".join(parts).rstrip("\n") + "\n"


def _definition() -> list[Field]:
    """The fields of an event that a person writes."""
    whole = arguments_schema(COMMANDS["events/create"])["properties"]["event"]
    return list(_fields(whole))


def _section(command: Command) -> str:
    lines = [f"### {command.name}\n", f"{command.summary} Needs `{command.permission}`.\n"]
    arguments = command_fields(command)
    if arguments:
        lines += [_argument_table(arguments), ""]
    answered = answered_fields(command)
    if answered:
        lines += [f"Answers: {_lower(answer_schema(command).get('description', ''))}\n"]
        lines += [_answer_table(answered), ""]
    return "\n".join(lines)


def _shape(name: str, schema: dict[str, Any]) -> str:
    lines = [f"### {name}\n"]
    if schema.get("description"):
        lines.append(f"{schema['description']}\n")
    if "enum" in schema:
        lines.append(f"One of {_choices(schema)}.\n")
    fields = list(_fields(schema))
    if fields:
        lines += [_answer_table(fields), ""]
    return "\n".join(lines)


def _argument_table(fields: list[Field]) -> str:
    rows = ["| argument | is | default | meaning |", "| --- | --- | --- | --- |"]
    for field in fields:
        default = "required" if field.required else f"`{field.default}`" if field.default else ""
        rows.append(f"| `{field.name}` | {field.kind} | {default} | {field.meaning} |")
    return "\n".join(rows)


def _answer_table(fields: list[Field]) -> str:
    rows = ["| field | is | meaning |", "| --- | --- | --- |"]
    rows += [f"| `{field.name}` | {field.kind} | {field.meaning} |" for field in fields]
    return "\n".join(rows)


def _fields(schema: dict[str, Any]) -> Iterator[Field]:
    required = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        default = None
        if name not in required and "default" in field:
            default = msgspec.json.encode(field["default"]).decode()
        meaning = field.get("description", "")
        yield Field(name, _kind(field), name in required, default, _upper(meaning))


def _kind(schema: dict[str, Any]) -> str:
    """What a value is, in words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    for key in ("allOf", "anyOf"):
        if key in schema:
            return " or ".join(dict.fromkeys(_kind(each) for each in schema[key]))
    if "enum" in schema:
        return _choices(schema)
    kind = schema.get("type")
    if kind == "array":
        return f"list of {_kind(schema['items'])}" if schema.get("items") else "list"
    if kind == "string":
        return "instant" if schema.get("format") == "date-time" else "text"
    if kind == "object" and "properties" in schema:
        return "[definition](#definition-of-an-event)"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_kind(schema['additionalProperties'])}"
    if schema.get("format") == "epoch-seconds":
        return "epoch seconds"
    words = {"integer": "whole number", "boolean": "true or false", None: "anything"}
    return words.get(kind, str(kind)) + _bounds(schema)


def _bounds(schema: dict[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f" {low} to {high}"
    if low is not None:
        return f" from {low}"
    if schema.get("exclusiveMinimum") == 0:
        return " above 0"
    return ""


def _choices(schema: dict[str, Any]) -> str:
    return ", ".join(f"`{value}`" for value in schema["enum"])


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _lower(text: str) -> str:
    return text[:1].lower() + text[1:]


def main() -> None:
    """Print the page."""
    sys.stdout.write(reference())


if __name__ == "__main__":
    main()
