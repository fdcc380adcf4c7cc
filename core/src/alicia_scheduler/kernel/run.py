"""One execution under way: what it is, how far it has come, and its turn among those that wait."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import trio

from alicia_scheduler.api.model import EventExecution, ScheduledEvent, to_epoch
from alicia_scheduler.kernel.prepared import Prepared

__all__ = ["Run", "Stage"]


class Stage(StrEnum):
    """How far a run has come; while it waits, the word for what it waits for."""

    LANE = "overlap"
    """Behind others of its event."""

    LATE = "catchup"
    """It catches up on a missed slot and waits to be let in."""

    LIMIT = "limit"
    """For the named limit that its event shares."""

    PLACE = "max_concurrent"
    """For one of the host's places."""

    ACTIVE = "active"
    """It holds a place: it runs, or will as soon as its start is committed."""


@dataclass(slots=True, eq=False)
class Run:
    """One execution under way.

    Attributes:
        arrival: number of the run in this host, counted from when it was reserved.
        cancel_reason: why it was told to stop, once it was.
        over: its attempt has ended, and that is being written down.
        given_up: it ignored its cancellation, and nobody waits for it any more.
        scope: cancels its attempt; None until that begins.
    """

    event: ScheduledEvent
    prepared: Prepared
    execution: EventExecution
    arrival: int = 0
    stage: Stage = Stage.LANE
    cancel_reason: str | None = None
    over: bool = False
    given_up: bool = False
    scope: trio.CancelScope | None = None

    @property
    def active(self) -> bool:
        return self.stage is Stage.ACTIVE

    @property
    def turn(self) -> tuple[int, float, int]:
        """Sorts those that wait: highest priority first, then by slot, then by arrival."""
        return (-self.event.priority, to_epoch(self.execution.scheduled_time), self.arrival)
