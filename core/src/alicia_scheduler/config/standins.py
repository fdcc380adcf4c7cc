"""What stands in a raw configuration for a value that is not plain: one that is not known before
the configuration is used, or one that a template made.

:mod:`~alicia_scheduler.config.convert` asks a stand-in what it is for the type of its field.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, get_args, get_origin

from msgspec import Meta

from alicia_scheduler.config.shapes import arms, bare, choices, is_object, metas_of

__all__ = ["ROUNDS", "Made", "NoSample", "StandIn", "Unknown", "holds_unknown", "without_stand_ins"]

ROUNDS = 4
"""How many different values an unknown one is tried with."""

_SAMPLES: dict[Any, Sequence[Any]] = {
    Any: ("x", "1", "x", "1"),
    str: ("x", "1", "x", "1"),
    bytes: (b"x", b"1", b"x", b"1"),
    bool: (False, True, False, True),
    datetime: (datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 7, 1, tzinfo=UTC)),
    date: (date(2026, 1, 1), date(2027, 7, 1)),
    time: (time(0, 0), time(12, 30)),
    timedelta: (timedelta(seconds=1), timedelta(hours=1)),
}

_READ_FROM_TEXT = (str, bytes, datetime, date, time, timedelta)
"""Types that a field may take from text."""


class NoSample(Exception):
    """No value is known that a field of this type would take."""


class StandIn:
    """Base of what stands in a raw configuration."""


@dataclass(frozen=True)
class Unknown(StandIn):
    """A value that is known only when the configuration is used.

    Attributes:
        what: names it in a message: ``a secret``, ``this template``.
        text: it will be text, whatever it is.
        hint: what to do where no text is taken.
        number: which of its possible values is tried; see :data:`ROUNDS`.
    """

    what: str
    text: bool
    hint: str | None = None
    number: int = 0

    def fits(self, annotation: Any) -> bool:
        """False when a field of this type can take no value that this one may have."""
        return not self.text or any(_takes_text(arm) for arm in arms(annotation))

    def sample(self, annotation: Any) -> Any:
        """A value that a field of this type could have.

        Raises:
            NoSample: none is known.
        """
        fitting = [arm for arm in arms(annotation) if not self.text or _takes_text(arm)]
        arm = fitting[self.number % len(fitting)]
        values = choices(arm)
        if values:
            values = [value for value in values if not self.text or isinstance(value, str)]
            kind = bare(arm)
            value = values[self.number % len(values)]
            return kind(value) if isinstance(kind, type) else value
        kind = get_origin(bare(arm)) or bare(arm)
        if kind in (int, float):
            return kind(_number(metas_of(arm), self.number))
        if kind in _SAMPLES:
            known = _SAMPLES[kind]
            return _long_enough(known[self.number % len(known)], metas_of(arm))
        if isinstance(kind, type) and not is_object(kind):
            shortest = _shortest(metas_of(arm))
            if issubclass(kind, Mapping) and not shortest:
                return {}
            if issubclass(kind, (Sequence, frozenset, set)) and not hasattr(kind, "_fields"):
                items = [self._item(arm) for _ in range(shortest)]
                return kind(items) if kind in (tuple, frozenset, set) else items
        raise NoSample

    def _item(self, sequence: Any) -> Any:
        """A value that could stand in a sequence of this type."""
        of = get_args(bare(sequence))
        if not of:
            raise NoSample
        return Unknown(self.what, text=False, number=self.number).sample(of[0])


@dataclass(frozen=True)
class Made(StandIn):
    """A value that a template made: as it is, or as its text where a field takes only text."""

    value: Any
    text: Callable[[Any], str]


def _takes_text(arm: Any) -> bool:
    kind = get_origin(bare(arm)) or bare(arm)
    if values := choices(arm):
        return any(isinstance(value, str) for value in values)
    if kind is Any or kind in _READ_FROM_TEXT:
        return True
    return isinstance(kind, type) and not is_object(kind) and kind.__module__ not in _PLAIN


_PLAIN = ("builtins", "collections.abc", "typing", "datetime")
"""Modules whose types are known here; one of another module may be read from text (a UUID)."""


def _number(metas: list[Meta], number: int) -> float:
    lowest = max(
        (bound for meta in metas for bound in (meta.ge, meta.gt) if bound is not None), default=None
    )
    highest = min(
        (bound for meta in metas for bound in (meta.le, meta.lt) if bound is not None), default=None
    )
    if lowest is None and highest is None:
        return number + 1
    if lowest is None:
        return (highest or 0) - 1 - number
    return lowest + 1 if highest is None or lowest + 1 < highest else lowest


def _shortest(metas: list[Meta]) -> int:
    return max((meta.min_length or 0 for meta in metas), default=0)


def _long_enough(value: Any, metas: list[Meta]) -> Any:
    shortest = _shortest(metas)
    return value * shortest if isinstance(value, (str, bytes)) and shortest > 1 else value


def holds_unknown(raw: object, path: Sequence[str | int]) -> bool:
    """True when what is found at ``path`` in ``raw``, or on the way to it, is not known yet."""
    for step in path:
        if isinstance(raw, Unknown):
            return True
        if isinstance(raw, Mapping):
            raw = raw.get(step)
        elif isinstance(raw, (list, tuple)) and isinstance(step, int) and step < len(raw):
            raw = raw[step]
        else:
            break
    return _holds(raw)


def _holds(raw: object) -> bool:
    if isinstance(raw, Mapping):
        return any(map(_holds, raw.values()))
    if isinstance(raw, (list, tuple)):
        return any(map(_holds, raw))
    return isinstance(raw, Unknown)


def without_stand_ins(raw: Any) -> Any:
    """``raw`` with a plain value in place of each stand-in, for a field that takes anything."""
    if isinstance(raw, Unknown):
        return raw.sample(Any)
    if isinstance(raw, Made):
        return raw.value
    if isinstance(raw, dict):
        return {key: without_stand_ins(item) for key, item in raw.items()}
    if isinstance(raw, list):
        return [without_stand_ins(item) for item in raw]
    return raw
