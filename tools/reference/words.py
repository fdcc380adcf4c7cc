"""JSON Schemas in words: what a value may be, and tables of keys."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from tools.reference.docstrings import flat

__all__ = ["Key", "keys_of", "key_table"]

WORDS = {"integer": "whole number", "boolean": "true or false", "object": "table", "null": "null"}


class Key(NamedTuple):
    """One key of a table.

    Attributes:
        name: the key; those of a table within, with a dot.
        kind: what it takes, in words.
        default: what it is otherwise, as JSON; ``required``, or nothing where there is no default.
        meaning: a sentence.
    """

    name: str
    kind: str
    default: str
    meaning: str


def keys_of(schema: dict[str, Any]) -> Iterator[Key]:
    """The keys that a schema allows, those of tables within behind their own."""
    named = schema.get("$defs", {})
    yield from _keys(_resolved(schema, named), named, "")


def _keys(schema: dict[str, Any], named: dict[str, Any], prefix: str) -> Iterator[Key]:
    for name, field in schema.get("properties", {}).items():
        default = ""
        if name in schema.get("required", ()):
            default = "required"
        elif "default" in field:
            default = f"`{json.dumps(field['default'], ensure_ascii=False)}`"
        yield Key(prefix + name, _kind(field, named), default, flat(field.get("description", "")))
        inner = _table_within(field, named)
        if inner is not None:
            yield from _keys(inner, named, f"{prefix}{name}.")


def _table_within(field: dict[str, Any], named: dict[str, Any]) -> dict[str, Any] | None:
    choices = [_resolved(each, named) for each in field.get("anyOf", [field])]
    tables = [each for each in choices if each.get("properties")]
    return tables[0] if len(tables) == 1 else None


def _resolved(schema: dict[str, Any], named: dict[str, Any]) -> dict[str, Any]:
    if "allOf" in schema and len(schema["allOf"]) == 1:
        schema = schema | schema["allOf"][0]
    if "$ref" in schema:
        found: dict[str, Any] = named[schema["$ref"].rpartition("/")[2]]
        return found
    return schema


def _kind(field: dict[str, Any], named: dict[str, Any]) -> str:
    field = _resolved(field, named)
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(_kind(each, named) for each in field["anyOf"]))
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    kind = field.get("type")
    if kind == "array":
        return f"list of {_kind(field['items'], named)}" if field.get("items") else "list"
    if kind == "string":
        return _string(field)
    if kind == "object" and isinstance(field.get("additionalProperties"), dict):
        return f"table of {_kind(field['additionalProperties'], named)}"
    return WORDS.get(str(kind), "any value" if kind is None else str(kind)) + _bounds(field)


def _string(field: dict[str, Any]) -> str:
    words = {"date-time": "instant", "date": "date", "time": "time of day"}
    return words.get(field.get("format", ""), "text")


def _bounds(field: dict[str, Any]) -> str:
    low, high = field.get("minimum"), field.get("maximum")
    if low is not None and high is not None:
        return f" {low:g} to {high:g}" if high < 10**6 else f" {low} to {high}"
    if low is not None:
        return f" from {low:g}"
    if "exclusiveMinimum" in field:
        return f" above {field['exclusiveMinimum']:g}"
    return f" up to {high:g}" if high is not None else ""


def key_table(keys: list[Key]) -> str:
    """Keys as a table of Markdown."""
    rows = ["| key | is | default | meaning |", "| --- | --- | --- | --- |"]
    rows += [
        f"| `{key.name}` | {key.kind} | {key.default} | {_upper(key.meaning)} |" for key in keys
    ]
    return "\n".join(rows)


def _upper(text: str) -> str:
    return re.sub(r"^[a-z]", lambda first: first[0].upper(), text)
