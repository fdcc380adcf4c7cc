"""What an event's ``action = { type = "mqtt_publish", … }`` may say."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from alicia_scheduler.api import ConfigError, check_filter, check_topic

__all__ = ["AckConfig", "MqttPublishConfig"]

LONGEST_EXPIRY = 2**32 - 1
"""Seconds: the most that a message expiry interval can tell (MQTT 5 section 3.3.2.3.3)."""

LONGEST_TEXT = 65_535
"""Bytes of a string in an MQTT packet (MQTT 5 section 1.5.4)."""


class AckConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The answer that makes the execution complete.

    Attributes:
        topic: where the answer comes; wildcards are allowed.
        match: what the answer must hold: text that is part of it, or an object whose fields are
            equal in the answer's JSON; None takes any answer.
        timeout: seconds to wait for it, from the broker's acknowledgement on.
        correlate: ask for the answer by MQTT 5: response topic and correlation data. Answers that
            carry the correlation data of another request are not ours then.

    Raises:
        ConfigError: the topic cannot be subscribed to, or the answer cannot be asked for there.
    """

    topic: str
    match: str | dict[str, Any] | None = None
    timeout: Annotated[float, Meta(gt=0, le=86_400)] = 10.0
    correlate: bool = False

    def __post_init__(self) -> None:
        if problem := check_filter(self.topic):
            raise ConfigError(
                f"topic {_shown(self.topic)} {problem}",
                path=("topic",),
                hint="write the topic on which the receiver answers, e.g. home/lamp/state",
            )
        if self.correlate and (problem := check_topic(self.topic)):
            raise ConfigError(
                f"topic {_shown(self.topic)} cannot be a response topic: it {problem}",
                path=("topic",),
                hint="name one topic in full, or leave correlate out",
            )


class MqttPublishConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The message, and where it goes.

    Attributes:
        topic: where to; None means ``alicia/event/<event_id>``, as on the Alicia bus.
        message: any JSON value; an empty object by default. A string is sent as its UTF-8 bytes,
            without quotes; everything else as JSON.
        message_base64: the bytes to send, in base64, instead of ``message``.
        qos: 0, 1 or 2. The execution is complete when the broker has acknowledged the message,
            or, at QoS 0, when its bytes are out.
        retain: whether the broker keeps the message for those who subscribe later.
        metadata: where the execution's metadata goes: into the message, if that is an object
            (``merge``); into the user properties of MQTT 5; or nowhere (``none``).
        user_properties: more user properties of MQTT 5.
        content_type: of the payload (MQTT 5); None means ``application/json`` for what is sent as
            JSON and nothing for text and bytes.
        message_expiry: seconds after which the message is worth nothing; None means what is left
            of the execution's window, and for a retained message that it never ends.
        outbox: whether a message at QoS 1 or 2 waits for a broker that is away; otherwise the
            attempt fails.
        ack: the answer to wait for, if any.
        completion: what completes the execution: that the message is delivered and its ``ack`` is
            there (``ack``), or that a receiver reports the execution as done (``report``).
        max_payload: most bytes of the payload.

    Raises:
        ConfigError: the topic cannot be published to, or the message cannot be sent.
    """

    topic: str | None = None
    message: Any = msgspec.field(default_factory=dict)
    message_base64: str | None = None
    qos: Literal[0, 1, 2] = 0
    retain: bool = False
    metadata: Literal["merge", "user_properties", "none"] = "merge"
    user_properties: dict[str, str] = {}  # msgspec copies it
    content_type: str | None = None
    message_expiry: Annotated[int, Meta(ge=1, le=LONGEST_EXPIRY)] | None = None
    outbox: bool = True
    ack: AckConfig | None = None
    completion: Literal["ack", "report"] = "ack"
    max_payload: Annotated[int, Meta(ge=0, le=268_435_455)] = 256 * 1024

    def __post_init__(self) -> None:
        if self.topic is not None and (problem := check_topic(self.topic)):
            raise ConfigError(
                f"topic {_shown(self.topic)} {problem}",
                path=("topic",),
                hint="write levels separated by slashes, e.g. home/lamp/set",
            )
        for name in ("content_type", "user_properties"):
            self._check_texts(name)
        self._check_payload()
        if self.completion == "report" and not self.tells_execution:
            raise ConfigError(
                "a report names the execution, and this message does not tell it",
                path=("completion",),
                hint='leave metadata = "none" out, or completion',
            )

    @property
    def tells_execution(self) -> bool:
        """Whether receivers get to know the execution."""
        return self.metadata != "none"

    @property
    def merges(self) -> bool:
        """Whether the metadata goes into the message."""
        return self.metadata == "merge" and self.as_json and isinstance(self.message, dict)

    @property
    def as_json(self) -> bool:
        """Whether the payload is JSON."""
        return self.message_base64 is None and not isinstance(self.message, str)

    def payload(self, value: Any) -> bytes:
        """The payload for the message ``value``, which may have its metadata by now.

        Raises:
            TypeError, ValueError, RecursionError: the message has no such form.
        """
        if self.message_base64 is not None:
            return base64.b64decode(self.message_base64, validate=True)
        return value.encode() if isinstance(value, str) else msgspec.json.encode(value)

    def _check_payload(self) -> None:
        if self.message_base64 is not None and self.message != {}:
            raise ConfigError(
                "message and message_base64 are both given",
                path=("message_base64",),
                hint="leave one of them out",
            )
        name = "message" if self.message_base64 is None else "message_base64"
        try:
            size = len(self.payload(self.message))
        except binascii.Error as error:
            raise ConfigError(
                f"message_base64 is not base64: {error}",
                path=(name,),
                hint="write the bytes in base64, padded with '=', or use message for text",
            ) from error
        except (TypeError, ValueError, RecursionError) as error:
            raise ConfigError(
                f"{name} cannot be sent: {error}",
                path=(name,),
                hint="write an object, a string, a number, a list, true, false or null",
            ) from error
        if size > self.max_payload:
            raise ConfigError(
                f"{name} is {size} bytes long; {self.max_payload} is the most (max_payload)",
                path=(name,),
                hint="send less, or raise max_payload",
            )

    def _check_texts(self, name: str) -> None:
        """MQTT 5 section 1.5.4: a string has at most 65,535 bytes of UTF-8, and no NUL."""
        given = getattr(self, name)
        texts = [*given, *given.values()] if isinstance(given, dict) else [given or ""]
        for text in texts:
            try:
                long = len(text.encode()) > LONGEST_TEXT
            except UnicodeEncodeError:
                long = True
            if long or any(ord(character) < 0x20 or ord(character) == 0x7F for character in text):
                raise ConfigError(
                    f"{name} holds {_shown(text)}, which MQTT cannot carry",
                    path=(name,),
                    hint="use at most 65535 bytes of text without control characters",
                )


def _shown(text: str) -> str:
    return repr(text if len(text) <= 100 else f"{text[:100]}…")
