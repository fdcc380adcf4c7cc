"""The last step before an action runs: its templates are rendered and its secrets fetched."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar
from zoneinfo import ZoneInfo

from alicia_scheduler.api.errors import Permanent, Retryable, StoreError
from alicia_scheduler.api.model import EventExecution, ScheduledEvent, Status
from alicia_scheduler.host.recipes import Path, Recipe
from alicia_scheduler.host.secrets.vault import Secrets
from alicia_scheduler.host.templates.names import names_for

__all__ = ["FinishedLater", "Finishing", "History"]

T = TypeVar("T")

LOOK_BACK = 100
"""Completed executions that are looked at for the one of the slot before."""


@dataclass(frozen=True)
class FinishedLater:
    """What stands for the configuration of an action until it runs."""

    recipe: Recipe
    event: ScheduledEvent
    zone: ZoneInfo


class History(Protocol):
    """Where completed executions are looked up: a store, or its reader's answers."""

    def list_executions(
        self, *, event_id: str, statuses: list[Status], limit: int
    ) -> Awaitable[list[EventExecution]]:
        """The newest executions first."""
        ...

    def execution(self, execution_id: str) -> Awaitable[EventExecution | None]:
        """One execution, or None."""
        ...


class Finishing:
    """Finishes configurations.

    Args:
        secrets: those of the host.
        history: None where there is none yet; then no event has a last result.
        now: the kernel's clock.
    """

    def __init__(
        self, secrets: Secrets, history: History | None, now: Callable[[], datetime]
    ) -> None:
        self.secrets = secrets
        self._history = history
        self._now = now

    def redact(self, value: T) -> T:
        """``value`` without the secrets that were read so far."""
        redacted: T = self.secrets.redactor.data(value)
        return redacted

    async def config(self, later: FinishedLater, execution: EventExecution) -> Any:
        """The configuration for one attempt.

        Raises:
            Retryable, Permanent: a template failed, a secret is missing, or what came of them is
                refused.
        """
        rendered = await self.rendered(later, execution)
        return later.recipe.finished(rendered, await later.recipe.fetched(self.secrets))

    async def masked(
        self, later: FinishedLater, execution: EventExecution
    ) -> tuple[dict[str, Any], Any]:
        """The options for one attempt, and the configuration they make, both with secrets masked.
        The configuration is None where it cannot be without the secrets.

        Raises:
            Retryable, Permanent: as :meth:`config`, with the real secrets.
        """
        recipe = later.recipe
        rendered = await self.rendered(later, execution)
        recipe.finished(rendered, await recipe.fetched(self.secrets))
        try:
            config = recipe.masked(rendered)
        except (Retryable, Permanent):
            config = None
        return recipe.shown(rendered), config

    async def rendered(self, later: FinishedLater, execution: EventExecution) -> dict[Path, Any]:
        """What the templates make for one attempt, by place.

        Raises:
            Retryable, Permanent: one failed, or what it names cannot be read at the moment.
        """
        recipe = later.recipe
        completed = previous = parent = None
        try:
            if self._history is not None and recipe.names & {"last_result", "window"}:
                completed, previous = await _before(self._history, execution)
            if self._history is not None and execution.parent_id and "parent" in recipe.names:
                parent = await self._history.execution(execution.parent_id)
        except StoreError as error:
            raise Retryable(f"what came before cannot be read: {error}") from error
        names = names_for(
            later.event,
            execution,
            zone=later.zone,
            now=self._now,
            completed=completed,
            previous=previous,
            parent=parent,
        )
        return recipe.rendered(names)


async def _before(
    history: History, execution: EventExecution
) -> tuple[EventExecution | None, EventExecution | None]:
    """The newest execution that completed, and the newest of an earlier slot."""
    found = await history.list_executions(
        event_id=execution.event_id, statuses=[Status.COMPLETED], limit=LOOK_BACK
    )
    slot = execution.scheduled_time
    return (
        max(found, key=lambda run: run.end_time or run.scheduled_time, default=None),
        next((run for run in found if run.scheduled_time < slot), None),
    )
