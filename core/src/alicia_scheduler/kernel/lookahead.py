"""Taking in hand what comes next while nothing is due, so that it starts without a look into the
store: one wait less between the instant of a slot and its action."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from alicia_scheduler.kernel.agenda import Agenda
from alicia_scheduler.kernel.catalog import Catalog

__all__ = ["LookAhead"]

AHEAD = 500
"""Events that are taken in hand at once at the most."""

WITHIN = timedelta(seconds=10)
"""So long after the next one they may be due: what is far away stays in the store."""


class LookAhead:
    """Loads the nearest events of the agenda, as many at once as make it cheap."""

    def __init__(self, agenda: Agenda, catalog: Catalog) -> None:
        self._agenda = agenda
        self._catalog = catalog
        self._until = datetime.min.replace(tzinfo=UTC)

    async def prepare(self) -> None:
        """Take in hand what comes next, unless that was done before.

        Raises:
            StoreError: the store cannot be read.
        """
        following = self._agenda.next_at()
        if following is None or following <= self._until:
            return
        near = self._agenda.nearest(AHEAD, following + WITHIN)
        await self._catalog.load({due.event_id for due in near})
        self._until = max(due.at for due in near)
