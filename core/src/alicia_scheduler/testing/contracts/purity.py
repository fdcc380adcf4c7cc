"""Watching a function that must be pure and bounded: which clocks, files and dice it touches, and
how many lines of Python it runs."""

from __future__ import annotations

import io
import posix
import random
import socket
import sys
import time
from collections.abc import Callable
from datetime import date
from types import FrameType, ModuleType
from typing import Any, TypeVar

__all__ = ["LINES", "TooLong", "watched"]

T = TypeVar("T")

LINES = 2_000_000
"""Most lines of Python that one answer may run: half a second or so on a Raspberry Pi. Counting
lines instead of time makes the limit the same on each machine."""

CLOCK_READERS = {"now", "utcnow", "today"}

IMPURE: dict[int, tuple[str, frozenset[str]]] = {
    id(time): (
        "the clock",
        frozenset({"time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "sleep"}),
    ),
    id(posix): (
        "the system",
        frozenset({"open", "stat", "listdir", "scandir", "urandom", "system", "posix_spawn"}),
    ),
    id(sys.modules[io.open.__module__]): ("a file", frozenset({"open"})),
}


class TooLong(BaseException):
    """The function ran more lines than it may. No Exception, as those get caught on the way."""


def watched(function: Callable[[], T], lines: int = LINES) -> tuple[T, set[str]]:
    """Call ``function``.

    Returns:
        what it returns, and what impure it called, in words.

    Raises:
        TooLong: it ran more than ``lines`` lines of Python.
    """
    found: set[str] = set()
    left = lines

    def count(_frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal left
        if event == "line":
            left -= 1
            if left < 0:
                raise TooLong(f"it ran more than {lines} lines of Python")
        return count

    def note(_frame: FrameType, event: str, called: Any) -> None:
        if event == "c_call" and (what := _impurity(called)) is not None:
            found.add(what)

    tracing, profiling = sys.gettrace(), sys.getprofile()
    sys.setprofile(note)
    sys.settrace(count)
    try:
        result = function()
    finally:
        sys.settrace(tracing)
        sys.setprofile(profiling)
    return result, found


def _impurity(called: Any) -> str | None:
    owner, name = getattr(called, "__self__", None), getattr(called, "__name__", "")
    if isinstance(owner, ModuleType):
        what, names = IMPURE.get(id(owner), ("", frozenset[str]()))
        return f"{what} ({owner.__name__}.{name})" if name in names else None
    if isinstance(owner, type) and issubclass(owner, date) and name in CLOCK_READERS:
        return f"the clock ({owner.__name__}.{name})"
    if isinstance(owner, random.Random):
        return f"dice (random.{name})"
    if isinstance(owner, socket.socket):
        return f"the network (socket.{name})"
    return None
