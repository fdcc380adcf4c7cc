"""The envelope of the Alicia bus: taken off what comes in, put around what goes out.

Writers on the bus come in three dialects: the object itself (flat), the object as ``payload`` of
an envelope, and that once more in another envelope. Readers look either at the top or into
``payload``. So what comes in is unwrapped as far as it goes, and what goes out can be in both.
"""

from __future__ import annotations

import math
import re
import uuid
from datetime import datetime
from typing import Any

import msgspec

from alicia_scheduler.api import CommandError
from alicia_service_alicia_bus.config import EnvelopeStyle

__all__ = ["Incoming", "cleaned", "unwrap", "wrap"]

DEPTH = 3
"""Envelopes that are taken off at the most."""

MARKS = ("message_id", "message_type", "routing")
"""An object with a ``payload`` is an envelope when it has one of these too."""

TTL = 300
"""Seconds that the bus's own envelope says a message is good for."""

ENVELOPE_KEYS = frozenset(
    {
        "message_id",
        "timestamp",
        "source",
        "destination",
        "message_type",
        "priority",
        "ttl",
        "payload",
        "routing",
    }
)

NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_.:@-]")


class Incoming(msgspec.Struct, frozen=True, kw_only=True):
    """What a message says.

    Attributes:
        levels: the objects, from the outermost inwards; at least one.
        source: who sent it, by the outermost level; cleaned, or None when nobody is named.
        enveloped: whether there was an envelope around it.
    """

    levels: tuple[dict[str, Any], ...]
    source: str | None

    @property
    def fields(self) -> dict[str, Any]:
        """The innermost object."""
        return self.levels[-1]

    @property
    def enveloped(self) -> bool:
        return len(self.levels) > 1

    def find(self, key: str) -> Any:
        """The value of a key, at the innermost level that has it; None when none does."""
        return next((level[key] for level in reversed(self.levels) if key in level), None)

    def outer(self, key: str) -> Any:
        """The value of a key, at the outermost level that has it."""
        return next((level[key] for level in self.levels if key in level), None)

    def text(self, key: str) -> str | None:
        """The value of a key as text; numbers count as their digits.

        Raises:
            CommandError: it is neither.
        """
        value = self.find(key)
        if value is None or (isinstance(value, str) and len(value) <= 1000):
            return value
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63:
            return str(value)
        raise CommandError("invalid_format", f"{key} must be a text", path=(key,))

    def expires(self, default_ttl: float) -> float | None:
        """Until when the message is good, in epoch seconds by the sender's clock; None when it
        does not say.

        Raises:
            CommandError: its time, or how long it is good for, cannot be read.
        """
        timestamp, ttl = self.outer("timestamp"), self.outer("ttl")
        if timestamp is None:
            return None
        sent = _number(timestamp) if not isinstance(timestamp, str) else _instant(timestamp)
        lasting = default_ttl if ttl is None else _number(ttl)
        for key, value in (("timestamp", sent), ("ttl", lasting)):
            if value is None:
                raise CommandError(
                    "invalid_format",
                    f"{key} cannot be read",
                    path=(key,),
                    hint="write epoch seconds" if key == "timestamp" else "write seconds",
                )
        return (sent or 0.0) + (lasting or 0.0)


def unwrap(payload: bytes) -> Incoming:
    """Read a message in whatever dialect it is written.

    Raises:
        CommandError: it is no JSON object.
    """
    try:
        value = msgspec.json.decode(payload)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise CommandError("invalid_format", f"not JSON: {str(error)[:200]}") from error
    if not isinstance(value, dict):
        raise CommandError("invalid_format", "a message is a JSON object")
    levels = [value]
    while len(levels) <= DEPTH:
        inner = levels[-1].get("payload")
        if not isinstance(inner, dict) or not any(mark in levels[-1] for mark in MARKS):
            break
        levels.append(inner)
    source = next((level["source"] for level in levels if "source" in level), None)
    return Incoming(
        levels=tuple(levels), source=cleaned(source) if isinstance(source, str) else None
    )


def wrap(
    message: dict[str, Any],
    style: EnvelopeStyle,
    *,
    now: datetime,
    source: str,
    destination: str = "broadcast",
    message_type: str = "event",
) -> bytes:
    """A message as it goes out.

    - ``standard``: the bus's envelope, with the message as ``payload``;
    - ``hybrid``: that, and the message's keys at the top where the envelope has none of the name;
    - ``flat``: the message's keys, with those of the envelope that it has not;
    - ``none``: the message alone.
    """
    if style == "none":
        return msgspec.json.encode(message)
    envelope: dict[str, Any] = {
        "message_id": str(uuid.uuid4()),
        "timestamp": now.timestamp(),
        "source": source,
        "destination": destination,
        "message_type": message_type,
        "priority": "normal",
        "ttl": TTL,
    }
    if style == "flat":
        return msgspec.json.encode(envelope | message)
    envelope |= {"payload": message, "routing": {"hops": 0, "max_hops": 10}}
    if style == "hybrid":
        envelope |= {key: item for key, item in message.items() if key not in ENVELOPE_KEYS}
    return msgspec.json.encode(envelope)


def cleaned(name: str) -> str | None:
    """A sender's name as logs, the audit and topics may have it; None when nothing is left."""
    return NOT_IN_NAMES.sub("_", name[:64]) or None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _instant(text: str) -> float | None:
    try:
        instant = datetime.fromisoformat(text)
        return instant.timestamp() if instant.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
