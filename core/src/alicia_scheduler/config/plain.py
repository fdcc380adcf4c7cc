"""Data that can be stored as JSON, from what TOML can hold beyond it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, datetime, time
from typing import Any

from alicia_scheduler.api import ConfigError
from alicia_scheduler.config.document import MAX_DEPTH
from alicia_scheduler.config.wording import quote

__all__ = ["plain", "plain_all"]

_INTEGERS = range(-(2**63), 2**64)
"""Whole numbers that JSON readers in use take without loss."""


def plain(value: object, *, path: Sequence[str | int] = ()) -> Any:
    """``value`` as JSON-ready data.

    TOML's dates and times become ISO 8601 text: an instant with its offset, a local date-time
    without one. Tuples become lists.

    Raises:
        ConfigError: the first thing JSON has no form for: NaN, an infinity, a whole number beyond
            64 bits, text that is not Unicode, nesting without end.
    """
    issues: list[ConfigError] = []
    result = plain_all(value, issues, path=path)
    if issues:
        raise issues[0]
    return result


def plain_all(value: object, issues: list[ConfigError], *, path: Sequence[str | int] = ()) -> Any:
    """As :func:`plain`, but adds every mistake to ``issues``; then the result means nothing."""
    if isinstance(value, (dict, list, tuple)):
        return _container(value, issues, tuple(path))
    if isinstance(value, (date, datetime, time)):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        issues.append(ConfigError(f"must be a finite number, not {value}", path=path))
    elif isinstance(value, int) and value not in _INTEGERS:
        message = "is a whole number of more than 64 bits"
        issues.append(ConfigError(message, path=path, hint="put it in quotes"))
    elif isinstance(value, str):
        _check_text(value, issues, path)
    elif value is not None and not isinstance(value, (bool, int, float)):
        message = f"must be plain data, not a {type(value).__name__}"
        issues.append(ConfigError(message, path=path))
    return value


def _container(
    value: dict[Any, Any] | Sequence[Any], issues: list[ConfigError], path: tuple[str | int, ...]
) -> Any:
    if len(path) > MAX_DEPTH:
        issues.append(
            ConfigError(f"is nested deeper than {MAX_DEPTH} levels", path=path[:MAX_DEPTH])
        )
        return None
    if not isinstance(value, dict):
        return [plain_all(item, issues, path=(*path, index)) for index, item in enumerate(value)]
    for key in value:
        if isinstance(key, str):
            _check_text(key, issues, path)
        else:
            message = f"the key {quote(key)} must be text"
            issues.append(ConfigError(message, path=path))
    return {key: plain_all(item, issues, path=(*path, key)) for key, item in value.items()}


def _check_text(text: str, issues: list[ConfigError], path: Sequence[str | int]) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        message = "holds a lone surrogate, which has no UTF-8 form"
        issues.append(ConfigError(message, path=path))
