"""JSON Schemas of configuration classes, with what their docstrings say about each key."""

from __future__ import annotations

import typing
from collections.abc import Iterator
from typing import Any

from tools.reference.docstrings import attributes

from alicia_scheduler.config.convert import json_schema

__all__ = ["described_schema"]


def described_schema(cls: type[Any]) -> dict[str, Any]:
    """The schema of a class, its keys and those of every class within described."""
    schema = json_schema(cls)
    for each in dict.fromkeys(_classes(cls)):
        component = schema.get("$defs", {}).get(each.__name__, {})
        for name, meaning in attributes(each).items():
            if name in component.get("properties", {}):
                component["properties"][name]["description"] = meaning
    return schema


def _classes(kind: Any) -> Iterator[type[Any]]:
    """Every class with fields that an annotation holds, the outermost first."""
    if isinstance(kind, type) and hasattr(kind, "__annotations__"):
        yield kind
        for inner in typing.get_type_hints(kind).values():
            if inner is not kind:
                yield from _classes(inner)
    for argument in typing.get_args(kind):
        if argument is not kind:
            yield from _classes(argument)
