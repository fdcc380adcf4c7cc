"""What changes of the clock do to an event, seen from outside its schedule type.

A schedule only answers with instants, so nothing here relies on how a type treats a change. The
same schedule is asked in UTC instead, where every reading exists once: its slots there, without
their zone, are the readings it names. Whether a reading falls into a gap or into a repeated span
is then arithmetic, and what became of it is what the schedule answers in the real zone.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from alicia_scheduler.api.contracts import Schedule
from alicia_scheduler.api.walltime import ClockChange, clock_changes, instants_of, reading_at
from alicia_scheduler.foresight.subject import Subject

__all__ = ["consequence", "marks_of"]

MICROSECOND = timedelta(microseconds=1)
ZERO = timedelta(0)
HOUR = timedelta(hours=1)
LONGEST = timedelta(days=2)
"""More than clocks have ever been set by at once."""

AROUND = timedelta(days=30)
"""How far before a change a slot is looked for that shows whether a schedule reads the clock."""

HOURS_AROUND = range(-6, 6)


def marks_of(subject: Subject, slot: datetime, before: datetime | None) -> tuple[str, ...]:
    """What a person should know about a slot of the wall clock.

    Args:
        slot: an aware UTC instant that the subject's schedule produces.
        before: the slot shown before it, if any.

    Returns:
        none or some of ``moved out of a gap``, ``first pass``, ``second pass``, and
        ``offset changed``.
    """
    zone = subject.zone
    marks = []
    change = next(clock_changes(slot - MICROSECOND, slot, zone), None)
    if change is not None and change.size > ZERO and _was_in_gap(subject, change):
        marks.append("moved out of a gap")
    passes = instants_of(reading_at(slot, zone), zone)
    if len(passes) > 1:
        marks.append("first pass" if slot == passes[0] else "second pass")
    if before is not None and slot.astimezone(zone).utcoffset() != (
        before.astimezone(zone).utcoffset()
    ):
        marks.append("offset changed")
    return tuple(marks)


def consequence(subject: Subject, change: ClockChange) -> str | None:
    """What becomes of the subject's readings at a change of the clock, or None when the change
    does not matter: no reading is left out or repeated, or the event runs every hour anyway and
    has no policy of its own."""
    affected = sorted((change.reading_before, change.reading_after))
    # The cheapest question first: most changes end here for most events.
    if _named(subject, *affected) is None or not _reads_the_clock(subject, change):
        return None
    policy = subject.event.dst_gap if change.size > ZERO else subject.event.dst_overlap
    if policy is None and _runs_hourly(subject.schedule, change.at):
        return None
    return _at_gap(subject, change) if change.size > ZERO else _at_repeat(subject, change)


def _at_gap(subject: Subject, change: ClockChange) -> str | None:
    reading = _named(subject, change.reading_before, change.reading_after)
    if reading is None or subject.excluded(change.at) is not None:
        return None
    left_out = f"{reading:%Y-%m-%d %H:%M} does not exist"
    if not _has_slot(subject.schedule, change.at, change.at + MICROSECOND):
        return f"{left_out}: does not run"
    return f"{left_out}: runs at {change.reading_after:%H:%M}"


def _at_repeat(subject: Subject, change: ClockChange) -> str | None:
    reading = _named(subject, change.reading_after, change.reading_before)
    if reading is None:
        return None
    passes = instants_of(reading, subject.zone)
    if len(passes) != 2 or subject.excluded(passes[0]) is not None:
        return None
    first, second = (_has_slot(subject.schedule, at, at + MICROSECOND) for at in passes)
    outcome = {
        (True, False): "runs in the first pass only",
        (False, True): "runs in the second pass only",
        (True, True): "runs in both passes",
        (False, False): "does not run",
    }[first, second]
    return f"{reading:%Y-%m-%d %H:%M} comes twice: {outcome}"


def _was_in_gap(subject: Subject, change: ClockChange) -> bool:
    """Whether the slot at the end of a gap stands for readings in it, and not for its own."""
    after = change.reading_after
    return (
        _named(subject, after, after + MICROSECOND) is None
        and _named(subject, change.reading_before, after) is not None
    )


def _named(subject: Subject, begin: datetime, end: datetime) -> datetime | None:
    """The first reading in [begin, end) that the schedule names, without a zone."""
    if subject.readings is None:
        return None
    named = subject.readings.next_after(begin.replace(tzinfo=UTC) - MICROSECOND)
    if named is None or named >= end.replace(tzinfo=UTC):
        return None
    return named.replace(tzinfo=None)


def _reads_the_clock(subject: Subject, change: ClockChange) -> bool:
    """Whether the slots near a change are readings of the wall clock, and not those of the sun or
    instants written with an offset: then UTC's slots would say nothing."""
    if subject.readings is None:
        return False
    for start in (change.at - AROUND, change.at + LONGEST):
        slot = subject.bare.next_after(start)
        if slot is None or slot == change.at:
            continue
        reading = reading_at(slot, subject.zone)
        if _named(subject, reading, reading + MICROSECOND) is None:
            return False
    return True


def _runs_hourly(schedule: Schedule, at: datetime) -> bool:
    return all(
        _has_slot(schedule, at + hours * HOUR, at + (hours + 1) * HOUR) for hours in HOURS_AROUND
    )


def _has_slot(schedule: Schedule, begin: datetime, end: datetime) -> bool:
    """Whether there is a slot in [begin, end)."""
    slot = schedule.next_after(begin - MICROSECOND)
    return slot is not None and slot < end
