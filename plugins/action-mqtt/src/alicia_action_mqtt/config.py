"""What an event's ``action = { type = "mqtt_publish", … }`` may say."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from alicia_scheduler.api import ConfigError, check_topic

__all__ = ["MqttPublishConfig", "encode_message"]

LARGEST_PAYLOAD = 256 * 1024 * 1024 - 1
"""Bytes: the most that the length field of an MQTT packet can tell (MQTT 5 section 1.5.5)."""


class MqttPublishConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The message, and where it goes.

    Attributes:
        topic: where to; None means ``alicia/event/<event_id>``, as on the Alicia bus.
        message: any JSON value. A string is sent as its UTF-8 bytes, without quotes; everything
            else as JSON.
        qos: 0, 1 or 2. The execution is complete when the broker has acknowledged the message,
            or, at QoS 0, when its bytes are out.
        retain: whether the broker keeps the message for those who subscribe later.
        metadata: where the execution's metadata goes: into the message, if that is an object
            (``merge``); into the user properties of MQTT 5; or nowhere (``none``).

    Raises:
        ConfigError: the topic cannot be published to, or the message cannot be sent.
    """

    topic: str | None = None
    message: Any = msgspec.field(default_factory=dict)
    qos: Literal[0, 1, 2] = 0
    retain: bool = False
    metadata: Literal["merge", "user_properties", "none"] = "merge"

    def __post_init__(self) -> None:
        if self.topic is not None and (problem := check_topic(self.topic)):
            shown = self.topic if len(self.topic) <= 100 else f"{self.topic[:100]}…"
            raise ConfigError(f"topic {shown!r} {problem}", path=("topic",))
        try:
            size = len(encode_message(self.message))
        except (TypeError, ValueError, RecursionError) as error:
            raise ConfigError(
                f"message cannot be sent: {error}",
                path=("message",),
                hint="write an object, a string, a number, a list, true, false or null",
            ) from error
        if size > LARGEST_PAYLOAD:
            raise ConfigError(
                f"message is {size} bytes long; {LARGEST_PAYLOAD} is the most", path=("message",)
            )


def encode_message(message: Any) -> bytes:
    """The payload of a message: a string as it is, everything else as JSON.

    Raises:
        TypeError, ValueError, RecursionError: the message has no such form.
    """
    return message.encode() if isinstance(message, str) else msgspec.json.encode(message)
