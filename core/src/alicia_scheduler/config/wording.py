"""Plain sentences about values: what was expected, what was found, what to write instead."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import date, datetime, time, timedelta
from difflib import get_close_matches
from typing import Any, get_origin

from alicia_scheduler.config.shapes import arms, bare, choices, is_object

__all__ = [
    "expected",
    "found",
    "is_secret",
    "near",
    "quote",
    "quoted_list",
    "refusal",
    "suggest",
    "suggest_value",
    "write_instead",
]

MAX_QUOTE = 60
"""Longest quotation of a value in a message, in characters."""

_SECRET = re.compile(
    r"pass(word|wd|phrase)|secret|token|credential|api[_-]?key|authorization|cookie", re.IGNORECASE
)

_WORDS: dict[Any, str] = {
    Any: "anything",
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    datetime: "an instant",
    date: "a date",
    time: "a time of day",
    timedelta: "a duration",
}


def is_secret(name: object) -> bool:
    """True when what ``name`` names must not be quoted, as messages end up in logs."""
    return _SECRET.search(str(name)) is not None


def quote(value: object) -> str:
    """``value`` as Python would write it, in at most :data:`MAX_QUOTE` characters."""
    if isinstance(value, int) and value.bit_length() > 256:
        # Python refuses to write out a number of thousands of digits.
        return f"a whole number of {value.bit_length()} bits"
    if isinstance(value, str):
        text = repr(value[:MAX_QUOTE])
        fits = len(value) <= MAX_QUOTE and len(text) <= MAX_QUOTE
        return text if fits else f"{text[: MAX_QUOTE - 2]}…{text[0]}"
    text = str(value)
    return text if len(text) <= MAX_QUOTE else f"{text[: MAX_QUOTE - 1]}…"


def quoted_list(values: Iterable[object]) -> str:
    """``'a', 'b', 3``."""
    return ", ".join(quote(value) for value in values)


def near(name: str, known: Iterable[str]) -> str | None:
    """The known name that ``name`` was most likely meant to be, or None."""
    by_spelling = {candidate.lower(): candidate for candidate in known}
    matches = get_close_matches(name[:MAX_QUOTE].lower(), by_spelling, n=1, cutoff=0.6)
    return by_spelling[matches[0]] if matches else None


def suggest(name: str, known: Sequence[str], *, likely: Sequence[str], noun: str = "keys") -> str:
    """The hint for an unknown name: the near one of the likely names, or else all known ones."""
    match = near(name, likely)
    if match is not None:
        return f"did you mean {quote(match)}?"
    return f"known {noun}: {', '.join(known)}" if known else f"there are no {noun} here"


def suggest_value(value: object, known: Sequence[object]) -> str | None:
    """The hint for a value that is none of the known ones, when it is near to one."""
    texts = [text for text in known if isinstance(text, str)]
    match = near(value, texts) if isinstance(value, str) else None
    return f"did you mean {quote(match)}?" if match is not None else None


def expected(annotation: Any) -> str:
    """What a type asks for, in words: ``text``, ``a whole number``, ``one of 'a', 'b'``."""
    return " or ".join(dict.fromkeys(_expected(bare(arm)) for arm in arms(annotation)))


def _expected(annotation: Any) -> str:
    if annotation in _WORDS:
        return _WORDS[annotation]
    if values := choices(annotation):
        return f"one of {quoted_list(values)}"
    origin = get_origin(annotation) or annotation
    if not isinstance(origin, type):
        return str(annotation)
    if is_object(origin) or issubclass(origin, Mapping):
        return "a table"
    if issubclass(origin, (Sequence, Set)) and not issubclass(origin, (bytes, bytearray)):
        return "a list"
    return f"a {origin.__name__}"


def found(value: object, path: Sequence[str | int] = ()) -> str:
    """What was found, in words: ``text 'abc'``, ``the number 3``, ``a table``.

    The value itself is left out when the last key of ``path`` names a secret.
    """
    if value is None:
        return "null"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, (list, tuple, set, frozenset)):
        return "a list"
    kind = _kind(value)
    if path and is_secret(path[-1]):
        return f"a {kind}".replace("a text", "text")
    if isinstance(value, bool):
        return "true" if value else "false"
    shown = value.isoformat() if isinstance(value, (date, time)) else quote(value)
    return f"the {kind} {shown}".replace("the text", "text")


def _kind(value: object) -> str:
    kinds: tuple[tuple[type, str], ...] = (
        (str, "text"),
        (bool, "truth value"),
        (int, "number"),
        (float, "number"),
        (datetime, "date and time"),
        (date, "date"),
        (time, "time"),
    )
    return next((word for kind, word in kinds if isinstance(value, kind)), type(value).__name__)


def write_instead(value: object, annotation: Any, path: Sequence[str | int] = ()) -> str | None:
    """The hint when a value of the wrong type can be read as the right one, else None."""
    wanted = {bare(arm) for arm in arms(annotation)}
    written = "…" if path and is_secret(path[-1]) else _toml(value)
    if str in wanted and isinstance(value, (int, float, date, time)):
        return f'put it in quotes: "{written}"'
    if isinstance(value, str) and written != "…":
        bare_value = value.strip()
        if bool in wanted and bare_value in ("true", "false"):
            return f"write {bare_value} without quotes"
        numbers = [kind for kind in (int, float) if kind in wanted]
        if any(_reads_as(kind, bare_value) for kind in numbers):
            return f"write {bare_value} without quotes"
    is_list = any(_expected(arm) == "a list" for arm in wanted)
    if is_list and value is not None and not isinstance(value, (dict, list, tuple)):
        return f"put it in brackets: [{written}]"
    return None


def _reads_as(kind: type[int] | type[float], text: str) -> bool:
    form = r"[+-]?[0-9]{1,15}" if kind is int else r"[+-]?[0-9]{1,15}(\.[0-9]{1,9})?"
    return re.fullmatch(form, text) is not None


def _toml(value: object) -> str:
    """A single value as TOML writes it, or an ellipsis when that would be long."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, str):
        simple = len(value) <= MAX_QUOTE and value.isprintable() and not {'"', "\\"} & {*value}
        return f'"{value}"' if simple else "…"
    return quote(value)


