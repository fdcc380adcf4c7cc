"""The outbox: messages that wait for the broker's acknowledgement, whenever that comes.

While the broker answers, messages pass through memory alone: a host that dies runs their
executions again anyway. When it goes, what waits is written to disk, and is there again after a
crash, for the repetitions of those executions to take up instead of publishing twice.

The rules: one message of a lane at a time, by slot; lanes in order of arrival; nothing for which
nobody waits; nothing later than its window. A message that was under way at two prompt losses of
the connection, at the last of them alone, is parked (reliability.md R45).
"""

from __future__ import annotations

import logging
import math
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime

import trio
from msgspec.structs import replace

from alicia_mqtt.link import Link
from alicia_mqtt.outbox_file import OUTCOMES, StoredRow
from alicia_mqtt.outbox_journal import Journal
from alicia_mqtt.outbox_rows import Lanes, Row
from alicia_mqtt.outbox_tally import Tally
from alicia_scheduler.api import AliciaError, MqttDelivered, MqttOutgoing, Permanent, Retryable

__all__ = ["Outbox"]

WINDOW = 100
"""Most messages of the outbox under way at a time; other publishers have places of their own."""

PROMPT = 1.0
"""Seconds from a send within which a loss of the connection counts against the message: a broker
that cannot bear one hangs up at once, and one that is silent or cut off takes longer to be left."""

PARK_AFTER = 2
"""Losses after which a message is sent alone, and is parked if it was (R45)."""

SETTLING = 10.0
"""Seconds after the start in which a message waits for earlier ones of its lane that were on disk
and that nobody has taken up yet: executions run again all at once, in no order."""

LONGEST_WINDOW = 24 * 3600.0
"""Seconds that a message without a window waits at the most."""

RECHECK = 3600.0
"""Seconds after which a wait looks at the clock again: it may have been set."""

ACKNOWLEDGED, PARKED = "acknowledged", "parked"


