"""The Store contract: what keeps events and executions, and what the kernel asks of it.

A store is told *changes*; one :meth:`Store.commit` is one transaction, durable when it returns.
It answers reads from what was committed. The embedded SQLite store implements this, and a
server-backed one would: nothing outside ``store/`` knows more than what is written here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import msgspec

from alicia_scheduler.api.errors import StoreError
from alicia_scheduler.api.model import (
    EventExecution,
    EventRecord,
    EventState,
    Notification,
    ScheduledEvent,
    Status,
)

__all__ = [
    "Change",
    "Damaged",
    "DropNotifications",
    "Due",
    "FORMER",
    "ExecutionPlace",
    "RemoveEvent",
    "SaveEvent",
    "SaveExecution",
    "SaveFact",
    "SaveNotification",
    "SaveState",
    "SlotTaken",
    "Store",
    "StoreContext",
]


FORMER = "former "
"""Before the name of a fact: what a store knew that could not be read at first. See
:meth:`Store.recover`."""


class SaveEvent(msgspec.Struct, frozen=True, gc=False):
    """Insert a definition with its state, or replace both."""

    event: ScheduledEvent
    state: EventState


class SaveState(msgspec.Struct, frozen=True, gc=False):
    """Replace the state of an event; the definition stays. No effect when the event is gone."""

    event_id: str
    state: EventState


class RemoveEvent(msgspec.Struct, frozen=True, gc=False):
    """Delete a definition and its state; its executions stay as history."""

    event_id: str


class SaveExecution(msgspec.Struct, frozen=True, gc=False):
    """Insert an execution, or replace the one with the same id.

    An execution keeps its event and its slot for life. Of the executions with the trigger
    ``schedule`` or ``catchup``, an event has one for a slot: another one is refused with
    :class:`SlotTaken`, until the event is removed.
    """

    execution: EventExecution


class SaveFact(msgspec.Struct, frozen=True):
    """Remember one of the few things a host knows about itself, or replace it.

    Attributes:
        name: what it is about, e.g. ``sequence``.
        value: anything that JSON can hold.
    """

    name: str
    value: Any


class SaveNotification(msgspec.Struct, frozen=True, gc=False):
    """Keep a notification until every sink that must not miss it has written it.

    Kept in the same transaction as what it tells of, it can neither get lost nor be invented.
    """

    notification: Notification


class DropNotifications(msgspec.Struct, frozen=True):
    """Forget the kept notifications up to a sequence number, itself included."""

    up_to: int


Change = (
    SaveEvent
    | SaveState
    | RemoveEvent
    | SaveExecution
    | SaveFact
    | SaveNotification
    | DropNotifications
)


class Due(msgspec.Struct, frozen=True, gc=False):
    """An entry of the index of what comes next.

    It is the next slot of an event (``at`` is its state's ``next_due``), or, when
    ``execution_id`` is set, the next attempt of an execution that waits for its retry.
    """

    at: datetime
    event_id: str
    execution_id: str | None = None


class ExecutionPlace(msgspec.Struct, frozen=True):
    """A place in a listing of executions: that of the last one of a page."""

    scheduled_time: datetime
    execution_id: str


class Damaged(msgspec.Struct, frozen=True):
    """A stored row that cannot be read. It stays in the store and is left out of every answer.

    Attributes:
        kind: ``event``, ``execution``, ``due`` or ``fact``.
        identifier: the id of the event or execution, or the name, as far as it can be read.
        problem: what is wrong with it.
    """

    kind: str
    identifier: str
    problem: str


class SlotTaken(StoreError):
    """A commit would have run a slot a second time; the last line of defence against doubling.

    Attributes:
        execution_id: the execution that was refused.
        event_id: its event.
        scheduled_time: the slot, which has an execution already.
    """

    def __init__(self, execution_id: str, event_id: str, scheduled_time: datetime) -> None:
        super().__init__(
            f"event {event_id} has an execution for {scheduled_time.isoformat()} already; "
            f"{execution_id} would be a second one"
        )
        self.execution_id = execution_id
        self.event_id = event_id
        self.scheduled_time = scheduled_time


class StoreContext(Protocol):
    """What :attr:`StoreType.open` is given."""

    @property
    def state_dir(self) -> Path:
        """Directory of the host's state, existing and locked by this host."""
        ...


class Store(Protocol):
    """Keeps events and executions. See the module's text for the rules.

    Attributes:
        incidents: what happened to the store itself since it was opened, in plain sentences: it
            was damaged and moved aside, it was gone, it cannot be written.
    """

    incidents: list[str]

    @property
    def durable(self) -> bool:
        """False when what is committed ends with the process."""
        ...

    @property
    def makeshift(self) -> bool:
        """True while the store is in memory only because its place cannot be written. Then
        :meth:`recover` tries to go on there."""
        ...

    async def commit(self, changes: Sequence[Change]) -> None:
        """Apply ``changes`` in order, all or none, and return when they are durable.

        Calls that wait at the same time may share one transaction.

        Cancellation either withdraws ``changes`` wholly, or comes too late and lets them be
        committed: when ``Cancelled`` leaves this method, nothing of them was applied.

        Raises:
            SlotTaken: a slot would have run twice; nothing of ``changes`` was applied.
            StoreError: any other reason; nothing of ``changes`` was applied. When it is
                ``transient``, the store stays usable and a later commit can work.
        """
        ...

    async def next_due(self, *, after: Due | None, limit: int) -> list[Due]:
        """The earliest entries of enabled events and waiting retries, in order of
        ``(at, event_id, execution_id)``; with ``after``, those that follow it."""
        ...

    async def records(self, event_ids: Iterable[str]) -> dict[str, EventRecord]:
        """The events with these ids; unknown ids are left out."""
        ...

    async def list_events(
        self, *, after_id: str | None = None, limit: int = 1000, origin: str | None = None
    ) -> list[EventRecord]:
        """A page of events in order of id, beginning behind ``after_id``."""
        ...

    async def execution(self, execution_id: str) -> EventExecution | None:
        """One execution, or None."""
        ...

    async def list_executions(
        self,
        *,
        event_id: str | None = None,
        statuses: Iterable[Status] | None = None,
        after: ExecutionPlace | None = None,
        limit: int = 100,
    ) -> list[EventExecution]:
        """The newest executions first (by slot, then by insertion); with ``after``, those that
        follow it in this order."""
        ...

    async def unfinished(self) -> list[EventExecution]:
        """Every execution that is pending or running, oldest slot first."""
        ...

    async def facts(self) -> dict[str, Any]:
        """Everything that :class:`SaveFact` remembered, by name."""
        ...

    async def notifications(self, *, after: int, limit: int) -> list[Notification]:
        """The kept notifications with a sequence number beyond ``after``, in its order."""
        ...

    async def excess_notifications(self, *, count: int, size: int) -> int:
        """The sequence number up to which kept notifications must go so that at most ``count``
        of them with at most ``size`` bytes of JSON stay; 0 when none must."""
        ...

    async def trim(
        self,
        *,
        older_than: datetime | None = None,
        per_event: int | None = None,
        keep_per_status: int = 1,
        size_limit: int | None = None,
        limit: int = 500,
    ) -> int:
        """Delete a bite of the history. Call it again, with pauses, until it returns 0.

        A call goes on where the last one stopped, unless the rules are others (``older_than`` may
        move on with time). Nobody waits for it, and freed space is given back at the end.

        Args:
            older_than: executions whose slot is before this instant may go.
            per_event: so many executions of each event stay, the newest; older ones may go.
            keep_per_status: of each final status of each event, the newest so many stay in any
                case, so that rare errors outlive frequent successes. With 0, a slot that is
                trimmed no longer counts as run.
            size_limit: the size of the store in bytes beyond which the oldest executions go.
            limit: how many executions this call deletes at most.

        Returns:
            How many it deleted; 0 at the end of a walk over the whole history, which begins anew
            with the next call. Unfinished executions always stay.

        Raises:
            StoreError: nothing was deleted.
        """
        ...

    async def recover(self) -> str:
        """Mend the store, and say in one sentence how. The sentence joins :attr:`incidents`.

        - While it is :attr:`makeshift`: go on at its place, which has everything afterwards that
          was kept in memory. Executions whose slot the place knows to have run are left out, and
          facts that memory did not begin with stay as the place has them.
        - Otherwise, for a :class:`StoreError` that is ``damaged``: put what is stored aside and
          begin an empty store.

        Only one call at a time.

        Raises:
            StoreError: that cannot be done either; all is as before, and it can be tried again.
        """
        ...

    async def damaged(self) -> list[Damaged]:
        """The rows that the reads so far had to leave out, so that somebody can be told."""
        ...
