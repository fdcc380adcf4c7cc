"""Answers that are kept for a while, so that a command that comes twice is carried out once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from alicia_service_alicia_bus.replies import Address

__all__ = ["Answered", "Remembered"]

BYTES = 1024 * 1024
"""Bytes of answers that are kept in all."""

LONGEST = 64 * 1024
"""Bytes of one answer; of a longer one only that it was given is kept."""


@dataclass(slots=True)
class Answered:
    """One command, and what it was answered.

    Attributes:
        waiting: where the answer goes once it is there.
        answer: the reply as JSON; None while the command is carried out.
        expires: when it is forgotten, by the clock of the table.
    """

    waiting: list[Address] = field(default_factory=list)
    answer: bytes | None = None
    expires: float = 0.0

    @property
    def reply(self) -> dict[str, Any]:
        """The reply as it was given; only once there is one."""
        reply: dict[str, Any] = msgspec.json.decode(self.answer or b"{}")
        return reply


class Remembered:
    """The table, bounded in number, bytes and age.

    Args:
        limit: most answers.
        age: seconds that one is kept.
        now: monotonic seconds.
    """

    def __init__(self, limit: int, age: float, now: Callable[[], float]) -> None:
        self._limit = limit
        self._age = age
        self._now = now
        self._under_way: dict[object, Answered] = {}
        self._known: dict[object, Answered] = {}  # in order of age
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._known) + len(self._under_way)

    def find(self, key: object) -> Answered | None:
        """The command that came before under this key, if it is not forgotten."""
        self._forget()
        return self._under_way.get(key) or self._known.get(key)

    def begin(self, key: object, address: Address | None) -> Answered:
        """A command is going to be carried out."""
        entry = self._under_way[key] = Answered([address] if address is not None else [])
        return entry

    def end(self, key: object, reply: dict[str, Any], *, keep: bool) -> list[Address]:
        """It has been: where its answer goes. Without ``keep`` a repetition is a new command."""
        entry = self._under_way.pop(key)
        addresses, entry.waiting = entry.waiting, []
        if keep and self._limit and self._age:
            entry.answer = _kept(reply)
            entry.expires = self._now() + self._age
            if (before := self._known.pop(key, None)) is not None:
                self._bytes -= len(before.answer or b"")
            self._known[key] = entry
            self._bytes += len(entry.answer)
            self._forget()
        return addresses

    def _forget(self) -> None:
        now = self._now()
        while self._known:
            key = next(iter(self._known))
            oldest = self._known[key]
            many = len(self._known) > self._limit or self._bytes > BYTES
            if not many and oldest.expires > now:
                return
            del self._known[key]
            self._bytes -= len(oldest.answer or b"")


def _kept(reply: dict[str, Any]) -> bytes:
    encoded = msgspec.json.encode(reply)
    if len(encoded) <= LONGEST:
        return encoded
    error = {
        "code": "not_supported",
        "message": "this command was carried out; its answer is too long to be repeated",
    }
    return msgspec.json.encode(reply | {"status": "error", "data": None, "error": error})
