"""Handing items from one thread to another in batches."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Handover"]

T = TypeVar("T")


class Handover(Generic[T]):
    """A one-way street between the loops of two threads.

    Waking the other loop costs a system call, many times the work on one item. So an item wakes
    it only when no wake-up is under way yet; under load one wake-up carries hundreds.

    Args:
        wake: schedules a function in the receiving loop, from any thread.
        receive: takes one item, in the receiving loop.
        limit: most items under way; beyond it the oldest is dropped and counted. None when
            the sender bounds them itself.
    """

    def __init__(
        self,
        wake: Callable[[Callable[[], None]], object],
        receive: Callable[[T], None],
        *,
        limit: int | None = None,
    ) -> None:
        self.dropped = 0
        self._wake = wake
        self._receive = receive
        self._items: deque[T] = deque()
        self._limit = limit
        self._woken = False

    def post(self, item: T) -> None:
        """Hand ``item`` over. For the sending thread alone; never waits."""
        if self._limit is not None and len(self._items) >= self._limit:
            self._items.popleft()
            self.dropped += 1
        self._items.append(item)
        if not self._woken:
            self._woken = True
            self._wake(self._deliver)

    def _deliver(self) -> None:
        # First the flag, then the items: an item posted between the two is either seen below or
        # wakes again. The other way round it could be forgotten.
        self._woken = False
        for _ in range(len(self._items)):
            try:
                item = self._items.popleft()
            except IndexError:  # the sender dropped one meanwhile
                return
            self._receive(item)
