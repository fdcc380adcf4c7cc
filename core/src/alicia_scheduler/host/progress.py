"""Live lines of an attempt on their way to the notifications: cut, and told at a bounded rate."""

from __future__ import annotations

from collections.abc import Callable

from alicia_scheduler.api.model import EventExecution
from alicia_scheduler.kernel.notifications import Notifier

__all__ = ["BURST", "LINE_LIMIT", "PER_SECOND", "Progress"]

LINE_LIMIT = 500
"""Characters of a line that are told."""

BURST = 20
"""Lines that may come at once."""

PER_SECOND = 5.0
"""Lines a second that may come for long: a token bucket of ``BURST``, refilled at this rate."""


class Progress:
    """Tells the lines of one attempt as notifications ``execution_output``.

    Args:
        execution: whose attempt it is.
        elapsed: seconds that have passed since some fixed instant.
    """

    def __init__(
        self, execution: EventExecution, notifier: Notifier, elapsed: Callable[[], float]
    ) -> None:
        self._execution = execution
        self._notifier = notifier
        self._elapsed = elapsed
        self._tokens = float(BURST)
        self._filled_at = elapsed()
        self._left_out = 0

    def tell(self, line: str) -> None:
        """Tell a line, or count it when too many came. ``left_out`` in the next one that is told
        is the number of lines that were not."""
        now = self._elapsed()
        self._tokens = min(BURST, self._tokens + (now - self._filled_at) * PER_SECOND)
        self._filled_at = now
        if self._tokens < 1:
            self._left_out += 1
            return
        self._tokens -= 1
        line = self._notifier.redact({"line": line})["line"]
        self._notifier.emit(
            "execution_output",
            {
                "execution_id": self._execution.execution_id,
                "event_id": self._execution.event_id,
                "attempt": self._execution.attempt,
                "line": line if len(line) <= LINE_LIMIT else f"{line[: LINE_LIMIT - 1]}…",
                "left_out": self._left_out,
            },
        )
        self._left_out = 0
