"""What the outbox tells: each trouble once when it begins, and once, with numbers, when it ends."""

from __future__ import annotations

import logging

__all__ = ["Tally"]


class Tally:
    """Counts what becomes of messages.

    Args:
        limit: most messages that wait, for the log.
    """

    def __init__(self, logger: logging.Logger, limit: int) -> None:
        self._logger = logger
        self._limit = limit
        self._waiting = False
        self._delivered = 0
        self._expired = 0
        self._refused = 0

    def waits(self) -> None:
        """A message waits for the broker to come back."""
        if not self._waiting:
            self._waiting = True
            self._logger.warning(
                "messages wait in the outbox until the broker is back (%d at the most)", self._limit
            )

    def sent(self, left: int, *, outage: bool) -> None:
        """A message was acknowledged; ``left`` are still there."""
        self._delivered += outage
        if self._waiting and not left:
            self._logger.info(
                "the outbox is empty again: %d messages were delivered late, %d expired",
                self._delivered,
                self._expired,
            )
            self._waiting = False
            self._delivered = self._expired = 0

    def expired(self) -> None:
        """A message was not delivered while it was useful."""
        self._expired += 1

    def refused(self) -> None:
        """There was no room for a message."""
        self._refused += 1
        if self._refused == 1:
            self._logger.error("the outbox is full; new messages are refused until there is room")

    def has_room(self) -> None:
        """There was room for a message."""
        if self._refused:
            self._logger.warning(
                "the outbox has room again; %d messages were refused", self._refused
            )
            self._refused = 0

    def parked(self, topic: str, key: str) -> None:
        """A message ended the connection again and again."""
        self._logger.error(
            "the message on %r (%s) preceded the loss of the connection again and again; "
            "it is not sent any more",
            topic,
            key,
        )
