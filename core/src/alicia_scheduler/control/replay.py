"""The last notifications, kept once for everybody who subscribes.

A subscription is a place in this log: it costs the same whether its reader is quick or slow. What
no reader waits for goes beyond a configured number; what a reader still waits for stays a while
longer, up to a bound. A reader that is behind even that has been overtaken and is told so.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import trio

from alicia_scheduler.api.model import Notification, to_wire
from alicia_scheduler.control.messages import event_message, text_frame

__all__ = ["Kept", "Reader", "ReplayLog"]

logger = logging.getLogger(__name__)

BACKLOG_LIMIT = 8192
"""Notifications that are kept at the most for readers that have not taken them yet."""

BACKLOG_SIZE = 4 * 1024 * 1024
"""Bytes of all that is kept, at the most, unless more are wanted for replay."""

OVERHEAD = 256
"""Bytes that a notification takes beside its text."""

FRAMES = 512
"""Frames that are kept for the other subscribers who take the same notifications."""

USUAL_SIZE = 1024
"""Bytes of a notification, by which the room for those that are wanted for replay is reckoned."""

SPARE = 256
"""So many more than wanted are kept before the oldest go, so that not every one makes work."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One notification.

    Attributes:
        sequence: its number.
        event_type: what it is about.
        event_id: the event it is about, or None.
        tags: that event's tags when it was told.
        wire: the notification in its wire form, as JSON.
    """

    sequence: int
    event_type: str
    event_id: str | None
    tags: frozenset[str]
    wire: str


class Reader:
    """Somebody's place in the log.

    Attributes:
        position: of what it takes next.
        overtaken: set when that is no longer kept.
    """

    def __init__(self, position: int, overtaken: trio.Event) -> None:
        self.position = position
        self.overtaken = overtaken


class ReplayLog:
    """The last notifications by position: whole numbers without a hole.

    Args:
        replay: so many are kept for who comes later.
        tags_of: the tags of an event.
        last: number of the newest notification before this log began.

    Attributes:
        first: the position of the oldest notification that is kept.
        end: the position of the next notification.
        forgotten: the number of the newest notification that is not kept.
        last: the number of the newest notification.
    """

    def __init__(
        self, replay: int, tags_of: Callable[[str], frozenset[str]], last: int = 0
    ) -> None:
        self.first = 0
        self.end = 0
        self.forgotten = last
        self.last = last
        self._replay = replay
        self._limit = max(BACKLOG_LIMIT, replay)
        self._room = max(BACKLOG_SIZE, replay * USUAL_SIZE)
        self._tags_of = tags_of
        self._kept: dict[int, Kept] = {}
        self._size = 0
        self._readers: set[Reader] = set()
        self._sleepers: set[trio.Event] = set()
        self._frames: dict[tuple[int, int], bytes] = {}

    def append(self, notification: Notification) -> None:
        """Keep a notification; listens to the kernel's."""
        kept = self._made(notification)
        if not self._kept:
            self.forgotten = kept.sequence - 1
        self._kept[self.end] = kept
        self._size += len(kept.wire) + OVERHEAD
        self.end += 1
        self.last = kept.sequence
        while len(self._kept) > self._limit or self._size > self._room:
            self._forget_first()
        if not self._readers:
            self._frames.clear()
        if len(self._kept) > self._replay + SPARE:
            wanted = min((reader.position for reader in self._readers), default=self.end)
            while len(self._kept) > self._replay and self.first < wanted:
                self._forget_first()
        while self._sleepers:
            self._sleepers.pop().set()

    def get(self, position: int) -> Kept | None:
        """What is kept at a position, if it is."""
        return self._kept.get(position)

    def frame(self, position: int, subscription: int) -> bytes:
        """What is kept at a position, as the message that all get whose subscription has this
        number: made once for those that are about equally far."""
        frame = self._frames.get((position, subscription))
        if frame is None:
            frame = text_frame(event_message(subscription, self._kept[position].wire))
            if len(self._frames) >= FRAMES:
                del self._frames[next(iter(self._frames))]
            self._frames[position, subscription] = frame
        return frame

    def position_after(self, sequence: int) -> int:
        """The position of the first that is kept with a greater number."""
        low, high = self.first, self.end
        while low < high:
            middle = (low + high) // 2
            if self._kept[middle].sequence > sequence:
                high = middle
            else:
                low = middle + 1
        return low

    def add(self, reader: Reader) -> None:
        """From now on keep what this reader has not taken."""
        self._readers.add(reader)

    def remove(self, reader: Reader) -> None:
        """This reader takes nothing more."""
        self._readers.discard(reader)

    async def wait(self, wake: trio.Event) -> None:
        """Wait until ``wake`` is set; the next notification sets it."""
        self._sleepers.add(wake)
        try:
            await wake.wait()
        finally:
            self._sleepers.discard(wake)

    def _forget_first(self) -> None:
        kept = self._kept.pop(self.first)
        self.first += 1
        self._size -= len(kept.wire) + OVERHEAD
        self.forgotten = kept.sequence
        for reader in self._readers:
            if reader.position < self.first:
                reader.overtaken.set()

    def _made(self, notification: Notification) -> Kept:
        event_id = notification.event_data.get("event_id")
        tags = notification.event_data.get("tags")
        if isinstance(tags, (list, tuple)):
            known = frozenset(tags)
        else:
            known = self._tags_of(event_id) if isinstance(event_id, str) else frozenset()
        try:
            wire = msgspec.json.encode(to_wire(notification)).decode()
        except (TypeError, ValueError, RecursionError):
            # Nobody's listener may fail, and no plugin's odd result may hide that there was one.
            logger.exception("a notification %s has no wire form", notification.event_type)
            plain = msgspec.structs.replace(notification, event_data={"event_id": str(event_id)})
            wire = msgspec.json.encode(to_wire(plain)).decode()
        return Kept(
            sequence=notification.sequence,
            event_type=notification.event_type,
            event_id=event_id if isinstance(event_id, str) else None,
            tags=known,
            wire=wire,
        )
