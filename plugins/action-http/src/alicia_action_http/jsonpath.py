"""Places in a JSON value, as ``data.items[0].state``: the part of JSONPath that names one place."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["find", "parse_path"]

STEP = re.compile(r"\.?([A-Za-z_][A-Za-z0-9_-]*)|\[(-?[0-9]{1,9})\]|\[\"([^\"]*)\"\]")
LONGEST = 1000


def parse_path(path: str) -> list[str | int]:
    """Keys and indices of a path; a leading ``$`` may stand for the whole.

    Raises:
        ValueError: it is none, with a sentence.
    """
    text = path.removeprefix("$")
    if not path or len(path) > LONGEST:
        raise ValueError("a path has 1 to 1000 characters")
    steps: list[str | int] = []
    place = 0
    while place < len(text):
        match = STEP.match(text, place)
        if match is None:
            raise ValueError(f"{path!r} is no path: it ends to make sense at {text[place:]!r}")
        name, index, quoted = match.groups()
        steps.append(int(index) if index is not None else name or quoted)
        place = match.end()
    return steps


def find(value: Any, path: str) -> Any:
    """What stands at the path.

    Raises:
        LookupError: nothing does.
    """
    for step in parse_path(path):
        if isinstance(step, int):
            if not isinstance(value, list):
                raise LookupError(path)
            value = value[step]
        else:
            if not isinstance(value, dict):
                raise LookupError(path)
            value = value[step]
    return value
