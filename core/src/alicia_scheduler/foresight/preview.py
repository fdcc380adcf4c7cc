"""The next slots of an event, with all that will bear on them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from alicia_scheduler.api.model import to_epoch
from alicia_scheduler.foresight.clockmarks import marks_of
from alicia_scheduler.foresight.subject import Subject
from alicia_scheduler.kernel.slots import due_at, slots_after

__all__ = ["Row", "preview_rows"]


@dataclass(frozen=True)
class Row:
    """One slot to come.

    Attributes:
        slot: aware UTC.
        zone: the event's.
        due: when the kernel acts on it: the slot plus the jitter drawn for it.
        latest: the end of the band that the jitter is drawn from; the slot without jitter.
        marks: what a person should know, in a few words each.
        excluded: the item of ``exclude`` that takes the slot out; None for one that counts.
    """

    slot: datetime
    zone: ZoneInfo
    due: datetime
    latest: datetime
    marks: tuple[str, ...] = ()
    excluded: str | None = None

    @property
    def local(self) -> datetime:
        """The slot as the clocks of the event's zone show it, for printing only."""
        return self.slot.astimezone(self.zone)

    def to_wire(self) -> dict[str, Any]:
        """JSON-ready; instants are epoch seconds, ``local`` is ISO 8601."""
        return {
            "slot": to_epoch(self.slot),
            "local": self.local.isoformat(),
            "due": to_epoch(self.due),
            "latest": to_epoch(self.latest),
            "marks": list(self.marks),
            "excluded": self.excluded,
        }


def preview_rows(
    subject: Subject, after: datetime, *, until: datetime | None = None, with_excluded: bool = False
) -> Iterator[Row]:
    """The slots strictly after ``after`` in order, within the event's bounds; as many as are asked
    for.

    Args:
        after: an aware instant.
        until: the last instant that still counts; None for no end.
        with_excluded: also show the slots that ``exclude`` takes out.
    """
    event, state = subject.event, subject.state
    schedule = subject.bare if with_excluded else subject.schedule
    left = None if event.max_runs is None else max(0, event.max_runs - state.slot_count)
    spacing = timedelta(seconds=subject.min_interval)
    before: datetime | None = None
    kept: datetime | None = None
    for slot in slots_after(schedule, event, after):
        if until is not None and slot > until:
            return
        excluded = subject.excluded(slot) if with_excluded else None
        crowded = kept is not None and slot - kept < spacing
        if excluded is None and not crowded:
            kept = slot
            if left == 0:
                return
            # A slot that a person has halted uses up no run.
            if left is not None and subject.halted(slot) is None:
                left -= 1
        yield _row(subject, slot, before, excluded, crowded=crowded)
        before = slot


def _row(
    subject: Subject,
    slot: datetime,
    before: datetime | None,
    excluded: str | None,
    *,
    crowded: bool,
) -> Row:
    marks = list(marks_of(subject, slot, before))
    if excluded is not None:
        marks.append(f"excluded: {excluded}")
    elif crowded:
        marks.append("skipped: min_interval")
    elif (halted := subject.halted(slot)) is not None:
        marks.append(halted)
    return Row(
        slot,
        subject.zone,
        slot if excluded else due_at(subject.schedule, subject.event, slot),
        slot if excluded else slot + _jitter_span(subject, slot),
        tuple(marks),
        excluded,
    )


def _jitter_span(subject: Subject, slot: datetime) -> timedelta:
    """Length of the band that the jitter is drawn from: never past the next slot."""
    if not subject.event.jitter:
        return timedelta()
    span = timedelta(seconds=subject.event.jitter)
    following = subject.schedule.next_after(slot)
    return span if following is None else min(span, following - slot)
