"""What the kernel needs from whoever knows the installed types: the host's registry in a running
system, a few lines in a test."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

from alicia_scheduler.api.contracts import Schedule
from alicia_scheduler.api.errors import AliciaError
from alicia_scheduler.api.model import EventExecution, ScheduledEvent
from alicia_scheduler.kernel.exclusions import Exclusions

__all__ = ["Prepared", "Types", "Unresolved"]

T = TypeVar("T")


class Unresolved(AliciaError):
    """The event needs a schedule type or an action type that is not here.

    The event is kept and comes alive when the type is back; the message says which is missing
    and what brings it.
    """


@dataclass(frozen=True)
class Prepared:
    """A definition with its configuration validated and its schedule built: ready to be planned.

    Attributes:
        schedule: the slots, excluded days left out.
        bare_schedule: the same before exclusions, for those who want to tell what was left out;
            None when nothing is excluded.
        exclusions: what is left out, if anything.
        cleanup: seconds that the action may take to end once it is cancelled.
    """

    schedule: Schedule
    action_type: str
    action_config: Any
    bare_schedule: Schedule | None = None
    exclusions: Exclusions | None = None
    cleanup: float = 0.0


class Types(Protocol):
    """The installed schedule types and action types."""

    def prepare(self, event: ScheduledEvent, anchor: datetime) -> Prepared:
        """Validate and build.

        Raises:
            Unresolved: a type is missing.
            ConfigError: a configuration is refused.
        """
        ...

    def follows_elapsed_time(self, event: ScheduledEvent) -> bool:
        """True when the event's slots are elapsed time and not readings of the wall clock."""
        ...

    async def run_action(self, prepared: Prepared, execution: EventExecution) -> object | None:
        """Do one attempt; opens the action type on first use."""
        ...

    def redact(self, value: T) -> T:
        """A result or an error as it may be kept and told: without secrets."""
        ...
