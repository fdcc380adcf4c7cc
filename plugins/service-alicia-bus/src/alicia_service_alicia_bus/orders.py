"""What a message asks for, once it is read."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from alicia_scheduler.api import MqttMessage
from alicia_service_alicia_bus.desk import Seat
from alicia_service_alicia_bus.envelope import Incoming

__all__ = ["META", "Order", "Reader", "fingerprint"]

META = frozenset({"command", "request_id", "reply_topic", "source", "timestamp", "ttl"})
"""Keys of a command that are about the message; the others are its arguments."""


@dataclass(frozen=True, kw_only=True)
class Order:
    """A command of whatever dialect.

    Attributes:
        name: what it is called in its dialect; the reply repeats it.
        perform: carries it out and returns the data of the reply.
        arguments: what makes it another command than the next one of its name.
    """

    name: str
    perform: Callable[[Seat], Awaitable[Any]]
    arguments: Any = None


Reader = Callable[[MqttMessage, Incoming], Order | None]
"""Reads the commands of one dialect: the order, or None when the message is none. Raises
``CommandError`` when it is one that cannot be read."""


def fingerprint(order: Order) -> bytes:
    """The same for the same command with the same arguments, however it was wrapped."""
    encoded = msgspec.json.encode([order.name, order.arguments], order="sorted")
    return hashlib.sha256(encoded).digest()
