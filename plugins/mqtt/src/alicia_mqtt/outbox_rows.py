"""The messages of the outbox in memory, and whose turn it is."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from alicia_mqtt.limits import size_of
from alicia_mqtt.outbox_file import StoredRow
from alicia_scheduler.api import AliciaError, MqttOutgoing

__all__ = ["Lanes", "Row"]

OVERHEAD = 200
"""Bytes that a row counts for besides its message."""


@dataclass(slots=True, eq=False)
class Row:
    """One message. Instants are epoch seconds by the host's clock.

    Attributes:
        number: grows by one with each message.
        sends: how many times it was handed to the network.
        losses: how many times the connection was lost right after that.
        waiters: how many calls wait for it; nothing is sent for which nobody waits.
        on_disk: whether the file has it.
        outage: whether it had to wait for the broker to come back.
        under_way: whether it is sent and not acknowledged.
        over: whether it has ended; who waits is told when the disk knows it.
        sent_at: when it was sent last (trio's clock).
        sending: called when it is sent for the first time.
        settled: set when ``error`` says how it ended; None there is acknowledged.
    """

    key: str
    lane: str
    slot: float
    message: MqttOutgoing
    added: float
    expires: float
    number: int
    sends: int = 0
    losses: int = 0
    waiters: int = 0
    on_disk: bool = False
    outage: bool = False
    under_way: bool = False
    over: bool = False
    listed: bool = False
    sent_at: float = 0.0
    error: AliciaError | None = None
    sending: list[Callable[[], object]] = field(default_factory=list)
    settled: trio.Event = field(default_factory=trio.Event)

    @property
    def size(self) -> int:
        """Bytes that it counts for."""
        return OVERHEAD + size_of(self.message)

    @property
    def sendable(self) -> bool:
        """Whether it may be sent: somebody waits, and it is neither under way nor over."""
        return bool(self.waiters) and not self.under_way and not self.over

    def stored(self) -> StoredRow:
        """As the file keeps it."""
        return StoredRow(
            self.key,
            self.number,
            self.lane,
            self.slot,
            self.added,
            self.expires,
            self.sends,
            self.losses,
            self.message,
        )


class Lane:
    """The messages of one event that may be sent, by slot; one at a time is under way."""

    __slots__ = ("busy", "rows")

    def __init__(self) -> None:
        self.busy = False
        self.rows: list[tuple[float, int, Row]] = []

    def head(self) -> Row | None:
        """The first that may be sent."""
        while self.rows:
            row = self.rows[0][2]
            if row.sendable:
                return row
            heapq.heappop(self.rows)
            row.listed = False
        return None


class Lanes:
    """All lanes, each with its turn in order of arrival."""

    def __init__(self) -> None:
        self._lanes: dict[str, Lane] = {}
        # Both are ordered sets: a lane leaves from anywhere in them.
        self._turns: dict[str, None] = {}
        self._held: dict[str, None] = {}

    @property
    def holding(self) -> bool:
        """Whether a lane was passed over by :meth:`hold`."""
        return bool(self._held)

    def add(self, row: Row) -> None:
        """Let a row take part."""
        lane = self._lanes.setdefault(row.lane, Lane())
        if not row.listed:
            row.listed = True
            heapq.heappush(lane.rows, (row.slot, row.number, row))
        self._queue(row.lane, lane)

    def next(self) -> Row | None:
        """The row whose turn it is. It is :meth:`taken` or its lane is put on :meth:`hold`."""
        while self._turns:
            name = next(iter(self._turns))
            row = self._lanes[name].head()
            if row is not None:
                return row
            del self._turns[name]
            del self._lanes[name]
        return None

    def head(self, name: str) -> Row | None:
        """The first row of a lane that may be sent, whosever turn it is."""
        lane = self._lanes.get(name)
        return None if lane is None or lane.busy else lane.head()

    def hold(self, name: str) -> None:
        """Pass over a lane until :meth:`let_go`."""
        del self._turns[name]
        self._held[name] = None

    def let_go(self) -> None:
        """Give the lanes on hold their turn, before the others."""
        self._turns, self._held = {**self._held, **self._turns}, {}

    def taken(self, row: Row) -> None:
        """The row is under way: its lane waits for it."""
        self._lanes[row.lane].busy = True
        self._turns.pop(row.lane, None)
        self._held.pop(row.lane, None)

    def free(self, name: str) -> None:
        """What was under way in a lane no longer is."""
        lane = self._lanes.setdefault(name, Lane())
        lane.busy = False
        self._queue(name, lane)

    def _queue(self, name: str, lane: Lane) -> None:
        if not lane.busy and name not in self._held:
            self._turns.setdefault(name)
