"""What a definition that is right may still surprise with: clock changes, a pace that the host
does not follow, and never running."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import islice, pairwise
from typing import Any

from alicia_scheduler.api.errors import AliciaError
from alicia_scheduler.api.model import ScheduledEvent, to_epoch
from alicia_scheduler.api.walltime import ClockChange, clock_changes
from alicia_scheduler.config.settings import Settings
from alicia_scheduler.foresight.clockmarks import consequence
from alicia_scheduler.foresight.subject import Subject, subject_of
from alicia_scheduler.host.registry import Registry
from alicia_scheduler.kernel.slots import first_slot, slots_after

__all__ = ["AHEAD", "Finding", "lint"]

AHEAD = timedelta(days=731)
"""How far ahead clock changes are looked at: 24 months."""


LOOK_AT = 10
"""Slots that are looked at to tell how fast a schedule is."""


@dataclass(frozen=True)
class Finding:
    """One thing to say about an event.

    Attributes:
        kind: ``clock_change``, ``never_fires``, ``too_fast`` or ``failed``.
        message: a sentence.
        at: the instant of the clock change, if it is about one.
    """

    event_id: str
    kind: str
    message: str
    at: datetime | None = None

    def to_wire(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "event_id": self.event_id,
            "kind": self.kind,
            "message": self.message,
            "at": to_epoch(self.at) if self.at else None,
        }

    def __str__(self) -> str:
        return f"events.{self.event_id}: {self.message}"


def lint(
    events: Sequence[ScheduledEvent],
    registry: Registry,
    settings: Settings,
    calendars: Mapping[str, frozenset[date]],
    *,
    now: datetime,
) -> list[Finding]:
    """Look at every enabled event.

    An event costs a bounded number of questions to its schedule, a dozen or so for each change of
    its zone's clocks. What cannot be built is left to the check of the configuration.
    """
    findings = []
    for event in events:
        if not event.enabled:
            continue
        try:
            subject = subject_of(event, registry, settings, calendars, now=now)
        except AliciaError:
            continue
        try:
            findings += _never_fires(subject, now) or [
                *_too_fast(subject, now, settings.min_interval),
                *_clock_changes(subject, now),
            ]
        except Exception as error:  # noqa: BLE001 - a schedule type may raise anything
            message = f"its schedule failed: {type(error).__name__}: {error}"
            findings.append(Finding(event.event_id, "failed", message))
    return findings


def _never_fires(subject: Subject, now: datetime) -> list[Finding]:
    event = subject.event
    if first_slot(subject.schedule, event, now) is not None:
        return []
    following = subject.bare.next_after(now)
    if following is None:
        why = f"{subject.bare.describe()} has no slot from now on"
    elif first_slot(subject.bare, event, now) is None:
        why = "no slot lies between starts_at and ends_at from now on"
    else:
        why = "every slot falls on an excluded day"
    return [Finding(event.event_id, "never_fires", f"never runs: {why}")]


def _too_fast(subject: Subject, now: datetime, min_interval: float) -> list[Finding]:
    """Whether the next slots follow each other faster than the host lets them."""
    event = subject.event
    for before, after in pairwise(islice(slots_after(subject.schedule, event, now), LOOK_AT)):
        gap = (after - before).total_seconds()
        if gap < min_interval:
            message = (
                f"its slots are {gap:g} s apart, faster than min_interval = {min_interval:g} s: "
                "those in between are skipped"
            )
            return [Finding(event.event_id, "too_fast", message)]
    return []


def _clock_changes(subject: Subject, now: datetime) -> list[Finding]:
    event = subject.event
    found = []
    for change in clock_changes(now, now + AHEAD, subject.zone):
        if not _within_bounds(event, change):
            continue
        said = consequence(subject, change)
        if said is not None:
            message = f"clock change in {subject.zone.key}: {said}"
            found.append(Finding(event.event_id, "clock_change", message, change.at))
    return found


def _within_bounds(event: ScheduledEvent, change: ClockChange) -> bool:
    if event.starts_at is not None and change.at < event.starts_at:
        return False
    return event.ends_at is None or change.at <= event.ends_at
