"""The messages under way to the broker: numbers, the window, and what QoS 2 needs."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import mqtt5
import trio

from alicia_mqtt.limits import BrokerLimits
from alicia_mqtt.link import publish_error
from alicia_mqtt.requests import Publish, Request
from alicia_mqtt_native.packets import PUBREC, Acknowledgement, publish_packet
from alicia_mqtt_native.wire import Wire
from alicia_scheduler.api import AliciaError, Permanent

__all__ = ["Window"]

NUMBERS = 65_535
"""Largest packet identifier (MQTT 5 section 2.2.1)."""

Settled = Callable[[Request, AliciaError | None], None]


class Window:
    """Sends in order, never more at a time than the broker's limits allow.

    Args:
        wire: where packets are written; somebody else flushes it.
        limits: the broker's.
        settled: told once of each publish: None when it was carried out, else why not.
    """

    def __init__(self, wire: Wire, limits: BrokerLimits, settled: Settled) -> None:
        self._wire = wire
        self._limits = limits
        self._settled = settled
        self._bounded = limits.largest is not None
        self._number = 0
        self._waiting: deque[Publish] = deque()
        self._sent: dict[int, Publish] = {}
        self._leaving: deque[Publish] = deque()
        self.others: dict[int, Request] = {}

    def submit(self, publish: Publish) -> None:
        """Send, now or when its turn comes. A publish abandoned until then is not sent."""
        if publish.qos:
            publish.qos = self._limits.qos(publish.qos)
        if publish.qos and (self._waiting or len(self._sent) >= self._limits.window):
            self._waiting.append(publish)
        else:
            self._send(publish)

    def flushed(self) -> None:
        """The network has taken everything that was written."""
        while self._leaving:
            self._settled(self._leaving.popleft(), None)

    def acknowledged(self, told: Acknowledgement) -> None:
        """Note the broker's answer."""
        publish = self._sent.get(told.number)
        if publish is None:
            return
        if told.kind == PUBREC and told.code < 0x80:
            self._wire.write(mqtt5.PubRelPacket(told.number).write())
            return
        del self._sent[told.number]
        error = publish_error(told.code, _name(told.code)) if told.code >= 0x80 else None
        self._settled(publish, error)
        while self._waiting and len(self._sent) < self._limits.window:
            self._send(self._waiting.popleft())

    def next_number(self) -> int:
        """A packet identifier that is not in use."""
        while True:
            self._number = self._number % NUMBERS + 1
            if self._number not in self._sent and self._number not in self.others:
                return self._number

    def silence(self) -> float:
        """Seconds that the oldest publish under way has waited; 0 if there is none."""
        oldest = next(iter(self._sent.values()), None)
        return 0.0 if oldest is None else trio.current_time() - oldest.since

    def _send(self, publish: Publish) -> None:
        if publish.abandoned:
            self._settled(publish, None)
            return
        try:
            if self._bounded or publish.message.retain:
                self._limits.check(publish.message)
            number = self.next_number() if publish.qos else None
            self._wire.write(publish_packet(publish, number))
        except Permanent as refusal:
            self._settled(publish, refusal)
            return
        if number is None:
            self._leaving.append(publish)
        else:
            publish.since = trio.current_time()
            self._sent[number] = publish


def _name(code: int) -> str:
    try:
        return mqtt5.DisconnectReasonCode(code).name.replace("_", " ").capitalize()
    except ValueError:
        return "not told"