_COMPARISONS = {">=": "at least", ">": "more than", "<=": "at most", "<": "less than"}
_UNITS = {"str": "characters", "bytes": "bytes", "array": "items", "object": "keys"}


def refusal(message: str, value: object, path: Sequence[str | int] = ()) -> str:
    """What msgspec said against ``value``, as a plain sentence without a subject.

    Unknown wordings are passed on, so a newer msgspec costs style and no information.
    """
    shown = _shown(value, path)
    not_this = f", not {shown}"
    if match := re.fullmatch(r"Expected `(?:int|float)` (>=|>|<=|<) (.+)", message):
        limit = match[2].removesuffix(".0")
        return f"must be {_COMPARISONS[match[1]]} {limit}{not_this}"
    if match := re.fullmatch(r"Expected `(\w+)` of length (>=|<=) (\d+)", message):
        unit = _UNITS.get(match[1], "items")
        unit = unit.removesuffix("s") if match[3] == "1" else unit
        return f"must have {_COMPARISONS[match[2]]} {match[3]} {unit}{not_this}"
    if match := re.fullmatch(r"Expected `str` matching regex (.+)", message):
        return f"must match the pattern {match[1]}{not_this}"
    if match := re.fullmatch(r"Expected `\w+` that's a multiple of (.+)", message):
        return f"must be a multiple of {match[1].removesuffix('.0')}{not_this}"
    if match := re.fullmatch(r"Invalid (?:RFC3339 encoded |ISO8601 )?([\w ]+)", message):
        return f"must be a valid {match[1]}{not_this}"
    if message == "Number out of range":
        return f"is out of range: {shown}"
    return f"is refused: {message.replace('`', '')}{not_this}"


def _shown(value: object, path: Sequence[str | int]) -> str:
    """A value whose type is right: no need to say the type, and of a container only the size."""
    if isinstance(value, (list, tuple, dict)):
        return str(len(value))
    if isinstance(value, (str, int, float)) and not (path and is_secret(path[-1])):
        return quote(value)
    return found(value, path)
