"""What a session has subscribed to, and sending it: first what is kept, then what comes."""

from __future__ import annotations

import fnmatch
import random
import re
from typing import Annotated

import msgspec
import trio
from msgspec import Meta

from alicia_scheduler.api.control import CommandError
from alicia_scheduler.control.command import Arguments
from alicia_scheduler.control.replay import Kept, Reader, ReplayLog
from alicia_scheduler.control.wire import Wire, WireClosed

__all__ = ["SubscribeArguments", "Subscriptions", "UnsubscribeArguments"]

Word = Annotated[str, Meta(min_length=1, max_length=256)]
Words = Annotated[tuple[Word, ...], Meta(min_length=1, max_length=100)]

AT_ONCE = 32 * 1024
"""Bytes that are put together before they are sent."""

PACE = 0.05
"""Seconds between two sends to somebody who has taken everything, and up to twice as many, so that
those who were woken by one notification do not stay in step. In a flood each send then carries
what came meanwhile; the first notification after a silence goes at once."""

LOOK_LIMIT = 512
"""Notifications that are looked at before others have their turn."""

GRACE = 5.0
"""Seconds that a reader that was overtaken has to take what is on its way, and the reason."""


class SubscribeArguments(Arguments, frozen=True):
    """Which notifications, and from where on.

    Attributes:
        event_type: only these types; all of them without it.
        event_id: only those about events whose id is one of these or matches it (``*``, ``?``,
            ``[…]`` as in a shell).
        tag: only those about events that have one of these tags.
        after: first those that are kept with a greater sequence number.
    """

    event_type: Word | Words | None = None
    event_id: Word | Words | None = None
    tag: Word | Words | None = None
    after: Annotated[int, Meta(ge=0)] | None = None


class UnsubscribeArguments(Arguments, frozen=True):
    """Which one: the id of its ``subscribe``."""

    subscription: int


class SubscribeAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """Where a subscription begins.

    Attributes:
        subscription: its id, which its events carry.
        next: the sequence number from which on nothing is left out but by the filters.
        lost: True when something between ``after`` and ``next`` is no longer kept.
    """

    subscription: int
    next: int
    lost: bool


class _Subscription:
    """One subscription: its filters and its place."""

    def __init__(self, number: int, arguments: SubscribeArguments, reader: Reader) -> None:
        self.number = number
        self.reader = reader
        self.begun = False
        self._types = _words(arguments.event_type)
        self._tags = _words(arguments.tag)
        patterns = _words(arguments.event_id)
        self._events = (
            None
            if patterns is None
            else re.compile("|".join(fnmatch.translate(item) for item in sorted(patterns)))
        )

    def wants(self, kept: Kept) -> bool:
        if self._types is not None and kept.event_type not in self._types:
            return False
        if self._tags is not None and self._tags.isdisjoint(kept.tags):
            return False
        return self._events is None or (
            kept.event_id is not None and self._events.match(kept.event_id) is not None
        )


class Subscriptions:
    """The subscriptions of one session.

    Args:
        wire: where events go.
        log: where they come from.
        limit: how many there may be.
    """

    def __init__(self, wire: Wire, log: ReplayLog, limit: int) -> None:
        self._wire = wire
        self._log = log
        self._limit = limit
        self._open: dict[int, _Subscription] = {}
        self._overtaken = trio.Event()
        self._wake = trio.Event()

    def add(self, number: int, arguments: SubscribeArguments) -> SubscribeAnswer:
        """Subscribe. Nothing is sent before :meth:`begin`, and nothing after now gets lost.

        Raises:
            CommandError: ``too_many``: there are as many as there may be.
        """
        if len(self._open) >= self._limit:
            message = f"this connection has {self._limit} subscriptions, which is the limit"
            raise CommandError("too_many", message, hint="end one, or ask for more in one")
        log, after = self._log, arguments.after
        position = log.end if after is None else log.position_after(after)
        reader = Reader(position, self._overtaken)
        log.add(reader)
        self._open[number] = _Subscription(number, arguments, reader)
        first = log.get(position)
        return SubscribeAnswer(
            subscription=number,
            next=first.sequence if first is not None else log.last + 1,
            lost=after is not None and not log.forgotten <= after <= log.last,
        )

    def remove(self, number: int) -> None:
        """Unsubscribe.

        Raises:
            CommandError: ``not_found``.
        """
        subscription = self._open.pop(number, None)
        if subscription is None:
            raise CommandError("not_found", f"there is no subscription {number}")
        self._log.remove(subscription.reader)

    def close(self) -> None:
        """End them all."""
        for number in list(self._open):
            self.remove(number)

    def begin(self, number: int) -> None:
        """The answer to ``subscribe`` has gone: events may follow."""
        self._open[number].begun = True
        self._wake.set()

    async def send_all(self) -> None:
        """Send what is subscribed to, until cancelled.

        Raises:
            WireClosed: the far side has been overtaken, or is gone.
        """
        while True:
            self._wake = trio.Event()
            begun = [item for item in self._open.values() if item.begun]
            for subscription in begun:
                await self._send_some(subscription)
            if all(item.reader.position >= self._log.end for item in begun):
                sent = trio.current_time()
                await self._log.wait(self._wake)
                if begun:
                    await trio.sleep_until(sent + random.uniform(PACE, 2 * PACE))

    async def watch(self) -> None:
        """Wait until a subscription has been overtaken and its :data:`GRACE` is over.

        Raises:
            WireClosed: then.
        """
        await self._overtaken.wait()
        await trio.sleep(GRACE)
        raise _overtaken(self._log)

    async def _send_some(self, subscription: _Subscription) -> None:
        """Send the next of what a subscription wants, as much as goes at once."""
        reader, frames, size = subscription.reader, [], 0
        for _ in range(LOOK_LIMIT):
            kept = self._log.get(reader.position)
            if kept is None or size >= AT_ONCE:
                break
            if subscription.wants(kept):
                frames.append(self._log.frame(reader.position, subscription.number))
                size += len(frames[-1])
            reader.position += 1
        if reader.position < self._log.first:
            raise _overtaken(self._log)
        if frames:
            await self._wire.send_frames(b"".join(frames))
        else:
            await trio.lowlevel.checkpoint()


def _overtaken(log: ReplayLog) -> WireClosed:
    return WireClosed(1013, f"too slow: notifications up to {log.forgotten} are gone before taken")


def _words(given: str | tuple[str, ...] | None) -> frozenset[str] | None:
    if given is None:
        return None
    return frozenset((given,) if isinstance(given, str) else given)
