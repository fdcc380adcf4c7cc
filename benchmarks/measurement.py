"""What a benchmark is made of: functions that measure, in modules of this folder.

A module is one benchmark. Each of its functions with :func:`measurement` runs once, in a process
of its own, and returns its figures by name. Only the standard library is imported here: the same
module is loaded beside packages of the peers.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

__all__ = ["BENCHMARKS", "Figures", "Measurement", "measurement", "measurements_of"]

BENCHMARKS = (
    "dispatch",
    "calls",
    "lateness",
    "scale",
    "next_slot",
    "mqtt",
    "subscribers",
    "slow_consumers",
    "footprint",
)
"""The modules, in the order in which they run."""

Figures = dict[str, float]
"""What one run measured: name with its unit (``per_s``, ``p99_ms``) and value."""

Function = TypeVar("Function", bound=Callable[[], Figures])


@dataclass(frozen=True)
class Measurement:
    """A function that measures.

    Attributes:
        function: runs once and returns its figures.
        peer: the folder of packages in ``peers/`` that it needs beside ours, or None.
        rounds: so often it runs at the most; fewer for what takes minutes.
    """

    function: Callable[[], Figures]
    peer: str | None = None
    rounds: int | None = None

    @property
    def name(self) -> str:
        return self.function.__name__


def measurement(
    *, peer: str | None = None, rounds: int | None = None
) -> Callable[[Function], Function]:
    """Mark a function of a benchmark as one that measures. See :class:`Measurement`."""

    def mark(function: Function) -> Function:
        function.__dict__["measurement"] = Measurement(function, peer, rounds)
        return function

    return mark


def measurements_of(benchmark: str) -> dict[str, Measurement]:
    """Those of a benchmark by name, in the order in which they stand in the module."""
    module = importlib.import_module(f"benchmarks.{benchmark}")
    marked = (getattr(value, "measurement", None) for value in vars(module).values())
    return {each.name: each for each in marked if isinstance(each, Measurement)}
