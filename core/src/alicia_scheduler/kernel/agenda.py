"""What comes next: a heap over a window of the nearest entries, with the store behind it.

The agenda holds every entry up to its *horizon* and none beyond, so its memory follows what is
near and not what exists. When it has run dry it is refilled from the store's index.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from datetime import datetime
from itertools import count

import trio

from alicia_scheduler.api.model import to_epoch
from alicia_scheduler.api.store import Due

__all__ = ["Agenda"]

Place = tuple[float, str, str]
"""Where an entry stands in the store's order: ``(at, event_id, execution_id)``."""


COMPACT_BEYOND = 1000
"""Entries in the heap below which clearing out those that were moved is not worth the while."""


def _place(due: Due) -> Place:
    return (to_epoch(due.at), due.event_id, due.execution_id or "")


def _key(due: Due) -> str:
    return due.execution_id or due.event_id


class Agenda:
    """A heap of (due, sequence) with one entry per event and one per waiting retry.

    Putting an entry again moves it. Moved and discarded entries stay in the heap until they come
    up or are the most of it, told apart by their sequence number, so every change costs O(log n).

    Whoever changes an event commits first and puts afterwards: then a refill that runs meanwhile
    either reads the new entry or sees it put.

    Args:
        window: how many entries one refill asks the store for.
    """

    def __init__(self, window: int = 10_000) -> None:
        self.window = window
        self.changed = trio.Event()
        self._heap: list[tuple[float, int, Due]] = []
        self._live: dict[str, int] = {}
        self._sequence = count()
        self._horizon: Due | None = None
        self._border: Place | None = None
        self._complete = False
        self._touched: set[str] | None = None

    def __len__(self) -> int:
        return len(self._live)

    def put(self, due: Due, *, beyond: bool = False) -> None:
        """Add an entry, or move the one of the same event or execution.

        Args:
            beyond: take it in beyond the horizon too, because the store does not know it.
        """
        key = _key(due)
        if self._touched is not None:
            self._touched.add(key)
        elif not beyond and self._beyond(due):
            self._live.pop(key, None)
            return
        self._push(key, due)
        if self._heap[0][2] is due:
            self._wake()

    def discard(self, key: str) -> None:
        """Forget the entry of an event id or of a waiting execution's id, if there is one."""
        if self._touched is not None:
            self._touched.add(key)
        self._live.pop(key, None)

    def holds(self, key: str) -> bool:
        """True while there is an entry of this event id or waiting execution's id."""
        return key in self._live

    def next_at(self) -> datetime | None:
        """When the earliest entry is due, or None when there is none at all."""
        self._drop_stale()
        return self._heap[0][2].at if self._heap else None

    def nearest(self, limit: int, until: datetime) -> list[Due]:
        """The first ``limit`` entries that are due up to ``until``, earliest first; they stay."""
        last = to_epoch(until)
        live = self._live
        near = (
            item for item in self._heap if item[0] <= last and live.get(_key(item[2])) == item[1]
        )
        return [due for _, _, due in heapq.nsmallest(limit, near)]

    def pop_due(self, now: datetime, limit: int) -> list[Due]:
        """Take out up to ``limit`` entries that are due at ``now``, earliest first."""
        until = to_epoch(now)
        heap, live = self._heap, self._live
        taken: list[Due] = []
        while heap and heap[0][0] <= until and len(taken) < limit:
            _, sequence, due = heapq.heappop(heap)
            key = _key(due)
            if live.get(key) == sequence:
                del live[key]
                taken.append(due)
        return taken

    @property
    def exhausted(self) -> bool:
        """True when the window is used up and the store may hold more."""
        return not self._live and not self._complete

    def begin_refill(self) -> Due | None:
        """Say that a page is being read from the store: the one that follows what is returned.

        Until :meth:`end_refill`, everything that is put is kept and remembered as newer than
        the page, which was read at some instant in between.
        """
        self._touched = set()
        return self._horizon

    def end_refill(self, page: Sequence[Due]) -> None:
        """Take in the page. One shorter than the window is the last."""
        touched = self._touched or set()
        self._touched = None
        for due in page:
            key = _key(due)
            if key not in touched and key not in self._live:
                self._push(key, due)
        self._complete = len(page) < self.window
        if not self._complete:
            self._horizon = page[-1]
            self._border = _place(page[-1])

    def restart(self) -> None:
        """Forget everything; the next look asks the store from the beginning."""
        self._heap.clear()
        self._live.clear()
        self._horizon = self._border = None
        self._complete = False
        self._wake()

    def _push(self, key: str, due: Due) -> None:
        sequence = next(self._sequence)
        self._live[key] = sequence
        heapq.heappush(self._heap, (to_epoch(due.at), sequence, due))
        if len(self._heap) > 2 * len(self._live) + COMPACT_BEYOND:
            self._heap = [item for item in self._heap if self._live.get(_key(item[2])) == item[1]]
            heapq.heapify(self._heap)

    def _beyond(self, due: Due) -> bool:
        if self._complete:
            return False
        return self._border is None or _place(due) > self._border

    def _drop_stale(self) -> None:
        heap, live = self._heap, self._live
        while heap:
            due = heap[0][2]
            if live.get(_key(due)) == heap[0][1]:
                return
            heapq.heappop(heap)

    def _wake(self) -> None:
        self.changed.set()
