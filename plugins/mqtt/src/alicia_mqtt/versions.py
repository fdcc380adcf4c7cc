"""Which version of MQTT to try next."""

from __future__ import annotations

from typing import Literal

from alicia_mqtt.config import MqttConfig, Protocol
from alicia_mqtt.link import LinkUnavailable, ProtocolUnsupported, Unanswered

__all__ = ["VersionChoice", "answer_within"]

PROBE = 2.0
"""Seconds until a broker that may not speak MQTT 5 is asked again in 3.1.1: amqtt misreads the
newer packet and waits for the rest of it for ever."""


class VersionChoice:
    """MQTT 5 first, and 3.1.1 when the broker does not speak it; or the one that is configured.

    A broker that refuses a version outright is remembered. One that just does not answer is not:
    it may have been on its way down, and must not be held at the older version for ever.
    """

    def __init__(self, wanted: Literal["auto", "5", "3.1.1"]) -> None:
        self._fixed = wanted != "auto"
        self._known: Protocol = "3.1.1" if wanted == "3.1.1" else "5"
        self._next = self._known

    def take(self) -> Protocol:
        """The version for the attempt that begins now."""
        version, self._next = self._next, self._known
        return version

    def failed(self, tried: Protocol, why: LinkUnavailable) -> bool:
        """Learn from an attempt; True when the other version is worth trying at once."""
        if self._fixed or not isinstance(why, (ProtocolUnsupported, Unanswered)):
            return False
        self._next = "3.1.1" if tried == "5" else "5"
        if isinstance(why, ProtocolUnsupported):
            self._known = self._next
        return tried == "5"


def answer_within(config: MqttConfig, protocol: Protocol) -> float:
    """Seconds from the connection's being taken to the broker's answer."""
    probing = config.protocol == "auto" and protocol == "5"
    return min(PROBE, config.connect_timeout / 2) if probing else config.connect_timeout
