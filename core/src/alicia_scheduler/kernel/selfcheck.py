"""A look now and then whether anything that was due has been overlooked.

Nothing should ever be found. A fault of ours in keeping time would otherwise be silence.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from alicia_scheduler.api.store import Due

if TYPE_CHECKING:
    from alicia_scheduler.kernel.kernel import Kernel

__all__ = ["SelfCheck"]

logger = logging.getLogger(__name__)

OVERLOOKED = 60.0
"""Seconds after which something that was due must be on its way (reliability.md R73)."""

PAGE = 100
"""So many of the earliest entries of the store are compared."""


class SelfCheck:
    """Compares the agenda with the store, at most once a minute and only while awake anyway."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._last = kernel.clock.elapsed()

    async def look(self) -> None:
        """Put what was overlooked on the agenda again, and tell."""
        kernel = self._kernel
        elapsed = kernel.clock.elapsed()
        if elapsed - self._last < OVERLOOKED:
            return
        self._last = elapsed
        if kernel.records.degraded is not None or kernel.gate.holding:
            return
        late = kernel.clock.now() - timedelta(seconds=OVERLOOKED)
        for due in await kernel.store.next_due(after=None, limit=PAGE):
            if due.at > late:
                return
            if not self._accounted_for(due, late):
                message = f"event {due.event_id!r} was overlooked: due at {due.at.isoformat()}"
                logger.error("%s", message)
                kernel.notifier.error(message, event_id=due.event_id, kind="overlooked")
                kernel.agenda.put(due, beyond=True)

    def _accounted_for(self, due: Due, late: datetime) -> bool:
        """True when the entry is on the agenda, runs, waits for a place, or cannot be planned."""
        kernel = self._kernel
        if kernel.agenda.holds(due.execution_id or due.event_id):
            return True
        if due.execution_id is not None:
            return kernel.runner.knows(due.execution_id)
        entry = kernel.catalog.get(due.event_id)
        if entry is None:
            return False
        return entry.prepared is None or entry.state.next_due != due.at
