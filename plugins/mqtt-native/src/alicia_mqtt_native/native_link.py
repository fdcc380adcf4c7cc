"""A link that speaks MQTT 5 on trio, with no other loop and no thread.

MQTT 3.1.1 is left to the engine of alicia-mqtt: mqtt5 does not speak it, and brokers that do not
speak MQTT 5 are seldom the ones for which the rate matters.
"""

from __future__ import annotations

import logging
import math
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import mqtt5
import trio

from alicia_mqtt.config import MqttConfig, Protocol
from alicia_mqtt.limits import LARGEST_INCOMING, WINDOW, BrokerLimits, keepalive_of
from alicia_mqtt.link import (
    Deliver,
    Link,
    LinkUnavailable,
    ProtocolUnsupported,
    Unanswered,
    Untrusted,
    refusal,
)
from alicia_mqtt.requests import Publish, Request, Requests
from alicia_mqtt.versions import answer_within
from alicia_mqtt_native.packets import (
    QOS,
    Acknowledgement,
    Incoming,
    Unreadable,
    connect_packet,
    message_of,
    name_of,
    read_packets,
    speaks_3_1_1,
)
from alicia_mqtt_native.window import Window
from alicia_mqtt_native.wire import Wire
from alicia_scheduler.api import Permanent

__all__ = ["open_link"]

CLOSE_WITHIN = 1.0
"""Seconds that a polite DISCONNECT may take."""

TICK = 0.01
"""Seconds that the watch wakes after the instant it waits for."""


@asynccontextmanager
async def open_link(
    config: MqttConfig,
    *,
    client_id: str,
    protocol: Protocol,
    resume: bool,
    tls: ssl.SSLContext | None,
    deliver: Deliver,
    logger: logging.Logger,
) -> AsyncIterator[Link]:
    """A link on mqtt5. See :class:`alicia_mqtt.link.OpenLink`."""
    if protocol == "3.1.1":
        from alicia_mqtt.aiomqtt_link import open_link as open_older

        async with open_older(
            config,
            client_id=client_id,
            protocol=protocol,
            resume=resume,
            tls=tls,
            deliver=deliver,
            logger=logger,
        ) as older:
            yield older
        return
    wire = await _connect(config, tls)
    try:
        wire.write(connect_packet(config, client_id, resume=resume))
        wire.flush()
        accepted, rest = await _accepted(config, wire)
        async with trio.open_nursery() as nursery:
            link = NativeLink(config, wire, accepted, deliver)
            nursery.start_soon(link.read, rest)
            nursery.start_soon(link.write_left_over)
            nursery.start_soon(link.watch)
            try:
                yield link
            finally:
                await link.close()
                nursery.cancel_scope.cancel()
    finally:
        wire.close()


async def _connect(config: MqttConfig, tls: ssl.SSLContext | None) -> Wire:
    try:
        with trio.fail_after(config.connect_timeout):
            return await Wire.open(config.host, config.port, tls)
    except trio.TooSlowError:
        raise LinkUnavailable(f"it did not answer within {config.connect_timeout:g} s") from None
    except ssl.SSLCertVerificationError as error:
        raise Untrusted(f"its certificate is not trusted: {error.verify_message}") from error
    except OSError as error:
        raise LinkUnavailable(_why(error)) from error


def _why(error: OSError) -> str:
    """Trio tries all addresses of a host, and tells what happened at each as a group."""
    cause = error.__cause__
    if isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[-1]
    return str(cause or error)


async def _accepted(config: MqttConfig, wire: Wire) -> tuple[mqtt5.ConnAckPacket, bytes]:
    """The broker's answer, and what came behind it.

    Raises:
        LinkUnavailable: it refused, or gave none.
    """
    data = b""
    with trio.move_on_after(answer_within(config, "5")):
        while True:
            try:
                received = await wire.receive()
            except OSError:
                received = b""
            if not received:
                raise Unanswered("it closed the connection without an answer")
            data += received
            if speaks_3_1_1(data):
                raise ProtocolUnsupported("it answers in MQTT 3.1.1")
            try:
                packet, end = next(read_packets(data), (None, 0))
            except Unreadable as error:
                raise LinkUnavailable(f"its answer is no MQTT: {error}") from error
            if packet is None:
                continue
            if not isinstance(packet, mqtt5.ConnAckPacket):
                raise LinkUnavailable("its first packet is no answer")
            if int(packet.reason_code) >= 0x80:
                raise refusal(int(packet.reason_code), name_of(packet.reason_code))
            return packet, data[end:]
    raise Unanswered("it keeps silent")


