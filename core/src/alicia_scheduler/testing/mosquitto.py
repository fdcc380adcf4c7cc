"""A real Mosquitto for tests of the wire, and a client that watches it from outside.

The fixture ``mosquitto`` (:mod:`alicia_scheduler.testing.plugin`) gives a running one.
:class:`Recorder` is an independent client (paho), so that what a test sees never passes the code
under test.

Where Mosquitto is missing the tests are skipped with a plain sentence, unless
``ALICIA_REQUIRE_MOSQUITTO`` is set: then they fail. The verbs that start and stop the process
block for some milliseconds, which tests can afford.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec
import paho.mqtt.client as paho
import trio
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from alicia_scheduler.api import MqttConnection

__all__ = [
    "Mosquitto",
    "Recorded",
    "Recorder",
    "find_mosquitto",
    "free_port",
    "until_connected",
]

HOST = "127.0.0.1"
PATIENCE = 60.0
"""Seconds a broker has to start, to stop or to answer before a test is given up."""


def find_mosquitto() -> str | None:
    """Path of the broker, or None. Debian puts it where a user's PATH does not lead."""
    return shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def free_port() -> int:
    """A TCP port of the loopback that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


async def until_connected(connection: MqttConnection, connected: bool = True) -> None:
    """Wait until a connection has found its broker, or has lost it.

    Raises:
        trio.TooSlowError: it did not within a minute.
    """
    with trio.fail_after(PATIENCE):
        while connection.connected is not connected:  # noqa: ASYNC110  # the contract has no event
            await trio.sleep(0.01)


class Mosquitto:
    """One broker process on a free port of the loopback, without persistence.

    Args:
        directory: where its configuration file is written.
        settings: lines added to the configuration, e.g. ``"allow_anonymous false"``.
        port: a port instead of a free one.
    """

    def __init__(self, directory: Path, *, settings: str = "", port: int | None = None) -> None:
        self.host = HOST
        self.port = port or free_port()
        self._directory = directory
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def configure(self, settings: str) -> None:
        """Replace the added lines; they hold from the next start on."""
        self._settings = settings

    def start(self) -> None:
        """Start it and return when it accepts connections."""
        program = find_mosquitto()
        assert program is not None, "mosquitto is not installed"
        file = self._directory / f"mosquitto-{self.port}.conf"
        lines = [f"listener {self.port} {HOST}", "set_tcp_nodelay true", self._settings]
        if "allow_anonymous" not in self._settings:
            lines.append("allow_anonymous true")
        if os.geteuid() == 0:  # else it gives its rights up, and cannot read a test's files
            lines.append("user root")
        file.write_text("\n".join(lines) + "\n")
        log = self._directory / f"mosquitto-{self.port}.log"
        with log.open("ab") as output:
            command = [program, "-c", str(file)]
            self._process = subprocess.Popen(command, stdout=output, stderr=output)  # noqa: S603
        give_up = time.monotonic() + PATIENCE
        while not self._answers():
            assert self._process.poll() is None, f"mosquitto ended: {log.read_text()}"
            assert time.monotonic() < give_up, "mosquitto does not listen"
            time.sleep(0.005)

    def _answers(self) -> bool:
        try:
            socket.create_connection((HOST, self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        """Ask it to end (SIGTERM) and wait for it. No effect when it does not run."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a crash would (SIGKILL). No effect when it does not run."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Kill it and start it again on the same port."""
        self.kill()
        self.start()

    def freeze(self) -> None:
        """Stop the process without closing its sockets: a black hole that was once alive."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen process run on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        self._process.send_signal(signal.SIGCONT)
        self._process.wait(PATIENCE)
        self._process = None


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """A message as it arrived at the watching client."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    content_type: str | None = None
    message_expiry: int | None = None
    user_properties: tuple[tuple[str, str], ...] = ()
    response_topic: str | None = None
    correlation_data: bytes | None = None

    def json(self) -> Any:
        """The payload read as JSON."""
        return json.loads(self.payload)


class Recorder:
    """A client of its own that keeps what arrives: ``with Recorder(port, "home/#") as recorder``.

    It speaks MQTT 5, or 3.1.1 when told to, subscribes at QoS 2 so that messages arrive at the QoS
    they were published with, and comes back by itself when the broker was away.
    """

    def __init__(self, port: int, *filters: str, client_id: str = "", protocol: str = "5") -> None:
        self.messages: list[Recorded] = []
        self._port = port
        self._filters = filters
        self._arrived = threading.Condition()
        self._subscriptions = 0
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=paho.MQTTv5 if protocol == "5" else paho.MQTTv311,
        )
        self._client.reconnect_delay_set(min_delay=1, max_delay=1)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_message = self._on_message

    def __enter__(self) -> Recorder:
        self._client.connect(HOST, self._port)
        self._client.loop_start()
        with self._arrived:
            assert self._arrived.wait_for(lambda: self._subscriptions > 0, PATIENCE), "no SUBACK"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def of(self, topic: str) -> list[Recorded]:
        """What arrived on one topic so far, oldest first."""
        return [message for message in list(self.messages) if message.topic == topic]

    async def until(self, condition: Callable[[], bool], what: str = "the condition") -> None:
        """Wait until ``condition``, asked after each message, holds.

        Raises:
            AssertionError: it did not within a minute; the message tells what arrived.
        """
        held = await trio.to_thread.run_sync(self._wait, condition, abandon_on_cancel=True)
        assert held, f"{what} did not come about; arrived: {self.messages}"

    async def wait_for(self, topic: str, count: int = 1) -> list[Recorded]:
        """Wait until ``count`` messages arrived on ``topic``, and return those."""
        await self.until(lambda: len(self.of(topic)) >= count, f"message {count} on {topic}")
        return self.of(topic)

    async def subscriptions(self, count: int) -> None:
        """Wait until the client has subscribed ``count`` times: once, and once a return."""
        await self.until(lambda: self._subscriptions >= count, f"subscription {count}")

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        response_topic: str | None = None,
        correlation_data: bytes | None = None,
    ) -> None:
        """Publish, and return when it is acknowledged. Properties need MQTT 5."""
        properties = None
        if response_topic is not None:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
            properties.ResponseTopic = response_topic
            if correlation_data is not None:
                properties.CorrelationData = correlation_data
        sent = self._client.publish(topic, payload, qos, retain, properties)
        sent.wait_for_publish(PATIENCE)

    def _wait(self, condition: Callable[[], bool]) -> bool:
        with self._arrived:
            return self._arrived.wait_for(condition, PATIENCE)

    def _on_connect(self, client: paho.Client, *_: object) -> None:
        client.subscribe([(topic, 2) for topic in self._filters or ("#",)])

    def _on_subscribe(self, *_: object) -> None:
        with self._arrived:
            self._subscriptions += 1
            self._arrived.notify_all()

    def _on_message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        properties = message.properties
        with self._arrived:
            self.messages.append(
                Recorded(
                    topic=message.topic,
                    payload=bytes(message.payload),
                    qos=message.qos,
                    retain=message.retain,
                    content_type=getattr(properties, "ContentType", None),
                    message_expiry=getattr(properties, "MessageExpiryInterval", None),
                    user_properties=tuple(getattr(properties, "UserProperty", ())),
                    response_topic=getattr(properties, "ResponseTopic", None),
                    correlation_data=getattr(properties, "CorrelationData", None),
                )
            )
            self._arrived.notify_all()
