"""Everything that a template may name, call and use. What is not here is refused at load."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any

__all__ = ["ATTRIBUTES", "FIELDS", "FILTERS", "FUNCTIONS", "LOOP", "NAMES", "TESTS", "VOLATILE"]

NAMES = (
    "attempt",
    "event",
    "execution",
    "last_result",
    "now",
    "parent",
    "slot",
    "window",
)
"""What the host gives to each rendering; see :mod:`~alicia_scheduler.host.templates.names`."""

VOLATILE = frozenset(("attempt", "last_result", "now", "parent"))
"""Names whose value may be another at the next attempt of the same execution."""

FUNCTIONS = ("namespace", "range", "timedelta")

_DATE = ("year", "month", "day", "weekday", "isoweekday", "isocalendar", "isoformat", "strftime")
_TIME = ("hour", "minute", "second", "microsecond", "isoformat", "strftime")

ATTRIBUTES: dict[type[Any], frozenset[str]] = {
    str: frozenset(
        (
            *("startswith", "endswith", "split", "rsplit", "splitlines", "strip", "lstrip"),
            *("rstrip", "lower", "upper", "title", "capitalize", "removeprefix", "removesuffix"),
            *("isdigit", "isalpha", "isalnum", "find", "count"),
        )
    ),
    dict: frozenset(("get", "items", "keys", "values")),
    list: frozenset(("count", "index")),
    tuple: frozenset(("count", "index")),
    datetime: frozenset(
        (*_DATE, *_TIME, "date", "time", "timestamp", "replace", "utcoffset", "tzname")
    ),
    date: frozenset(_DATE),
    time: frozenset(_TIME),
    timedelta: frozenset(("days", "seconds", "total_seconds")),
}
"""Attributes of values, by exact type. A table's own keys come before these."""

LOOP = frozenset(
    ("index", "index0", "revindex", "revindex0", "first", "last", "length", "previtem", "nextitem")
)
"""Attributes of ``loop``."""

FIELDS: dict[str, tuple[str, ...]] = {
    "event": ("id", "name", "description", "tags", "timezone", "revision"),
    "execution": ("id", "attempt", "trigger", "idempotency_key", "slot", "start_time"),
    "window": ("start", "end"),
    "slot": tuple(sorted(ATTRIBUTES[datetime])),
}
"""Names whose attributes are known before anything runs."""

FILTERS = frozenset(
    (
        *("abs", "capitalize", "count", "d", "default", "dictsort", "first", "float", "format"),
        *("fromjson", "int", "items", "join", "last", "length", "list", "lower", "map", "max"),
        *("min", "reject", "rejectattr", "replace", "reverse", "round", "select", "selectattr"),
        *("sort", "string", "sum", "title", "tojson", "trim", "truncate", "unique", "upper"),
        "urlencode",
    )
)

TESTS = frozenset(
    (
        *("defined", "undefined", "none", "string", "number", "integer", "float", "boolean"),
        *("mapping", "sequence", "iterable", "true", "false", "odd", "even", "divisibleby"),
        *("in", "eq", "equalto", "==", "ne", "!=", "lt", "lessthan", "<", "le", "<="),
        *("gt", "greaterthan", ">", "ge", ">="),
    )
)
