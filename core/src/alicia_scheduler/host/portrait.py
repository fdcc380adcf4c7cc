"""A plugin for people: what it contributes with which options, and what to do about it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

from alicia_scheduler.api.descriptors import ServiceCall
from alicia_scheduler.config.convert import json_schema
from alicia_scheduler.host.record import PluginRecord, PluginStatus

__all__ = ["advice", "options_of", "portrait"]

SLOW_IMPORT = 1.0
"""Seconds of import that are worth a word."""

Schema = dict[str, Any]


def portrait(record: PluginRecord) -> dict[str, Any]:
    """A plugin with all that it brings: its record's wire form and :func:`advice` under ``plugin``;
    ``types`` and ``settings`` with the JSON Schema of their options."""
    settings = record.contributions.settings
    return {
        "plugin": {**record.to_wire(), "advice": advice(record)},
        "types": [
            {
                "kind": kind,
                "name": item.name,
                "summary": item.summary,
                "config": json_schema(item.data if isinstance(item, ServiceCall) else item.config),
            }
            for kind, items in record.contributions.by_kind().items()
            for item in items
        ],
        "settings": json_schema(settings) if settings is not None else None,
    }


def options_of(schema: Schema) -> list[dict[str, Any]]:
    """The options that a JSON Schema describes, in order.

    Each has ``name``, ``type`` in words, ``required``, ``default`` where there is one, and
    ``summary``: the option's own description, or what the section ``Attributes`` of its class's
    docstring says about it.
    """
    definitions = schema.get("$defs", {})
    table = _resolved(schema, definitions)
    summaries = dict(_attributes(table.get("description") or ""))
    options = []
    for name, field in table.get("properties", {}).items():
        option = {
            "name": name,
            "type": _words(field, definitions),
            "required": name in table.get("required", ()),
            "summary": field.get("description") or summaries.get(name, ""),
        }
        if "default" in field:
            option["default"] = field["default"]
        options.append(option)
    return options


def advice(record: PluginRecord) -> str | None:
    """What whoever runs the host can do about a plugin, in a sentence; None: nothing."""
    name, distribution = record.name, record.distribution
    match record.status:
        case PluginStatus.ACTIVE:
            return _advice_for_active(record)
        case PluginStatus.DISABLED:
            if "configuration" in (record.reason or ""):
                return f"take {name} out of [plugins] in the configuration to use it"
            return f"alicia plugins enable {name} uses it again"
        case PluginStatus.QUARANTINED:
            return f"look at its last error, then: alicia plugins enable {name}"
        case PluginStatus.CONFLICT:
            return f"pip uninstall {distribution}, or the other one; then: alicia plugins rescan"
        case PluginStatus.INCOMPATIBLE:
            return (
                "bring both to versions that fit: pip install --upgrade alicia-scheduler "
                f"{distribution}"
            )
        case PluginStatus.RESTART_NEEDED:
            return "restart the host"
        case _:
            missing = re.search(r"pip install [A-Za-z0-9._ -]+$", record.reason or "")
            if missing is not None:
                return f"{missing[0]}; then restart the host"
            return (
                f"pip install --upgrade {distribution}, or tell its author; "
                f"until then: pip uninstall {distribution}"
            )


def _advice_for_active(record: PluginRecord) -> str | None:
    if record.faults:
        return f"it had {record.faults} faults, the last: {_last(record)}; tell its author"
    if record.errors:
        return f"it had {record.errors} errors, the last: {_last(record)}"
    if record.warnings:
        return "it uses what will go away: pip install --upgrade " + record.distribution
    if (record.import_time or 0.0) > SLOW_IMPORT:
        return f"importing it took {record.import_time:.1f} s of each start; tell its author"
    return None


def _last(record: PluginRecord) -> str:
    return record.last_error.message if record.last_error is not None else "unknown"


def _resolved(schema: Schema, definitions: Schema) -> Schema:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    found: Schema = definitions.get(str(reference).rpartition("/")[2], {})
    return found


def _words(schema: Schema, definitions: Schema) -> str:
    """A type of JSON Schema in words."""
    arms = schema.get("anyOf")
    if arms is not None:
        words = [_words(arm, definitions) for arm in arms if arm.get("type") != "null"]
        return " or ".join(dict.fromkeys(words)) or "nothing"
    if "enum" in schema:
        return "one of " + ", ".join(map(repr, schema["enum"]))
    if "$ref" in schema:
        return "table"
    kind = schema.get("type")
    if kind == "array":
        items = schema.get("items")
        inner = _words(items, definitions) if isinstance(items, dict) else "anything"
        return "list" if inner == "anything" else f"list of {inner}"
    names = {
        "string": schema.get("format", "text"),
        "integer": "whole number",
        "number": "number",
        "boolean": "true or false",
        "object": "table",
    }
    return str(names.get(str(kind), "anything")) + _bounds(schema)


def _bounds(schema: Schema) -> str:
    signs = {
        "minimum": "≥",
        "exclusiveMinimum": ">",
        "maximum": "≤",
        "exclusiveMaximum": "<",
        "minLength": "length ≥",
        "maxLength": "length ≤",
    }
    bounds = [f"{sign} {schema[key]}" for key, sign in signs.items() if key in schema]
    return f" ({', '.join(bounds)})" if bounds else ""


def _attributes(docstring: str) -> Iterator[tuple[str, str]]:
    """The texts of the section ``Attributes`` of a docstring, by name."""
    lines = inspect.cleandoc(docstring).splitlines()
    if "Attributes:" not in lines:
        return
    names: list[str] = []
    text: list[str] = []
    for line in [*lines[lines.index("Attributes:") + 1 :], "end"]:
        entry = re.match(r"    (\w+(?:, \w+)*): ?(.*)", line)
        if entry is None and line.startswith("        "):
            text.append(line.strip())
            continue
        yield from ((name, " ".join(text)) for name in names)
        names, text = [], []
        if entry is not None:
            names, text = entry[1].split(", "), [entry[2]]
        elif line.strip():
            return
