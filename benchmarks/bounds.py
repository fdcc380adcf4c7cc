"""What must hold: reads ``bounds.toml`` and judges what was measured."""

from __future__ import annotations

import re
import statistics
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Bound", "Runs", "Verdict", "bounds_of", "judge"]

FILE = Path(__file__).parent / "bounds.toml"

Runs = Mapping[str, Sequence[float]]
"""The values of each figure (``measurement.figure``), one for each round in which it was taken."""


@dataclass(frozen=True, kw_only=True)
class Bound:
    """One line of ``bounds.toml``.

    Attributes:
        ratio: ``a / b`` or ``a - b``, of figures (``measurement.figure``) or plain numbers.
        at_least, at_most: what ``make bench`` insists on; one of the two is given.
        target: what we want to reach, told beside it.
        note: what a reader must know to understand it.
    """

    ratio: str
    at_least: float | None = None
    at_most: float | None = None
    target: float | None = None
    note: str = ""

    @property
    def terms(self) -> tuple[str, str, str]:
        """The left side, the operator, the right side."""
        found = re.fullmatch(r"(\S+) ([/-]) (\S+)", self.ratio)
        if found is None:
            raise ValueError(f"bounds.toml: {self.ratio!r} is not of the form 'a / b' or 'a - b'")
        left, operator, right = found.groups()
        return left, operator, right

    def holds(self, value: float) -> bool:
        """Whether the value is within the bound."""
        return (self.at_least is None or value >= self.at_least) and (
            self.at_most is None or value <= self.at_most
        )

    def reaches_target(self, value: float) -> bool:
        """Whether the value is as good as we want it."""
        if self.target is None:
            return True
        return value >= self.target if self.at_least is not None else value <= self.target


@dataclass(frozen=True)
class Verdict:
    """A bound and what came of it; ``value`` is None when a figure is absent."""

    bound: Bound
    value: float | None

    @property
    def failed(self) -> bool:
        return self.value is not None and not self.bound.holds(self.value)


def bounds_of(benchmark: str) -> list[Bound]:
    """The lines of a benchmark, in order."""
    lines = tomllib.loads(FILE.read_text()).get(benchmark, [])
    return [Bound(**line) for line in lines]


def judge(bound: Bound, runs: Runs) -> Verdict:
    """The median over the rounds, each compared within itself, as load comes and goes."""
    left, operator, right = bound.terms
    sides = _values(left, runs), _values(right, runs)
    rounds = max(map(len, sides))
    if not all(sides):
        return Verdict(bound, None)
    pairs = [(sides[0][k % len(sides[0])], sides[1][k % len(sides[1])]) for k in range(rounds)]
    values = [a / b if operator == "/" else a - b for a, b in pairs]
    return Verdict(bound, statistics.median(values))


def _values(term: str, runs: Runs) -> Sequence[float]:
    try:
        return [float(term)]
    except ValueError:
        return runs.get(term, ())
