"""A store that cannot be written is a state: the schedule goes on from memory meanwhile, and what
could not be written is written as soon as it can be.

Here are the attempts: to write again what waits, to begin a damaged store anew, to go on at the
place that a makeshift store stands in for.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence

import trio

from alicia_scheduler.api.errors import StoreError
from alicia_scheduler.api.store import Change, Store
from alicia_scheduler.kernel.backlog import Backlog
from alicia_scheduler.kernel.clock import Clock
from alicia_scheduler.kernel.notifications import Notifier

__all__ = ["TRY_EVERY", "Mending"]

logger = logging.getLogger(__name__)

TRY_EVERY = 5.0
"""Seconds between two attempts to write to a store that could not be written (R25: 20 s)."""

RETURN_EVERY = 10.0
"""Seconds between two attempts to go on at the place that a makeshift store stands in for."""

CHUNK = 500
"""Changes of the backlog that are written in one transaction."""


class Mending:
    """What is wrong with the store, and what waits until it can be written.

    Args:
        in_hand: everything that a store which is begun anew must hold.

    Attributes:
        backlog: the changes that wait.
        degraded: why the store could not be written last, or None while it can be.
        another: True from when the store became another one until somebody has looked into it.
        mended: set when the store is written again.
    """

    def __init__(
        self, store: Store, notifier: Notifier, clock: Clock, in_hand: Callable[[], list[Change]]
    ) -> None:
        self.backlog = Backlog()
        self.degraded: str | None = None
        self.another = False
        self.mended = trio.Event()
        self._store = store
        self._notifier = notifier
        self._clock = clock
        self._in_hand = in_hand
        self._damaged = False
        self._since = clock.elapsed()
        self._return_at = trio.current_time() + RETURN_EVERY

    def failed(self, doing: str, error: StoreError) -> None:
        """The store could not be written or read: tell it once, and begin to mend it."""
        self._damaged |= error.damaged
        news, self.degraded = self.degraded is None, str(error)
        if news:
            self.mended = trio.Event()
            self._since = self._clock.elapsed()
            logger.error("could not %s the store, going on from memory: %s", doing, error)
            self._notifier.error(
                f"could not {doing} the store, going on from memory: {error}", kind="store"
            )

    @property
    def next_attempt(self) -> float:
        """When, by trio's clock, there is something to try; ``-inf`` for now."""
        if self.degraded is not None:
            return -math.inf
        return self._return_at if self._store.makeshift else math.inf

    async def attempt(self) -> None:
        """Try to put right what is wrong; with no success, wait a little."""
        if self.degraded is not None:
            await self._mend()
        else:
            await self._return()

    async def _mend(self) -> None:
        """Try to read and to write what waits; when that fails, wait for a while."""
        anew = self._damaged
        try:
            if anew:
                await self._begin_anew()
            await self._store.facts()
            await self.write_backlog()
        except StoreError as error:
            self._damaged |= error.damaged
            self.degraded = str(error)
            await trio.sleep(TRY_EVERY)
            return
        self.another |= anew
        seconds = self._clock.elapsed() - self._since
        lost = self.backlog.lost
        given_up = f"; {lost} changes were given up for lack of room" if lost else ""
        self.degraded = None
        self._tell_recovered(f"the store is written again after {seconds:.1f} s{given_up}", seconds)
        self.backlog.lost = 0
        self.mended.set()

    def _tell_recovered(self, message: str, seconds: float) -> None:
        logger.warning("%s", message)
        data = {"message": message, "seconds": seconds, "lost": self.backlog.lost}
        self._notifier.emit("store_recovered", data)

    async def _return(self) -> None:
        """Try to go on at the place that a makeshift store stands in for."""
        self._return_at = trio.current_time() + RETURN_EVERY
        try:
            incident = await self._store.recover()
        except StoreError as error:
            logger.debug("still in memory: %s", error)
            return
        self.another = True
        self._tell_recovered(incident, self._clock.elapsed() - self._since)

    async def _begin_anew(self) -> None:
        incident = await self._store.recover()
        self._damaged = False
        self._notifier.error(incident, kind="store")
        self.backlog.add(self._in_hand())

    async def write_backlog(self) -> None:
        """Write what waits.

        Raises:
            StoreError: the store still cannot be written; what was not written waits on.
        """
        while changes := self.backlog.first(CHUNK):
            try:
                await self._store.commit(changes)
            except StoreError as error:
                if error.transient or error.damaged:
                    raise
                await self.write_singly(changes)
            self.backlog.written(changes)

    async def write_singly(self, changes: Sequence[Change]) -> None:
        """One of the changes is refused for what it holds: leave that one out, and tell.

        Raises:
            StoreError: it is the store's fault after all.
        """
        for change in changes:
            try:
                await self._store.commit([change])
            except StoreError as error:
                if error.transient or error.damaged:
                    raise
                message = f"the store refuses a {type(change).__name__}: {error}"
                logger.error("%s", message)
                self._notifier.error(message, kind="store")
