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
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from typing import Any

import aiomqtt
from paho.mqtt import client as paho
from paho.mqtt.enums import MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from alicia_mqtt.config import MqttConfig, Protocol
from alicia_mqtt.limits import keepalive_of
from alicia_mqtt.properties import (
    connect_properties,
    empty_properties,
    farewell_properties,
    will_properties,
)
from alicia_mqtt.versions import answer_within

__all__ = ["BrokerClient", "build_client"]

QUIET = logging.getLogger("alicia_mqtt.aiomqtt")
# aiomqtt and paho tell each loss as an error of their own; the connection tells it once already.
QUIET.setLevel(logging.CRITICAL)


class BrokerClient(aiomqtt.Client):
    """aiomqtt's client with its paho client in reach, and an end that leaves nothing behind."""

    _loop_of_writes: asyncio.AbstractEventLoop
    _write_due = False
    _held = 0
    _watched = False
    _discarded = False

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

    def write_directly(self) -> None:
        """From now on write where something is to be written, in the loop's own thread.

        aiomqtt would wake the loop, let it watch the socket, and write in the turn after; that is
        for the socket that is full alone.
        """
        self._loop_of_writes = asyncio.get_running_loop()
        self.paho.on_socket_register_write = self._write_soon
        self.paho.on_socket_unregister_write = self._all_written

    def hold_writes(self) -> None:
        """What is to be written from now on is for the next :meth:`flush`."""
        self._write_due = True
        self._held += 1

    def flush(self) -> None:
        """Write what waits, as far as the socket takes it."""
        if not self._write_due:
            return
        self._write_due = False
        many, self._held = self._held > 1, 0
        sock: Any = self._client.socket()
        if sock is None:
            return
        with _corked(sock) if many else nullcontext():
            self._client.loop_write()
        still_there = self._client.socket() is not None
        if self._client.want_write() and still_there and not self._watched:
            self._loop_of_writes.add_writer(sock, self._writable)
            self._watched = True

    def _writable(self) -> None:
        self._write_due = True
        self.flush()

    def _write_soon(self, client: object, data: object, sock: Any) -> None:
        if not self._write_due:
            self._write_due = True
            self._loop_of_writes.call_soon(self.flush)

    def _all_written(self, client: object, data: object, sock: Any) -> None:
        if self._watched:
            self._watched = False
            self._loop_of_writes.remove_writer(sock)

    def _client_connect(self) -> None:
        # In a thread of its own, which may come back when nobody wants the connection any more.
        super()._client_connect()
        if self._discarded:
            self._close_socket()

    def discard(self) -> None:
        """Close the socket, whatever state it is in, also one that is still to be opened.

        aiomqtt leaves it open when a connection attempt is given up, and the broker would go on
        serving a ghost that has our client id.
        """
        self._discarded = True
        self.paho.on_socket_close = None
        self.paho.on_socket_unregister_write = None
        stale = self.paho.socket()
        if isinstance(stale, socket.socket) and stale.fileno() >= 0:
            loop = asyncio.get_running_loop()
            loop.remove_reader(stale)
            loop.remove_writer(stale)
        self._close_socket()

    def _close_socket(self) -> None:
        stale = self.paho.socket()
        if isinstance(stale, socket.socket):
            stale.close()


@contextmanager
def _corked(sock: Any) -> Iterator[None]:
    """Let the system send what is written meanwhile in one go: paho writes packet by packet, and
    each would wake the broker."""
    cork = getattr(socket, "TCP_CORK", None)
    if cork is None:
        yield
        return
    sock.setsockopt(socket.IPPROTO_TCP, cork, 1)
    try:
        yield
    finally:
        with suppress(OSError):  # the connection broke, and the socket is closed
            sock.setsockopt(socket.IPPROTO_TCP, cork, 0)


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
        keepalive=keepalive_of(config),
        timeout=answer_within(config, protocol),
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
