"""Places in a JSON answer, as ``synthesis.items[0].state``: names with dots, and indices."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["find", "parse_place"]

STEP = re.compile(r"\.?([A-Za-z_][A-Za-z0-9_-]*)|\[(-?[0-9]{1,9})\]|\[\"([^\"]*)\"\]")
LONGEST = 1000


def parse_place(text: str) -> list[str | int]:
    """The keys and indices that lead to a place.

    Raises:
        ValueError: it is no place, with a sentence.
    """
    if not 0 < len(text) <= LONGEST:
        raise ValueError(f"a place has 1 to {LONGEST} characters")
    steps: list[str | int] = []
    at = 0
    while at < len(text):
        match = STEP.match(text, at)
        if match is None:
            raise ValueError(f"{text!r} is no place: it ends to make sense at {text[at:]!r}")
        name, index, quoted = match.groups()
        steps.append(int(index) if index is not None else name or quoted)
        at = match.end()
    return steps


def find(value: Any, place: str) -> Any:
    """What stands at a place.

    Raises:
        LookupError: nothing does.
    """
    for step in parse_place(place):
        match value:
            case list() if isinstance(step, int):
                value = value[step]
            case dict() if isinstance(step, str):
                value = value[step]
            case _:
                raise LookupError(place)
    return value
