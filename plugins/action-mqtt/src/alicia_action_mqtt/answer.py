"""The answer that an execution waits for: which message it is."""

from __future__ import annotations

from typing import Any

import msgspec

from alicia_scheduler.api import MqttMessage

__all__ = ["is_answer", "shown"]

SHOWN = 4000
"""Bytes of an answer that the result keeps."""


def is_answer(
    message: MqttMessage, match: str | dict[str, Any] | None, correlation_data: bytes | None
) -> bool:
    """Whether a message that came in is the answer.

    A retained one is not: it was there before anybody asked. Of those with correlation data only
    ours counts, where we gave one; a receiver of MQTT 3.1.1 cannot repeat it, so a message without
    is judged by ``match`` alone.
    """
    if message.retain:
        return False
    theirs = message.correlation_data
    if correlation_data is not None and theirs is not None and theirs != correlation_data:
        return False
    if match is None:
        return True
    if isinstance(match, str):
        return match in message.payload.decode(errors="replace")
    try:
        return _has(msgspec.json.decode(message.payload), match)
    except (msgspec.DecodeError, RecursionError):
        return False


def shown(payload: bytes) -> object:
    """An answer for the execution's result: as JSON where it is, trimmed where it is long."""
    if len(payload) > SHOWN:
        return payload[:SHOWN].decode(errors="replace") + "…"
    try:
        return msgspec.json.decode(payload)
    except (msgspec.DecodeError, RecursionError):
        return payload.decode(errors="replace")


def _has(value: object, wanted: object) -> bool:
    """Whether a JSON value is equal, where an object may have more fields than are asked for."""
    if isinstance(wanted, dict):
        return isinstance(value, dict) and all(
            key in value and _has(value[key], item) for key, item in wanted.items()
        )
    # In JSON true is not 1.
    return value == wanted and isinstance(value, bool) == isinstance(wanted, bool)
