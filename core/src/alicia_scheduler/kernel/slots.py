"""Slot arithmetic: pure functions over a schedule and the bounds that an event puts around it.

A *slot* is a nominal instant of the schedule; it is *due* at the slot plus the event's jitter.
The next slot is always computed from a slot, never from "now", so lateness does not add up.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from alicia_scheduler.api.contracts import Schedule
from alicia_scheduler.api.model import ScheduledEvent, to_epoch

__all__ = [
    "CORRECTION",
    "MAX_GRACE",
    "MICROSECOND",
    "Missed",
    "advance",
    "due_at",
    "first_slot",
    "grace_of",
    "last_between",
    "missed_between",
    "slots_after",
    "spaced_slot",
]

ONE_SHOT_GRACE = 24 * 3600.0
MAX_GRACE = 3600.0
MICROSECOND = timedelta(microseconds=1)
CORRECTION = 3 * 3600.0
"""Set back by more than so many seconds, the clock was wrong before."""
COUNT_LIMIT = 100
"""Slots are stepped one by one up to this many; beyond, their number is not counted out."""


class Missed(NamedTuple):
    """The slots that fell in a span: the latest ones by name, the others as a range.

    Attributes:
        latest: the last slots of the span, oldest first, at most as many as asked for.
        first_skipped: the first slot that is not in ``latest``, or None if all are.
        skipped_count: how many slots are not in ``latest``; None when there are too many to count.
    """

    latest: list[datetime]
    first_skipped: datetime | None
    skipped_count: int | None


def slots_after(schedule: Schedule, event: ScheduledEvent, instant: datetime) -> Iterator[datetime]:
    """The slots strictly after ``instant`` within the event's bounds, ascending."""
    slot = _slot_after(schedule, event, instant)
    while slot is not None:
        yield slot
        slot = _slot_after(schedule, event, slot)


def _slot_after(schedule: Schedule, event: ScheduledEvent, instant: datetime) -> datetime | None:
    """The first slot strictly after ``instant`` within the event's bounds."""
    if event.starts_at is not None and instant < event.starts_at:
        instant = event.starts_at - MICROSECOND
    slot = schedule.next_after(instant)
    if slot is None:
        return None
    if slot <= instant:
        raise ValueError(
            f"the schedule of {event.event_id!r} answered {slot.isoformat()} to "
            f"{instant.isoformat()}: a next slot must be strictly later"
        )
    return None if event.ends_at is not None and slot > event.ends_at else slot


def first_slot(
    schedule: Schedule, event: ScheduledEvent, instant: datetime, slot_count: int = 0
) -> datetime | None:
    """The first slot strictly after ``instant``; None when the schedule or ``max_runs`` is over."""
    if event.max_runs is not None and slot_count >= event.max_runs:
        return None
    return _slot_after(schedule, event, instant)


def spaced_slot(
    schedule: Schedule, event: ScheduledEvent, slot: datetime, spacing: float
) -> tuple[datetime | None, datetime | None]:
    """The first slot at least ``spacing`` seconds after ``slot``, and the first one that is passed
    over for that, or None when the schedule is no faster. However fast it is, this takes two
    questions to it."""
    following = first_slot(schedule, event, slot)
    gap = timedelta(seconds=spacing)
    if following is None or following - slot >= gap:
        return following, None
    return first_slot(schedule, event, slot + gap - MICROSECOND), following


def due_at(schedule: Schedule, event: ScheduledEvent, slot: datetime) -> datetime:
    """When the kernel acts on ``slot``: the slot plus its jitter.

    The jitter is uniform in [0, min(jitter, gap to the next slot)). It is drawn from a hash of
    event and slot: one draw a slot, the same after a restart and in a preview.
    """
    if not event.jitter:
        return slot
    span = event.jitter
    following = schedule.next_after(slot)
    if following is not None:
        span = min(span, (following - slot).total_seconds())
    seed = hashlib.blake2b(
        f"{event.event_id}/{to_epoch(slot):.6f}".encode(), digest_size=8
    ).digest()
    fraction = int.from_bytes(seed, "big") / 2**64
    return slot + timedelta(microseconds=int(fraction * span * 1_000_000))


def grace_of(
    schedule: Schedule, event: ScheduledEvent, slot: datetime, following: datetime | None = None
) -> float:
    """How many seconds late ``slot`` may start: ``misfire_grace``, else min(period/2, 1 h) for a
    schedule that repeats and 24 h for the last slot of one that does not. ``following`` is the
    slot after it, if it is known already: that spares a question to the schedule."""
    if event.misfire_grace is not None:
        return event.misfire_grace
    following = following or schedule.next_after(slot)
    if following is None:
        return ONE_SHOT_GRACE
    return min((following - slot).total_seconds() / 2, MAX_GRACE)


def advance(
    schedule: Schedule, event: ScheduledEvent, slot: datetime | None
) -> tuple[datetime | None, datetime | None]:
    """``(next_run, next_due)`` for a next slot that may be None."""
    if slot is None:
        return None, None
    return slot, due_at(schedule, event, slot)


def missed_between(
    schedule: Schedule, event: ScheduledEvent, first: datetime, until: datetime, keep: int
) -> Missed:
    """The slots from ``first`` (itself one) to ``until``, both included; the last ``keep`` by name.

    A few slots are stepped through. When they are many the latest are found by bisection, so ten
    years of seconds cost no more than a few thousand questions to the schedule.
    """
    stepped = [first]
    for slot in slots_after(schedule, event, first):
        if slot > until:
            break
        stepped.append(slot)
        if len(stepped) > COUNT_LIMIT + keep:
            return Missed(_latest(schedule, event, first, until, keep), first, None)
    border = max(0, len(stepped) - keep)
    return Missed(stepped[border:], first if border else None, border)


def _latest(
    schedule: Schedule, event: ScheduledEvent, first: datetime, until: datetime, keep: int
) -> list[datetime]:
    """The last ``keep`` slots in (first, until], oldest first."""
    found: list[datetime] = []
    reach = until - first
    while len(found) < keep and until > first:
        # What lies before a slot is about as near as the slot was; if not, look further.
        since = max(first, until - reach)
        slot = last_between(schedule, event, since, until)
        if slot is not None:
            found.append(slot)
            reach = 2 * (until - slot) + MICROSECOND
            until = slot - MICROSECOND
        elif since == first:
            break
        else:
            reach *= 2
    return found[::-1]


def last_between(
    schedule: Schedule, event: ScheduledEvent, first: datetime, until: datetime
) -> datetime | None:
    """The last slot in (first, until]: "the next slot is not beyond ``until``" holds before it
    and fails from it on, so the border can be bisected."""
    low: datetime | None = None
    following = _slot_after(schedule, event, first)
    high = until
    while following is not None and following <= until:
        low = following
        following = _slot_after(schedule, event, low)
        if following is None or following > until:
            break
        # Leap: to the last instant that is found to have a slot behind it, by halves.
        while high - low > MICROSECOND:
            middle = low + (high - low) / 2
            found = _slot_after(schedule, event, middle)
            if found is not None and found <= until:
                following = found
                break
            high = middle
    return low
