"""The one way by which what the kernel decided becomes durable, and then known.

Each commit carries the number of the last notification that tells of it, so numbers have no holes
and no doubles, not even after a crash. When the store cannot be written the schedule goes on from
memory, and :mod:`.mending` sees to the store.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import msgspec
import trio

from alicia_scheduler.api.errors import StoreError
from alicia_scheduler.api.model import Notification
from alicia_scheduler.api.store import (
    FORMER,
    Change,
    SaveFact,
    SaveNotification,
    SlotTaken,
    Store,
)
from alicia_scheduler.kernel.clock import Clock
from alicia_scheduler.kernel.mending import TRY_EVERY, Mending
from alicia_scheduler.kernel.notifications import Notifier, Told

__all__ = ["SEQUENCE", "Records", "Starts"]

T = TypeVar("T")

logger = logging.getLogger(__name__)

SEQUENCE = "sequence"
"""Name of the fact that holds the number of the last notification."""

STARTS = "starts"
"""Name of the fact that holds :class:`Starts`."""

OUTPUT = "execution_output"
"""Live lines of an action are for whoever looks on; they are never kept (flash wears out)."""

TRIES = 3
"""So often something is tried that reads the store, at start."""

UNSAVED_LIMIT = 10_000
"""Notifications without a change that wait for their number to be saved; beyond it they are
delivered at once."""


class Starts(msgspec.Struct, frozen=True):
    """What the store knows of the runs of its host.

    Attributes:
        count: how often it has started.
        unclean: how often it had not stopped in order before.
        running: True from a start until an orderly stop.
    """

    count: int = 0
    unclean: int = 0
    running: bool = False


class Records:
    """Commits changes and delivers the notifications about them. Made by :meth:`running`.

    Attributes:
        in_hand: gives everything that a store which is begun anew must hold; the kernel sets it.
        begun_anew: awaited after the store became another one (a damaged one was begun anew, a
            makeshift one went on at its place), for whoever must look into it or can bring back
            more.
        unclean: True when the run of the host before this one was cut short.
        journal: True when every notification is kept in the store, because a sink must not miss
            one.
        starts: how often a host has started on this store, and how often it had not stopped
            in order before; this start included.
        mending: what waits while the store cannot be written, and how it comes to be again.
    """

    def __init__(
        self,
        store: Store,
        notifier: Notifier,
        clock: Clock,
    ) -> None:
        self.store = store
        self.notifier = notifier
        self.in_hand: Callable[[], list[Change]] = list
        self.begun_anew: Callable[[], Awaitable[object]] | None = None
        self.journal = False
        self.unclean = False
        self.starts = Starts()
        self.mending = Mending(store, notifier, clock, self._all_in_hand)
        self._unsaved: deque[Notification] = deque()
        self._highest = 0
        self._work = trio.Event()

    @classmethod
    @asynccontextmanager
    async def running(
        cls, store: Store, notifier: Notifier, clock: Clock, *, journal: bool = False
    ) -> AsyncIterator[Records]:
        """Go on with the numbers of an earlier run; until the block ends, save what is emitted
        and mend the store when it cannot be written. What then still waits gets a last try.

        Args:
            store: open and exclusively ours.
            journal: keep every notification in the store, because a sink must not miss one.
        """
        records = cls(store, notifier, clock)
        records.journal = journal
        await records._begin()
        async with trio.open_nursery() as nursery:
            notifier.keep_with(records._save_later)
            nursery.start_soon(records._work_off, name="records")
            try:
                yield records
            finally:
                notifier.keep_with(None)
            nursery.cancel_scope.cancel()
        # Only after an orderly end; one that was cut short is what recovery is for.
        await records._finish()

    async def _begin(self) -> None:
        try:
            facts = await self.store.facts()
        except StoreError as error:
            self.failed("read from", error)
            return
        numbers = (facts.get(name, 0) for name in (SEQUENCE, FORMER + SEQUENCE))
        self.notifier.resume(max(map(int, numbers)))
        known = msgspec.convert(facts.get(STARTS, {}), Starts)
        self.unclean = known.running
        await self.keep([self._counted_on(known)])

    def _counted_on(self, known: Starts) -> SaveFact:
        """Count this start behind those that the store knows."""
        self.starts = Starts(known.count + 1, known.unclean + known.running, running=True)
        return SaveFact(STARTS, msgspec.to_builtins(self.starts))

    def _all_in_hand(self) -> list[Change]:
        starts = SaveFact(STARTS, msgspec.to_builtins(self.starts))
        return [*self.in_hand(), starts, SaveFact(SEQUENCE, self.notifier.last)]

    @property
    def degraded(self) -> str | None:
        """Why the store could not be written last, or None while it can be."""
        return self.mending.degraded

    @property
    def waiting(self) -> int:
        """How many changes wait in memory because the store cannot be written."""
        return len(self.mending.backlog)

    @property
    def lost(self) -> int:
        """How many changes were given up because too many waited."""
        return self.mending.backlog.lost

    def holds(self, event_id: str) -> bool:
        """True while the store knows an older state of this event than the kernel."""
        return self.mending.backlog.holds(event_id)

    def removed(self, event_id: str) -> bool:
        """True while the store has an event that was removed."""
        return self.mending.backlog.holds_removal(event_id)

    def unwritten_events(self) -> set[str]:
        """The ids of the events whose definition the store does not have, or an older one."""
        return self.mending.backlog.events()

    async def keep(
        self, changes: Sequence[Change], told: Sequence[Told] = (), first: int | None = None
    ) -> bool:
        """Make ``changes`` durable, then let listeners hear what is ``told`` about them.

        Nothing interrupts it: a change that was decided is carried through.

        Args:
            first: the first of the numbers that were reserved for ``told``, if they were.

        Returns:
            False when the changes are only in memory, because nothing can be written.

        Raises:
            SlotTaken: a slot would have run twice; nothing was changed. With ``first`` nothing
                was told either, and what is told instead must use the same numbers.
        """
        reserved = first is not None
        if first is None:
            first = self.notifier.reserve(len(told))
        numbered = self.notifier.numbered(told, first)
        with trio.CancelScope(shield=True):
            try:
                durable = await self._write([*changes, *self._numbers(numbered)])
            except SlotTaken:
                if not reserved:
                    # Whoever listens waits for these numbers before all that follow.
                    await self._write(self._numbers(numbered))
                    self.notifier.deliver(numbered)
                raise
        self.notifier.deliver(numbered)
        return durable

    def failed(self, doing: str, error: StoreError) -> None:
        """The store could not be written or read: tell it once, and begin to mend it."""
        self.mending.failed(doing, error)
        self._work.set()

    async def insist(self, reading: Callable[[], Awaitable[T]]) -> T | None:
        """Do something that reads the store. When the store turns out to be damaged or cannot be
        read, wait until it was mended and do it again; None when that does not help."""
        for _ in range(TRIES):
            try:
                return await reading()
            except StoreError as error:
                self.failed("read from", error)
                with trio.move_on_after(TRY_EVERY):
                    await self.mending.mended.wait()
        return None

    async def _work_off(self) -> None:
        """Save the numbers of what was emitted, and mend a store that cannot be written."""
        mending = self.mending
        while True:
            if trio.current_time() >= mending.next_attempt:
                await mending.attempt()
            elif mending.another:
                await self._look_anew()
            elif self._unsaved:
                await self._save_numbers()
            else:
                self._work = trio.Event()
                with trio.move_on_at(mending.next_attempt):
                    await self._work.wait()

    async def _look_anew(self) -> None:
        """The store is another one than the kernel knows: take over what only that one holds."""
        try:
            await self._go_on_from_former(await self.store.facts())
            if self.begun_anew is not None:
                await self.begun_anew()
        except StoreError as error:
            self.failed("read from", error)
        else:
            self.mending.another = False

    async def _write(self, wanted: list[Change]) -> bool:
        if self.degraded is None:
            try:
                await self._commit(wanted)
            except SlotTaken:
                raise
            except StoreError as error:
                self.failed("write to", error)
            else:
                return not self.store.makeshift
        self.mending.backlog.add(wanted)
        return False

    async def _commit(self, wanted: list[Change]) -> None:
        if not wanted:
            return
        try:
            await self.store.commit(wanted)
        except SlotTaken:
            raise
        except StoreError as error:
            if error.transient or error.damaged:
                raise
            await self.mending.write_singly(wanted)

    def _numbers(self, numbered: Sequence[Notification]) -> list[Change]:
        if not numbered:
            return []
        # What is emitted gets its number before, and may be saved after, what is decided meanwhile.
        self._highest = max(self._highest, numbered[-1].sequence)
        changes: list[Change] = [SaveFact(SEQUENCE, self._highest)]
        if self.journal:
            changes += [SaveNotification(item) for item in numbered if item.event_type != OUTPUT]
        return changes

    def _save_later(self, notification: Notification) -> None:
        if self.degraded is not None:
            self.mending.backlog.add(self._numbers([notification]))
            self.notifier.deliver([notification])
        elif len(self._unsaved) >= UNSAVED_LIMIT:
            self.notifier.deliver([notification])
        else:
            self._unsaved.append(notification)
            self._work.set()

    async def _save_numbers(self) -> None:
        notifications = [*self._unsaved]
        self._unsaved.clear()
        with trio.CancelScope(shield=True):
            await self._write(self._numbers(notifications))
        self.notifier.deliver(notifications)

    async def _go_on_from_former(self, facts: dict[str, Any]) -> None:
        """Count on from what a store knew that could not be read when the host started."""
        self.notifier.resume(int(facts.get(FORMER + SEQUENCE, 0)))
        if former := facts.get(FORMER + STARTS):
            counted = self._counted_on(msgspec.convert(former, Starts))
            await self.keep([counted, SaveFact(FORMER + STARTS, None)])

    async def _finish(self) -> None:
        """One last attempt to write what waits, when the kernel has stopped."""
        if self.store.makeshift and self.degraded is None:
            with suppress(StoreError):
                await self.store.recover()
        ended = msgspec.structs.replace(self.starts, running=False)
        stopped = SaveFact(STARTS, msgspec.to_builtins(ended))
        notifications = [*self._unsaved]
        self._unsaved.clear()
        if self.degraded is None:
            await self._write([*self._numbers(notifications), stopped])
        else:
            self.mending.backlog.add([*self._numbers(notifications), stopped])
            try:
                await self.mending.write_backlog()
            except StoreError as error:
                logger.error(
                    "%d changes could not be written: %s", len(self.mending.backlog), error
                )
        self.notifier.deliver(notifications)
