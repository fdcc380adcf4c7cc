"""Counting what was turned away, and saying so in the log without letting anybody flood it."""

from __future__ import annotations

import logging
from collections import Counter

__all__ = ["Tally"]


class Tally:
    """Counts by kind. Each kind is told at its 1st, 10th, 100th, … time.

    Attributes:
        handled: messages that were taken up.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self.handled = 0
        self._counts: Counter[str] = Counter()
        self._logger = logger

    @property
    def errors(self) -> int:
        """How many messages were turned away, or could not be answered."""
        return self._counts.total()

    def count(self, kind: str) -> int:
        """How often this kind came so far."""
        return self._counts[kind]

    def note(self, kind: str, detail: str) -> None:
        """One more of a kind; ``detail`` says what happened to this one."""
        self._counts[kind] += 1
        times = self._counts[kind]
        if str(times).strip("0") == "1":
            many = "" if times == 1 else f" (the {times}th of the kind; the next ones are counted)"
            self._logger.warning("%s%s", detail, many)
