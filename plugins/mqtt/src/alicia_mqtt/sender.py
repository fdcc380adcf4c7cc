"""The window of messages under way to the broker."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from paho.mqtt import client as paho
from paho.mqtt.reasoncodes import ReasonCode

from alicia_mqtt.aiomqtt_client import BrokerClient
from alicia_mqtt.limits import BrokerLimits
from alicia_mqtt.link import publish_error
from alicia_mqtt.properties import publish_properties
from alicia_mqtt.requests import Publish, Request
from alicia_scheduler.api import AliciaError, Permanent, Retryable

__all__ = ["Sender", "Settled"]


Settled = Callable[[Request, AliciaError | None], None]
"""Told once for each request: None when it was carried out, else why not."""


class Sender:
    """Sends in order, never more at a time than the broker's limits allow.

    Args:
        client: the connected client.
        properties: whether the connection carries properties (MQTT 5).
        limits: the broker's.
        settled: see :data:`Settled`.
    """

    def __init__(
        self, client: BrokerClient, *, properties: bool, limits: BrokerLimits, settled: Settled
    ) -> None:
        self._client = client
        self._paho = client.paho
        self._properties = properties
        self._limits = limits
        self._settled = settled
        self._waiting: deque[Publish] = deque()
        self._sent: dict[int, Publish] = {}
        self._unacknowledged = 0

    def submit(self, publish: Publish) -> None:
        """Send with the client's next flush, or when its turn comes. A publish abandoned until
        then is not sent."""
        self._waiting.append(publish)
        self._client.hold_writes()
        self._send_waiting()

    def answered(self, packet: int, reason: ReasonCode) -> None:
        """Note the broker's answer (QoS 1 and 2), or that the bytes are out (QoS 0)."""
        publish = self._sent.pop(packet, None)
        if publish is None:
            return
        if publish.qos:
            self._unacknowledged -= 1
        refused = reason.value >= 0x80
        self._settled(publish, publish_error(reason.value, reason.getName()) if refused else None)
        self._send_waiting()

    def silence(self) -> float:
        """Seconds that the oldest publish under way has waited; 0 if there is none."""
        oldest = next(iter(self._sent.values()), None)
        return time.monotonic() - oldest.since if oldest is not None else 0.0

    def _send_waiting(self) -> None:
        while self._waiting:
            publish = self._waiting[0]
            if publish.qos and self._unacknowledged >= self._limits.window:
                return
            self._waiting.popleft()
            if publish.abandoned:
                self._settled(publish, None)
                continue
            try:
                self._send(publish)
            except AliciaError as error:
                self._settled(publish, error)

    def _send(self, publish: Publish) -> None:
        message = publish.message
        self._limits.check(message)
        publish.qos = self._limits.qos(message.qos)
        try:
            sent = self._paho.publish(
                message.topic,
                message.payload,
                publish.qos,
                message.retain,
                publish_properties(message) if self._properties else None,
            )
        except ValueError as error:
            raise Permanent(
                f"MQTT cannot carry this message: {error}", error_class="payload"
            ) from error
        if sent.rc != paho.MQTT_ERR_SUCCESS:
            raise Retryable(
                f"the connection did not take it: {paho.error_string(sent.rc)}",
                error_class="connection",
            )
        publish.since = time.monotonic()
        if publish.qos:
            self._unacknowledged += 1
        self._sent[sent.mid] = publish
