"""Times as people read them: how far away, and exactly."""

from __future__ import annotations

from datetime import UTC, datetime

from alicia_scheduler.cli.output import local_time

__all__ = ["elapsed", "told_time"]

UNITS = (("d", 86_400), ("h", 3600), ("min", 60))
DETAILED = 100
"""From so many of a unit on, the smaller one beside it says nothing."""


def told_time(instant: datetime | None, now: datetime | None = None) -> str:
    """``in 5 min (2026-11-27 18:00:00+01:00)`` or ``2 h ago (…)``; a dash for None.

    Args:
        instant: aware.
        now: aware; the present by default.
    """
    if instant is None:
        return "-"
    seconds = (instant - (now or datetime.now(UTC))).total_seconds()
    far = elapsed(abs(seconds))
    relative = "now" if abs(seconds) < 1 else f"in {far}" if seconds > 0 else f"{far} ago"
    return f"{relative} ({local_time(instant)})"


def elapsed(seconds: float) -> str:
    """A span in its largest unit, and the next one where that says something: ``2 h 5 min``."""
    if seconds < 10:
        return f"{seconds:.1f} s".replace(".0 ", " ")
    seconds = int(seconds)
    if seconds < 60:
        return f"{seconds} s"
    place = next(at for at, (_, length) in enumerate(UNITS) if seconds >= length)
    unit, length = UNITS[place]
    whole, rest = divmod(seconds, length)
    if place + 1 < len(UNITS) and whole < DETAILED:
        smaller, length = UNITS[place + 1]
        if rest >= length:
            return f"{whole} {unit} {rest // length} {smaller}"
    return f"{whole} {unit}"
