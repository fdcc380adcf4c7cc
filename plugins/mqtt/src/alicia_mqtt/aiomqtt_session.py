"""The asyncio half of a link: one connection, from the attempt to its end.

All of it runs in the turns of a loop of its own (:mod:`alicia_mqtt.hosted_loop`), but for
:meth:`Session.publish`, which any task of trio calls. What it has to tell goes to a
:class:`Report`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, Protocol, cast

import aiomqtt
from paho.mqtt import client as paho
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from alicia_mqtt.aiomqtt_client import BrokerClient, build_client
from alicia_mqtt.config import MqttConfig
from alicia_mqtt.config import Protocol as Version
from alicia_mqtt.limits import BrokerLimits
from alicia_mqtt.link import (
    LinkUnavailable,
    Unanswered,
    Untrusted,
    refusal,
)
from alicia_mqtt.properties import subscribe_properties
from alicia_mqtt.requests import Publish, Request
from alicia_mqtt.sender import Sender
from alicia_scheduler.api import AliciaError, MqttMessage, Permanent, Retryable

__all__ = ["Report", "Session"]

Behind = Callable[..., object]
"""A callback of aiomqtt that ours stands in front of."""

TICK = 0.01
"""Seconds that the watch wakes after the instant it waits for, and the least that it sleeps."""


class Report(Protocol):
    """What a session tells the link. Nothing here waits."""

    def opened(self) -> None:
        """The broker accepted the connection."""

    def ended(self, why: LinkUnavailable) -> None:
        """The session is over, or never began."""

    def settled(self, request: Request, error: AliciaError | None) -> None:
        """A request was carried out, or failed with ``error``."""

    def arrived(self, message: MqttMessage, numbers: tuple[int, ...]) -> None:
        """A message came in, for the subscriptions with these numbers."""


class Session:
    """One connection."""

    def __init__(
        self,
        config: MqttConfig,
        *,
        client_id: str,
        protocol: Version,
        resume: bool,
        tls: ssl.SSLContext | None,
        report: Report,
    ) -> None:
        self._config = config
        self._client_id = client_id
        self._protocol = protocol
        self._resume = resume
        self._tls = tls
        self._report = report
        self._main: asyncio.Task[None] | None = None
        self._stopped: LinkUnavailable | None = None
        self._answered = False
        self._farewell: ReasonCode | None = None
        self._limits = BrokerLimits()
        self._client: BrokerClient | None = None
        self._sender: Sender | None = None
        self._calls: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Connect, serve until the connection ends, and report how it went."""
        self._main = asyncio.current_task()
        why = LinkUnavailable("the connection failed in an unforeseen way")
        try:
            why = await self._serve()
        except asyncio.CancelledError:
            why = self._stopped or why
        except Exception as bug:  # noqa: BLE001  # told by the connection
            why = LinkUnavailable(f"{type(bug).__name__}: {bug}")
        finally:
            self._report.ended(why)

    def stop(self, why: LinkUnavailable | None = None) -> None:
        """Disconnect and end; before the broker has answered, just end."""
        self._stopped = self._stopped or why or LinkUnavailable("closed")
        if self._main is not None:
            self._main.cancel()

    def publish(self, request: Publish) -> None:
        """Send a message with the next :meth:`flush`, or when its turn comes."""
        if self._sender is not None:
            self._sender.submit(request)

    def flush(self) -> None:
        """Hand to the network what was to be sent."""
        if self._client is not None:
            self._client.flush()

    def subscribe(
        self, request: Request, topic_filter: str, qos: int, number: int, no_local: bool
    ) -> None:
        """Subscribe; ``number`` comes back with each message that matched, and with ``no_local``
        our own do not (MQTT 5)."""
        subscribing = self._subscribe(topic_filter, qos, number, no_local)
        self._start(self._carry_out(request, subscribing))

    def unsubscribe(self, topic_filter: str) -> None:
        """Unsubscribe; nobody waits for it."""
        # A task too, so that it cannot overtake the subscription that it ends.
        if self._client is not None:
            self._start(self._unsubscribe(self._client, topic_filter))

    async def _serve(self) -> LinkUnavailable:
        """Connect, wait until the connection is lost, and return why it was."""
        if self._stopped is not None:
            return self._stopped
        client = build_client(
            self._config,
            client_id=self._client_id,
            protocol=self._protocol,
            resume=self._resume,
            tls=self._tls,
        )
        self._take_callbacks(client.paho)
        try:
            async with client:
                await self._use(client)
        except aiomqtt.MqttError as loss:
            if not self._answered and client.paho.socket() is not None:
                return Unanswered("it keeps silent")
            return self._explain(loss)
        finally:
            client.discard()
        return LinkUnavailable("closed")

    async def _use(self, client: BrokerClient) -> None:
        self._client = client
        client.timeout = self._config.connect_timeout
        client.write_directly()
        self._sender = Sender(
            client,
            properties=self._protocol == "5",
            limits=self._limits,
            settled=self._report.settled,
        )
        self._report.opened()
        watch = asyncio.create_task(self._watch(client, self._sender))
        try:
            # Incoming messages take another way, so nothing ever comes out here: it ends when
            # the connection is lost.
            async for _ in client.messages:
                pass
        finally:
            watch.cancel()

    async def _watch(self, client: BrokerClient, sender: Sender) -> None:
        """Ping when it is time, and end a connection whose broker acknowledges nothing. In
        between it sleeps: an idle connection costs one wake-up a ping."""
        patience = 1.5 * self._config.keepalive
        while (silence := sender.silence()) <= patience:
            client.paho.loop_misc()
            await asyncio.sleep(min(client.until_ping(), patience - silence) + TICK)
        self.stop(LinkUnavailable(f"it has acknowledged nothing for {patience:g} s"))

    def _start(self, call: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(call)
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)

    async def _unsubscribe(self, client: BrokerClient, topic_filter: str) -> None:
        with suppress(aiomqtt.MqttError, ValueError):
            await client.unsubscribe(topic_filter)

    async def _carry_out(self, request: Request, call: Coroutine[Any, Any, object]) -> None:
        error: AliciaError | None = None
        try:
            await call
        except AliciaError as refusal:
            error = refusal
        except (aiomqtt.MqttError, ValueError) as failure:
            error = Retryable(f"the broker did not answer: {failure}", error_class="connection")
        self._report.settled(request, error)

    async def _subscribe(self, topic_filter: str, qos: int, number: int, no_local: bool) -> None:
        if self._client is None:
            raise Retryable("there is no connection", error_class="connection")
        modern = self._protocol == "5"
        numbered = modern and self._limits.numbers_subscriptions
        codes = await self._client.subscribe(
            topic_filter,
            0 if modern else qos,  # with options paho wants it there alone
            options=SubscribeOptions(qos=qos, noLocal=no_local) if modern else None,
            properties=subscribe_properties(number) if numbered else None,
        )
        for code in codes:
            if isinstance(code, ReasonCode) and code.is_failure:
                raise Permanent(
                    f"the broker denied {topic_filter!r}: {code}", error_class="refused"
                )

    def _explain(self, loss: aiomqtt.MqttError) -> LinkUnavailable:
        """What an end of the connection, or a refusal of it, means for the next attempt."""
        if isinstance(loss.__context__, ssl.SSLCertVerificationError):
            return Untrusted(f"its certificate is not trusted: {loss.__context__.verify_message}")
        reason = loss.rc if isinstance(loss, aiomqtt.MqttCodeError) else self._farewell
        if not isinstance(reason, ReasonCode):
            return LinkUnavailable("it broke" if self._answered else str(loss))
        return refusal(reason.value, reason.getName())

    # paho's callbacks. The first two also serve aiomqtt, whose own are called behind.

    def _take_callbacks(self, client: paho.Client) -> None:
        client.on_connect = partial(self._on_connect, cast(Behind, client.on_connect))
        client.on_disconnect = partial(self._on_disconnect, cast(Behind, client.on_disconnect))
        client.on_publish = self._on_publish
        client.on_message = self._on_message

    def _on_connect(
        self,
        behind: Behind,
        client: paho.Client,
        data: object,
        flags: object,
        reason: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        self._answered = True
        self._limits = BrokerLimits.told(properties)
        behind(client, data, flags, reason, properties)

    def _on_disconnect(
        self,
        behind: Behind,
        client: paho.Client,
        data: object,
        flags: paho.DisconnectFlags,
        reason: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        if flags.is_disconnect_packet_from_server:
            self._farewell = reason
        if not self._answered:  # aiomqtt would wait its whole timeout for an answer
            self.stop(Unanswered("it closed the connection without an answer"))
        behind(client, data, flags, reason, properties)

    def _on_publish(
        self,
        client: paho.Client,
        data: object,
        packet: int,
        reason: ReasonCode,
        properties: Properties,
    ) -> None:
        if self._sender is not None:
            self._sender.answered(packet, reason)

    def _on_message(self, client: paho.Client, data: object, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:  # not a topic by MQTT 5 section 1.5.4; nobody can want it
            return
        properties = message.properties
        self._report.arrived(
            MqttMessage(
                topic=topic,
                payload=bytes(message.payload),
                qos=message.qos,
                retain=message.retain,
                redelivered=message.dup,
                response_topic=getattr(properties, "ResponseTopic", None),
                correlation_data=getattr(properties, "CorrelationData", None),
                user_properties=tuple(getattr(properties, "UserProperty", ())),
            ),
            tuple(getattr(properties, "SubscriptionIdentifier", ())),
        )
