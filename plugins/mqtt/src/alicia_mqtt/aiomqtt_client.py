"""aiomqtt's client as a link needs it: the seams to it, in one place.

aiomqtt (the present name of asyncio-mqtt) connects, keeps the socket and turns the loop. What it
has no public way for is reached through a few private names, here and nowhere else; the tests
notice when a release changes them.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import TypeVar, TypeVarTuple

import aiomqtt
from paho.mqtt import client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from alicia_mqtt.config import MqttConfig, Protocol
from alicia_mqtt.properties import (
    connect_properties,
    empty_properties,
    farewell_properties,
    will_properties,
)

__all__ = ["BrokerClient", "InPlaceLoop", "build_client"]

QUIET = logging.getLogger("alicia_mqtt.aiomqtt")
# aiomqtt and paho tell each loss as an error of their own; the connection tells it once already.
QUIET.setLevel(logging.CRITICAL)

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

PROBE = 2.0
"""Seconds until a broker that may not speak MQTT 5 is asked again in 3.1.1: amqtt misreads the
newer packet and waits for the rest of it for ever."""

PING_AFTER = 0.7
"""Share of ``keepalive`` after which a silent broker is asked. paho gives up when a second such
span passes in silence, so the loss is noticed within 1.5 times ``keepalive`` (R44)."""


class InPlaceLoop(asyncio.SelectorEventLoop):
    """A loop that runs blocking calls in place.

    The only ones are finding the broker's address, connecting and the TLS handshake, before
    anything else happens in its thread. asyncio's own pool of threads would be joined when the
    process ends, and a black hole would hold the process for as long as it likes.
    """

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts
    ) -> asyncio.Future[T]:
        """Call ``func`` now; the future that is returned is done."""
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001  # carried to whoever awaits the future
            future.set_exception(error)
        return future


class BrokerClient(aiomqtt.Client):
    """aiomqtt's client with its paho client in reach, and an end that leaves nothing behind."""

    @property
    def paho(self) -> paho.Client:
        """The client inside: acknowledgements with their reason codes, and the socket."""
        return self._client

    async def _misc_loop(self) -> None:
        # aiomqtt would wake the process every second here; the session's watch takes its place.
        return

    def until_ping(self) -> float:
        """Seconds until paho has to look after its keep-alive again; 0 when it is overdue.

        It tells a ping that is due, or one that was not answered, only when it is asked.
        """
        client = self._client
        quiet_since = min(client._last_msg_out, client._last_bytes_received)
        return max(0.0, quiet_since + client.keepalive - time.monotonic())

    def discard(self) -> None:
        """Close the socket, whatever state it is in.

        aiomqtt leaves it open when a connection attempt is given up, and the broker would go on
        serving a ghost that has our client id.
        """
        self.paho.on_socket_close = None
        self.paho.on_socket_unregister_write = None
        stale = self.paho.socket()
        if isinstance(stale, socket.socket) and stale.fileno() >= 0:
            loop = asyncio.get_running_loop()
            loop.remove_reader(stale)
            loop.remove_writer(stale)
            stale.close()


def build_client(
    config: MqttConfig,
    *,
    client_id: str,
    protocol: Protocol,
    resume: bool,
    tls: ssl.SSLContext | None,
) -> BrokerClient:
    """A client that is ready to connect once. Must be called in its loop's thread."""
    modern = protocol == "5"
    client = BrokerClient(
        config.host,
        config.port,
        username=config.username,
        password=config.password,
        identifier=client_id,
        protocol=aiomqtt.ProtocolVersion.V5 if modern else aiomqtt.ProtocolVersion.V311,
        will=aiomqtt.Will(
            config.availability_topic,
            b"offline",
            qos=1,
            retain=True,
            properties=will_properties(config.will_delay) if modern else None,
        ),
        clean_start=not resume if modern else paho.MQTT_CLEAN_START_FIRST_ONLY,
        keepalive=max(1, round(config.keepalive * PING_AFTER)),
        timeout=_answer_within(config, protocol),
        properties=connect_properties(config.session_expiry) if modern else None,
        tls_context=tls,
        logger=QUIET,
        # Otherwise each acknowledged publish takes some 40 ms: Nagle's algorithm waits for the
        # delayed acknowledgement of TCP.
        socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
    )
    client.paho.disable_logger()
    client.paho.connect_timeout = config.connect_timeout
    client.paho.max_inflight_messages_set(0)  # 0 is no limit; the sender's window is the only one
    if modern:
        _heed_refused_receipts(client.paho)
        # aiomqtt has no way to say it, and the broker would keep for us what nobody will fetch.
        client.paho.disconnect = partial(  # type: ignore[method-assign]
            client.paho.disconnect, properties=farewell_properties()
        )
    return client


def _answer_within(config: MqttConfig, protocol: Protocol) -> float:
    """Seconds from the connection's being taken to the broker's answer."""
    probing = config.protocol == "auto" and protocol == "5"
    return min(PROBE, config.connect_timeout / 2) if probing else config.connect_timeout


def _heed_refused_receipts(client: paho.Client) -> None:
    """End a QoS 2 message that the broker refuses at its receipt (PUBREC, MQTT 5 section 4.3.3).

    paho reads no reason code there, goes on with the release, and in the end takes the message
    for delivered. It has no public way to learn of it either.
    """
    accepted = client._handle_pubrec

    def handle_pubrec() -> MQTTErrorCode:
        packet = bytes(client._in_packet["packet"])
        number = int.from_bytes(packet[:2], "big")
        if len(packet) < 3 or packet[2] < 0x80 or number not in client._out_messages:
            return accepted()
        reason = ReasonCode(PacketTypes.PUBREC, identifier=packet[2])
        return client._do_on_publish(number, reason, empty_properties(PacketTypes.PUBREC))

    client._handle_pubrec = handle_pubrec  # type: ignore[method-assign]  # see above