class NativeLink(Requests):
    """A :class:`~alicia_mqtt.link.Link` in one trio task for each direction."""

    def __init__(
        self, config: MqttConfig, wire: Wire, accepted: mqtt5.ConnAckPacket, deliver: Deliver
    ) -> None:
        super().__init__()
        limits = BrokerLimits(
            window=min(WINDOW, accepted.receive_max),
            largest=accepted.max_packet_size,
            best_qos=int(accepted.max_qos),
            retains=accepted.retain_available,
            numbers_subscriptions=accepted.subscription_id_available,
        )
        self._wire = wire
        self._deliver = deliver
        self._numbered = limits.numbers_subscriptions
        self._window = Window(wire, limits, self.settled)
        self._half_received: set[int] = set()
        self._ended = trio.Event()
        keepalive = keepalive_of(config)
        self._ping_after = min(keepalive, accepted.server_keep_alive or keepalive)
        self._patience = 1.5 * config.keepalive
        self._heard = self._said = trio.current_time()

    # -- what others ask for -------------------------------------------------------------------

    def submit(self, publish: Publish) -> None:
        """See :meth:`alicia_mqtt.requests.Requests.submit`."""
        self._window.submit(publish)

    def flush(self) -> None:
        """See :meth:`alicia_mqtt.requests.Requests.flush`."""
        if self._wire.empty:
            return
        self._said = trio.current_time()
        if self._wire.flush():
            self._window.flushed()

    async def subscribe(
        self, topic_filter: str, *, qos: int, number: int, no_local: bool = False
    ) -> None:
        """See :meth:`alicia_mqtt.link.Link.subscribe`."""
        request = Request()
        if self.track(request):
            packet = self._window.next_number()
            self._window.others[packet] = request
            wanted = mqtt5.TopicFilter(
                topic_filter, max_qos=QOS[qos], no_local=no_local, retain_as_published=False
            )
            told = number if self._numbered else None
            self._say(mqtt5.SubscribePacket(packet, [wanted], subscription_id=told).write())
        try:
            await self.wait(request)
        except Permanent as denied:
            raise Permanent(
                f"the broker denied {topic_filter!r}: {denied}", error_class="refused"
            ) from None

    def unsubscribe(self, topic_filter: str) -> None:
        """See :meth:`alicia_mqtt.link.Link.unsubscribe`."""
        request = Request()
        if self.track(request):
            packet = self._window.next_number()
            self._window.others[packet] = request
            self._say(mqtt5.UnsubscribePacket(packet, [topic_filter]).write())

    async def wait_lost(self) -> LinkUnavailable:
        """See :meth:`alicia_mqtt.link.Link.wait_lost`."""
        await self._ended.wait()
        return self.why or LinkUnavailable("closed")

    async def close(self) -> None:
        """End the session politely, within a second."""
        lost = self.why is not None
        self.end(LinkUnavailable("closed"))
        if lost:
            return
        self._wire.write(mqtt5.DisconnectPacket(session_expiry_interval=0).write())
        with trio.move_on_after(CLOSE_WITHIN, shield=True):
            while not self._wire.flush() and not self._wire.broken:
                await self._wire.wait_flushable()

    def end(self, why: LinkUnavailable) -> None:
        """The link is lost."""
        self.lose(why)
        self._ended.set()

    # -- the tasks -----------------------------------------------------------------------------

    async def read(self, data: bytes) -> None:
        """Take in what comes until the connection ends; ``data`` has come already."""
        while self.why is None:
            try:
                data = self._take_in(data)
                self.flush()
                if len(data) > LARGEST_INCOMING:
                    raise Unreadable("a packet larger than was agreed")
                received = await self._wire.receive()
            except Unreadable as error:
                self.end(LinkUnavailable(f"it sent what cannot be read: {error}"))
            except OSError as error:
                self.end(LinkUnavailable(f"it broke: {error}"))
            else:
                if not received:
                    self.end(LinkUnavailable("it closed the connection"))
                self._heard = trio.current_time()
                data = data + received if data else received

    async def write_left_over(self) -> None:
        """Send what the network did not take at once."""
        while True:
            await self._wire.wait_flushable()
            self.flush()

    async def watch(self) -> None:
        """Ping when it is time, and leave a broker that is silent or acknowledges nothing. In
        between it sleeps: an idle connection costs one wake-up a ping."""
        asked = math.inf
        while True:
            now = trio.current_time()
            if self._heard >= asked:
                asked = math.inf
            if now >= asked + self._ping_after:
                self.end(LinkUnavailable("it fell silent"))
                return
            if (silence := self._window.silence()) > self._patience:
                self.end(LinkUnavailable(f"it has acknowledged nothing for {self._patience:g} s"))
                return
            due = min(self._heard, self._said) + self._ping_after
            if asked == math.inf and now >= due:
                self._say(mqtt5.PingReqPacket().write())
                asked = now
            if asked != math.inf:
                due = asked + self._ping_after
            await trio.sleep_until(min(due, now + self._patience - silence) + TICK)

    # -- what comes in -------------------------------------------------------------------------

    def _take_in(self, data: bytes) -> bytes:
        """Act on each whole packet; what is left over."""
        taken = 0
        for packet, end in read_packets(data):
            taken = end
            if type(packet) is Acknowledgement:
                self._window.acknowledged(packet)
            else:
                self._act(packet)
        return data[taken:] if taken else data

    def _act(self, packet: Incoming) -> None:
        if isinstance(packet, mqtt5.PublishPacket):
            self._arrived(packet)
        elif isinstance(packet, mqtt5.PubRelPacket):
            self._half_received.discard(packet.packet_id)
            self._wire.write(mqtt5.PubCompPacket(packet.packet_id).write())
        elif isinstance(packet, mqtt5.SubAckPacket | mqtt5.UnsubAckPacket):
            self._answered(packet)
        elif isinstance(packet, mqtt5.DisconnectPacket):
            self.end(refusal(int(packet.reason_code), name_of(packet.reason_code)))

    def _arrived(self, packet: mqtt5.PublishPacket) -> None:
        number = packet.packet_id or 0
        if number not in self._half_received:
            self._deliver(message_of(packet), tuple(packet.subscription_ids))
        if packet.qos == 1:
            self._wire.write(mqtt5.PubAckPacket(number).write())
        elif packet.qos == 2:
            self._half_received.add(number)
            self._wire.write(mqtt5.PubRecPacket(number).write())

    def _answered(self, packet: mqtt5.SubAckPacket | mqtt5.UnsubAckPacket) -> None:
        request = self._window.others.pop(packet.packet_id, None)
        denied = [code for code in packet.reason_codes if int(code) >= 0x80]
        if request is not None:
            self.settled(request, Permanent(name_of(denied[0])) if denied else None)

    def _say(self, data: bytes) -> None:
        self._wire.write(data)
        self.flush()
