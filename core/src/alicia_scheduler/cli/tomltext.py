"""Plain data as TOML text, for files that people go on writing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

__all__ = ["toml_key", "toml_lines", "toml_value"]

BARE = re.compile(r"[A-Za-z0-9_-]+")
INVISIBLE = re.compile(r"[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def toml_lines(table: Mapping[str, Any]) -> list[str]:
    """A ``key = value`` line for each item; None, which TOML has no word for, is left out."""
    return [
        f"{toml_key(key)} = {toml_value(value)}"
        for key, value in table.items()
        if value is not None
    ]


def toml_key(key: str) -> str:
    """A key, in quotes where it needs them."""
    return key if BARE.fullmatch(key) else toml_value(key)


def toml_value(value: Any) -> str:
    """A value on one line.

    Raises:
        TypeError: it holds what TOML has no form for, such as null in a list.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        # A basic string is JSON's, but for the characters that only TOML wants escaped.
        text = msgspec.json.encode(value).decode()
        return INVISIBLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, Mapping):
        items = ", ".join(toml_lines(value))
        return f"{{ {items} }}" if items else "{}"
    raise TypeError(f"TOML has no form for {type(value).__name__}")
