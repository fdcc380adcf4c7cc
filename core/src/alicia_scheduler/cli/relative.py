"""Times as people read them: how far away, and exactly."""

from __future__ import annotations

from datetime import UTC, datetime

from alicia_scheduler.cli.output import local_time

__all__ = ["elapsed", "told_time"]

UNITS = (("d", 86_400, 100), ("h", 3600, 100), ("min", 60, 10), ("s", 1, 0))
"""Name, seconds, and from how many on the smaller unit beside it says nothing."""


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
    place = next(at for at, (_, length, _) in enumerate(UNITS) if seconds >= length)
    unit, length, detailed = UNITS[place]
    whole, rest = divmod(seconds, length)
    smaller, length, _ = UNITS[place + 1]
    if rest >= length and whole < detailed:
        return f"{whole} {unit} {rest // length} {smaller}"
    return f"{whole} {unit}"
