"""Who may run now, and who is next: the host's places and the limits that events share.

A run takes a place of the host and a unit of its event's limit at once, or neither, so nothing
holds the one while it waits for the other. Those that wait are served highest priority first, then
by slot; every step costs O(log n).
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from alicia_scheduler.kernel.run import Run, Stage

__all__ = ["Places", "WaitingRuns"]

COMPACT_BEYOND = 64
"""Left entries in a heap below which clearing them out is not worth the while."""


class WaitingRuns:
    """Runs in the order of their turn. One that leaves stays in the heap until it comes up."""

    def __init__(self) -> None:
        self._heap: list[tuple[tuple[int, float, int], Run]] = []
        self._live: set[Run] = set()

    def __len__(self) -> int:
        return len(self._live)

    def push(self, run: Run) -> None:
        """Add a run that is not in here."""
        self._live.add(run)
        heapq.heappush(self._heap, (run.turn, run))

    def pop(self) -> Run | None:
        """Take out the run whose turn it is; None when there is none."""
        while self._heap:
            _, run = heapq.heappop(self._heap)
            if run in self._live:
                self._live.remove(run)
                return run
        return None

    def discard(self, run: Run) -> None:
        """Take a run out, wherever it stands."""
        self._live.discard(run)
        if len(self._heap) > 2 * len(self._live) + COMPACT_BEYOND:
            self._heap = [(run.turn, run) for run in self._live]
            heapq.heapify(self._heap)


@dataclass
class _Limit:
    """A named limit: units that are free, and who waits for one. Fewer than none are free while
    more run than its capacity, which has been lowered, allows."""

    free: int
    waiting: WaitingRuns = field(default_factory=WaitingRuns)


class Places:
    """The host's places and the named limits.

    A run that waits for a free unit of its limit waits there; when one is given back, the next of
    them joins those that wait for a place. So a full limit costs the others nothing.

    Args:
        places: how many executions may run at once.
        limits: the capacity of each named limit. An event whose limit is none of these has none;
            that the name exists is checked when the event is prepared.
    """

    def __init__(self, places: int, limits: Mapping[str, int]) -> None:
        self.taken = 0
        self._free = places
        self._places = places
        self._limits = {name: _Limit(capacity) for name, capacity in limits.items()}
        self._waiting = WaitingRuns()
        self._closed = False

    def close(self) -> None:
        """Let nobody in any more."""
        self._closed = True

    def resize(self, places: int, limits: Mapping[str, int], active: Collection[Run]) -> list[Run]:
        """Have so many places and these limits from now on. What runs beyond them goes on; a limit
        that is gone holds nobody up any more.

        Args:
            active: the runs that hold a place.

        Returns:
            the runs that became active by it, in the order of their turn.
        """
        self._free = places - self.taken
        for name in self._limits.keys() - limits.keys():
            gone = self._limits.pop(name)
            while run := gone.waiting.pop():
                self._line_up(run)
        held = Counter(run.event.limit for run in active)
        for name, capacity in limits.items():
            limit = self._limits.setdefault(name, _Limit(capacity))
            limit.free = capacity - held[name]
            for _ in range(limit.free):
                if following := limit.waiting.pop():
                    self._line_up(following)
        return self._serve()

    def has_room(self, limit: str | None) -> bool:
        """Whether a run under this limit would get its place at once."""
        named = self._limits.get(limit) if limit is not None else None
        return self._free > 0 and not self._closed and (named is None or named.free > 0)

    def claim(self, run: Run) -> bool:
        """Take what the run needs and make it active, or let it wait for what is missing.

        Returns:
            whether it is active now.
        """
        if self.has_room(run.event.limit):
            self._take(run)
        else:
            self._wait(run)
        return run.active

    def release(self, run: Run) -> list[Run]:
        """Give back what the run holds, or give up its wait.

        Returns:
            the runs that became active by it, in the order of their turn.
        """
        limit = self._limit_of(run)
        if run.stage is Stage.ACTIVE:
            self._free += 1
            self.taken -= 1
            if limit is not None:
                limit.free += 1
        elif run.stage is Stage.LIMIT and limit is not None:
            limit.waiting.discard(run)
        else:
            self._waiting.discard(run)
        # A unit may be free now that nobody is in line for.
        if limit is not None and limit.free > 0 and (following := limit.waiting.pop()):
            self._line_up(following)
        return self._serve()

    def _serve(self) -> list[Run]:
        served: list[Run] = []
        while self._free > 0 and not self._closed and (run := self._waiting.pop()):
            if self.claim(run):
                served.append(run)
        return served

    def _take(self, run: Run) -> None:
        self._free -= 1
        self.taken += 1
        limit = self._limit_of(run)
        if limit is not None:
            limit.free -= 1
        run.stage = Stage.ACTIVE

    def _wait(self, run: Run) -> None:
        limit = self._limit_of(run)
        if limit is not None and limit.free <= 0:
            run.stage = Stage.LIMIT
            limit.waiting.push(run)
        else:
            self._line_up(run)

    def _line_up(self, run: Run) -> None:
        run.stage = Stage.PLACE
        self._waiting.push(run)

    def _limit_of(self, run: Run) -> _Limit | None:
        return self._limits.get(run.event.limit) if run.event.limit is not None else None
