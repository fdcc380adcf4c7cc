"""The envelope of the Alicia bus, and the three ways in which its services write and read it.

Some services look for their fields at the top of a message, some in its ``payload``, and some wrap
twice what they send. What we send can be read by all: the whole envelope, with the fields once more
at the top. What we receive is unwrapped as far as there are envelopes.
"""

from __future__ import annotations

import uuid
from typing import Any

import msgspec

__all__ = ["lookup", "unwrapped", "wrapped"]

DEEPEST = 3
ENVELOPE = frozenset({"message_id", "message_type", "routing"})
"""An object with a ``payload`` and one of these is an envelope."""


def wrapped(
    fields: dict[str, Any], *, source: str, timestamp: float, time_to_live: float
) -> dict[str, Any]:
    """An envelope around ``fields``, which also stand at its top where it has no key of that name.

    Args:
        source: the sender's name.
        timestamp: epoch seconds.
        time_to_live: seconds for which it is of use.
    """
    envelope = {
        "message_id": str(uuid.uuid4()),
        "timestamp": timestamp,
        "source": source,
        "destination": "broadcast",
        "message_type": "request",
        "priority": "normal",
        "ttl": time_to_live,
        "payload": fields,
        "routing": {"hops": 0, "max_hops": 10},
    }
    return {**fields, **envelope}


def unwrapped(payload: bytes) -> list[dict[str, Any]] | None:
    """The objects of a message from the innermost to the outermost, or None when it is no JSON
    object."""
    try:
        message = msgspec.json.decode(payload)
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict):
        return None
    layers = [message]
    while len(layers) <= DEEPEST and ENVELOPE & message.keys():
        message = message.get("payload")
        if not isinstance(message, dict):
            break
        layers.insert(0, message)
    return layers


def lookup(layers: list[dict[str, Any]], key: str) -> Any:
    """A field, from the innermost object that has it; ``msgspec.UNSET`` when none has."""
    return next((layer[key] for layer in layers if key in layer), msgspec.UNSET)
