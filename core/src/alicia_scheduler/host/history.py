"""Keeping the history short: what is too old, too many or too large goes, in small bites.

Nothing wakes up for it: a walk begins when enough executions have ended since the last one, or
when one ends and the last walk was a day ago.
"""

from __future__ import annotations

import logging
from datetime import timedelta

import trio

from alicia_scheduler.api.errors import StoreError
from alicia_scheduler.api.model import Notification
from alicia_scheduler.api.store import Store
from alicia_scheduler.config.settings import HistorySettings
from alicia_scheduler.kernel.clock import Clock

__all__ = ["HistoryKeeper"]

logger = logging.getLogger(__name__)

WALK_AFTER = 500
"""Executions that end between two walks at the most."""

DAY = 86_400.0

PAUSE = 0.1
"""Seconds between two bites, in which others use the store (R26: a bite is 500 rows, 50 ms)."""


class HistoryKeeper:
    """Trims the history of one host.

    Attributes:
        trimmed: executions deleted so far.
        settings: as given; others count from the next walk on.
    """

    def __init__(self, store: Store, clock: Clock, settings: HistorySettings) -> None:
        self.trimmed = 0
        self._store = store
        self._clock = clock
        self.settings = settings
        self._ended = 0
        self._walked = clock.elapsed()
        self._enough = trio.Event()
        self._enough.set()

    def listen(self, notification: Notification) -> None:
        """Count what ends."""
        if "end_time" not in notification.event_data:
            return
        self._ended += 1
        if self._ended >= WALK_AFTER or self._clock.elapsed() - self._walked >= DAY:
            self._enough.set()

    async def run(self) -> None:
        """Walk over the history at start and whenever enough has ended, until cancelled."""
        while True:
            await self._enough.wait()
            self._enough = trio.Event()
            self._ended = 0
            self._walked = self._clock.elapsed()
            try:
                await self._walk()
            except StoreError as error:
                logger.warning("the history could not be trimmed: %s", error)

    async def _walk(self) -> None:
        settings = self.settings
        while deleted := await self._store.trim(
            older_than=self._clock.now() - timedelta(seconds=settings.max_age)
            if settings.max_age
            else None,
            per_event=settings.per_event or None,
            keep_per_status=settings.keep_per_status,
            size_limit=settings.max_size or None,
        ):
            self.trimmed += deleted
            await trio.sleep(PAUSE)