class Outbox:
    """Implements :class:`alicia_scheduler.api.MqttOutbox`.

    Args:
        limit: most messages.
        limit_bytes: most bytes of them.
        now: the host's clock.
        journal: keeps them on disk; None keeps them in memory alone.
        logger: told once of each trouble.
    """

    def __init__(
        self,
        *,
        limit: int,
        limit_bytes: int,
        now: Callable[[], datetime],
        journal: Journal | None,
        logger: logging.Logger,
    ) -> None:
        self._limit = limit
        self._limit_bytes = limit_bytes
        self._now = now
        self._journal = journal
        self._tally = Tally(logger, limit)
        self._rows: dict[str, Row] = {}
        self._bytes = 0
        self._lanes = Lanes()
        self._under_way: dict[str, Row] = {}
        self._suspects: dict[str, Row] = {}
        self._outcomes: OrderedDict[str, str] = OrderedDict()
        self._untaken: dict[str, dict[str, Row]] = {}
        self._settling_ends = -math.inf
        self._last_number = 0
        self._connected = False
        self._changed = trio.Event()
        if journal is not None:
            journal.bind(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def restore(self, rows: list[StoredRow], outcomes: dict[str, str]) -> None:
        """Take in what an earlier run of the host has left."""
        self._outcomes.update(outcomes)
        for stored in rows:
            row = Row(**stored._asdict(), on_disk=True, outage=True)
            self._last_number = max(self._last_number, row.number)
            self._rows[row.key] = row
            self._bytes += row.size
            self._untaken.setdefault(row.lane, {})[row.key] = row
            if row.losses >= PARK_AFTER:
                self._suspects[row.key] = row
        self._settling_ends = trio.current_time() + SETTLING

    async def deliver(
        self,
        message: MqttOutgoing,
        *,
        key: str,
        lane: str,
        slot: datetime,
        useful_until: datetime | None = None,
        repeat: bool = False,
        sending: Callable[[], object] | None = None,
    ) -> MqttDelivered:
        """See :meth:`alicia_scheduler.api.MqttOutbox.deliver`."""
        if repeat and (outcome := self._outcomes.get(key)) is not None:
            if outcome == PARKED:
                raise _poison(message.topic)
            if sending is not None:
                sending()
            return MqttDelivered(waited=0.0, sends=0)
        row = self._rows.get(key)
        if row is not None and not repeat:
            # Another execution for the same slot, of an event that was made anew.
            key, row = f"{key}/{self._last_number + 1}", None
        taken_up = row is not None
        if row is None:
            row = self._add(message, key, lane, slot, useful_until)
        elif not row.waiters:
            self._take_up(row)
        row.waiters += 1
        if sending is not None and row.sends:
            sending()
        elif sending is not None:
            row.sending.append(sending)
        try:
            if row.sendable:
                self._lanes.add(row)
                self._changed.set()
            await self._wait(row)
        finally:
            row.waiters -= 1
            if not row.waiters and not row.over:
                self._forsaken(row)
        if row.error is not None:
            # A new one for each who waits: an exception carries the trace of where it was raised.
            raise _again(row.error)
        return MqttDelivered(
            waited=max(0.0, self._now().timestamp() - row.added),
            sends=row.sends,
            outage=row.outage,
            payload=row.message.payload if taken_up else None,
        )

    def link_up(self) -> None:
        """The broker answers: what comes now need not go to disk."""
        self._connected = True
        now = self._now().timestamp()
        for row in list(self._rows.values()):
            if not row.waiters and now >= row.expires:
                self._remove(row)  # nobody has taken it up while it was useful

    async def send_over(self, link: Link) -> None:
        """Send what waits, for as long as ``link`` holds; cancelled when it is lost."""
        async with trio.open_nursery() as nursery:
            while True:
                self._changed = trio.Event()
                while (row := self._next()) is not None:
                    self._begin(row)
                    nursery.start_soon(self._send, link, row)
                until = self._settling_ends if self._lanes.holding else math.inf
                with trio.move_on_at(until):
                    await self._changed.wait()

    def link_lost(self, unsettled: tuple[int, ...]) -> None:
        """The link has ended; what it had under way is to be sent again, by the next one.

        Args:
            unsettled: see :attr:`alicia_mqtt.link.Link.unsettled`.
        """
        self._connected = False
        lost = list(self._under_way.values())
        self._under_way.clear()
        alone = len(lost) == 1 and len(unsettled) == 1
        for row in lost:
            row.under_way = False
            if unsettled and trio.current_time() - row.sent_at <= PROMPT:
                row.losses += 1
            if row.losses >= PARK_AFTER:
                self._suspects[row.key] = row
            if alone and row.losses >= PARK_AFTER:
                self._tally.parked(row.message.topic, row.key)
                self._remember(row.key, PARKED)
                self._end(row, _poison(row.message.topic))
            elif not self._expire(row) and row.sendable:
                self._lanes.add(row)
            self._lanes.free(row.lane)
        for row in self._rows.values():
            self._shelve(row)

    # -- whose turn it is ----------------------------------------------------------------------

    def _next(self) -> Row | None:
        """The row to send now, or None."""
        if len(self._under_way) >= WINDOW:
            return None
        if self._suspects and any(key in self._suspects for key in self._under_way):
            return None
        if suspect := self._next_suspect():
            return None if self._under_way else suspect
        if self._untaken and trio.current_time() >= self._settling_ends:
            self._untaken.clear()
            self._lanes.let_go()
        while (row := self._lanes.next()) is not None:
            if self._expire(row):
                continue
            if not self._has_untaken_before(row):
                return row
            self._lanes.hold(row.lane)
        return None

    def _next_suspect(self) -> Row | None:
        """What is to be sent alone now: the head of the lane of a suspect that somebody wants."""
        for suspect in list(self._suspects.values()):
            head = self._lanes.head(suspect.lane) if suspect.sendable else None
            if head is not None and not self._expire(head):
                return head
        return None

    def _has_untaken_before(self, row: Row) -> bool:
        untaken = self._untaken.get(row.lane)
        return untaken is not None and any(other.slot < row.slot for other in untaken.values())

    # -- the life of a row ---------------------------------------------------------------------

    def _add(
        self, message: MqttOutgoing, key: str, lane: str, slot: datetime, until: datetime | None
    ) -> Row:
        now = self._now().timestamp()
        expires = until.timestamp() if until is not None else now + LONGEST_WINDOW
        if message.message_expiry is not None:
            expires = min(expires, now + message.message_expiry)
        self._last_number += 1
        row = Row(key, lane, slot.timestamp(), message, now, expires, self._last_number)
        if now >= expires:
            raise _expired(row)
        self._make_room(row)
        self._outcomes.pop(key, None)
        self._rows[key] = row
        self._bytes += row.size
        if not self._connected:
            self._shelve(row)
        return row

    def _make_room(self, row: Row) -> None:
        """Let go of what nobody waits for, if there is need.

        Raises:
            Permanent: there never is for a message of that size.
            Retryable: there is no room.
        """
        if row.size > self._limit_bytes:
            raise Permanent(
                f"the message counts for {row.size} bytes, more than the outbox may hold "
                f"({self._limit_bytes}, outbox_bytes)",
                error_class="payload",
            )
        if self._fits(row):
            self._tally.has_room()
            return
        for other in list(self._rows.values()):
            if not other.waiters and not other.under_way:
                self._remove(other)
                if self._fits(row):
                    return
        self._tally.refused()
        raise Retryable(
            f"{len(self._rows)} messages of {self._bytes} bytes wait for the broker already "
            "(outbox_limit, outbox_bytes)",
            error_class="outbox_full",
        )

    def _fits(self, row: Row) -> bool:
        return len(self._rows) < self._limit and self._bytes + row.size <= self._limit_bytes

    def _take_up(self, row: Row) -> None:
        """Somebody waits for it again."""
        untaken = self._untaken.get(row.lane)
        if untaken is not None and untaken.pop(row.key, None) is not None:
            if not untaken:
                del self._untaken[row.lane]
            self._lanes.let_go()

    def _shelve(self, row: Row) -> None:
        """The broker is away: what waits goes to disk."""
        if row.waiters or not row.outage:
            self._tally.waits()
        row.outage = True
        if self._journal is not None:
            self._journal.touch(row.key)

    def _forsaken(self, row: Row) -> None:
        """Nobody waits for it any more. On disk it stays for a repetition to take up."""
        if row.under_way or row.on_disk or not self._connected:
            return
        self._remove(row)

    async def _wait(self, row: Row) -> None:
        """Wait until the row is settled; out of its window it settles itself."""
        while not row.settled.is_set():
            left = row.expires - self._now().timestamp()
            if left <= 0 and self._expire(row):
                break
            with trio.move_on_after(min(left, RECHECK) if left > 0 else RECHECK):
                await row.settled.wait()

    def _expire(self, row: Row) -> bool:
        """Settle the row if its window is over and it is not under way."""
        if row.under_way or row.over or self._now().timestamp() < row.expires:
            return False
        self._tally.expired()
        self._end(row, _expired(row))
        return True

    def _begin(self, row: Row) -> None:
        self._lanes.taken(row)
        row.under_way = True
        while row.sending:
            row.sending.pop()()
        row.sends += 1
        row.sent_at = trio.current_time()
        self._under_way[row.key] = row

    async def _send(self, link: Link, row: Row) -> None:
        try:
            await link.publish(self._as_sent(row))
        except (Retryable, Permanent) as failure:
            if failure.error_class == "connection":
                return  # the link is lost: it stays under way until that is dealt with
            error: AliciaError | None = failure
        else:
            error = None
        del self._under_way[row.key]
        row.under_way = False
        self._end(row, error)
        self._lanes.free(row.lane)
        self._changed.set()

    def _as_sent(self, row: Row) -> MqttOutgoing:
        """The message with what is left of its life. A retained one is not given the window: the
        broker would forget it afterwards."""
        message = row.message
        now = self._now().timestamp()
        if message.message_expiry is not None:
            left = row.added + message.message_expiry - now
        elif message.retain:
            return message
        else:
            left = row.expires - now
        return replace(message, message_expiry=max(1, min(math.ceil(left), 2**32 - 1)))

    def _end(self, row: Row, error: AliciaError | None) -> None:
        """The row is over. One that the disk knows is settled when the disk knows that too."""
        row.over = True
        row.error = error
        self._suspects.pop(row.key, None)
        self._remove(row)
        if error is None:
            self._remember(row.key, ACKNOWLEDGED)
            self._tally.sent(len(self._rows), outage=row.outage)
        outcome = self._outcomes.get(row.key)
        if row.on_disk and self._journal is not None:
            self._journal.end(row, outcome)
        else:
            row.settled.set()

    def _remember(self, key: str, outcome: str) -> None:
        self._outcomes[key] = outcome
        self._outcomes.move_to_end(key)
        if len(self._outcomes) > OUTCOMES:
            self._outcomes.popitem(last=False)

    def _remove(self, row: Row) -> None:
        if self._rows.pop(row.key, None) is None:
            return
        row.over = True
        self._bytes -= row.size
        self._suspects.pop(row.key, None)
        self._take_up(row)
        if row.on_disk and self._journal is not None:
            self._journal.touch(row.key)


def _expired(row: Row) -> Permanent:
    return Permanent(
        f"the message on {row.message.topic!r} could not be delivered while it was useful: it had "
        f"{max(0.0, row.expires - row.added):.6g} s",
        error_class="expired",
    )


def _poison(topic: str) -> Permanent:
    return Permanent(
        f"the broker ended the connection each time that this message on {topic!r} was sent; "
        "it is not sent again",
        error_class="poison",
    )


def _again(error: AliciaError) -> AliciaError:
    """A copy of the error."""
    if isinstance(error, Retryable):
        return Retryable(str(error), after=error.after, error_class=error.error_class)
    kind = error.error_class if isinstance(error, Permanent) else "permanent"
    return Permanent(str(error), error_class=kind)
