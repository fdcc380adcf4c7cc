"""A scripted Home Assistant, a scripted service on the bus, and the action between them."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

import paho.mqtt.client as paho
import pytest
import trio
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from trio_websocket import ConnectionClosed, wrap_server_stream

from alicia_action_service import (
    HomeAssistant,
    HomeAssistantConfig,
    ServiceCallConfig,
    open_home_assistant,
    open_service_call,
)
from alicia_action_service.home_assistant import connection as connection_module
from alicia_mqtt import MqttConfig, open_mqtt
from alicia_scheduler.api import EventExecution, MqttConnection
from alicia_scheduler.testing.context import TestContext
from alicia_scheduler.testing.mosquitto import until_connected

TOKEN = "token-canary-4711"
EXECUTION = EventExecution(
    execution_id="x-1",
    event_id="evening",
    revision=1,
    scheduled_time=datetime(2026, 3, 1, 6, 30, tzinfo=UTC),
)


class Drop(Exception):
    """The server's end of the connection goes, without a word."""


class Talk:
    """One connection of a client, seen from the server."""

    def __init__(self, websocket: Any, stream: Any) -> None:
        self.websocket, self.stream = websocket, stream
        self.commands: list[dict[str, Any]] = []

    async def say(self, message: Any) -> None:
        text = message if isinstance(message, str) else json.dumps(message)
        await self.websocket.send_message(text)

    async def answer(self, command: dict[str, Any], response: Any = None) -> None:
        result = {"context": {"id": "c-1", "parent_id": None, "user_id": "u"}, "response": response}
        await self.say({"id": command["id"], "type": "result", "success": True, "result": result})

    async def refuse(self, command: dict[str, Any], code: str, message: str = "no") -> None:
        error = {"code": code, "message": message}
        await self.say({"id": command["id"], "type": "result", "success": False, "error": error})


Script = Callable[[Talk, dict[str, Any]], Awaitable[object]]


class Home:
    """Home Assistant as its WebSocket API is described: auth phase, ids that must increase, one
    object or a list in a frame, pongs; what it does with a call a test writes down.

    Attributes:
        on_call: what becomes of each ``call_service``.
        at: what happens in a phase: ``connected``, ``hello``, ``auth``, ``let in``.
        pongs: whether it answers pings.
        talks: its connections so far.
        tokens: with what clients came.
    """

    def __init__(self) -> None:
        self.on_call: Script = lambda talk, command: talk.answer(command)
        self.at: dict[str, Callable[[Talk], Awaitable[object]]] = {}
        self.pongs = True
        self.talks: list[Talk] = []
        self.tokens: list[str] = []
        self.port = 0

    @property
    def calls(self) -> list[dict[str, Any]]:
        """Every call that arrived, on all connections."""
        talks = [command for talk in self.talks for command in talk.commands]
        return [command for command in talks if command["type"] == "call_service"]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, *, task_status: Any, tls: Any = None) -> None:
        listeners = await trio.open_tcp_listeners(self.port, host="127.0.0.1")
        self.port = listeners[0].socket.getsockname()[1]
        async with trio.open_nursery() as nursery:
            task_status.started(nursery.cancel_scope)
            await trio.serve_listeners(partial(self._talk, tls), listeners, handler_nursery=nursery)

    async def _talk(self, tls: Any, stream: Any) -> None:
        linger = struct.pack("ii", 1, 0)
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        whole = trio.SSLStream(stream, tls, server_side=True) if tls else stream
        try:
            async with trio.open_nursery() as nursery:
                talk = Talk(None, stream)
                self.talks.append(talk)
                await self._phase("connected", talk)
                request = await wrap_server_stream(nursery, whole)
                assert request.path == "/api/websocket"
                talk.websocket = await request.accept()
                await self._greet(talk)
                while True:
                    frame = json.loads(await talk.websocket.get_message())
                    for command in frame if isinstance(frame, list) else [frame]:
                        await self._take(talk, command, nursery)
        except* (Drop, ConnectionClosed, OSError, trio.BrokenResourceError):
            pass
        finally:
            await trio.aclose_forcefully(stream)

    async def _phase(self, name: str, talk: Talk) -> None:
        if name in self.at:
            await self.at[name](talk)

    async def _greet(self, talk: Talk) -> None:
        await self._phase("hello", talk)
        await talk.say({"type": "auth_required", "ha_version": "2026.8.1"})
        message = json.loads(await talk.websocket.get_message())
        assert message.keys() == {"type", "access_token"}
        assert message["type"] == "auth"
        self.tokens.append(message["access_token"])
        await self._phase("auth", talk)
        if message["access_token"] != TOKEN:
            await talk.say({"type": "auth_invalid", "message": "Invalid access token or password"})
            await talk.websocket.aclose()
        await talk.say({"type": "auth_ok", "ha_version": "2026.8.1"})
        await self._phase("let in", talk)

    async def _take(self, talk: Talk, command: dict[str, Any], nursery: trio.Nursery) -> None:
        last = talk.commands[-1]["id"] if talk.commands else 0
        if command["id"] <= last:
            await talk.refuse(command, "id_reuse")
            return
        talk.commands.append(command)
        if command["type"] == "ping":
            if self.pongs:
                await talk.say({"id": command["id"], "type": "pong"})
        elif command["type"] == "call_service":
            nursery.start_soon(self.on_call, talk, command)
        else:
            await talk.refuse(command, "unknown_command")


@pytest.fixture
def home_class():
    """The class of a scripted Home Assistant, for a test that runs it itself."""
    return Home


@pytest.fixture
def drop():
    """A script, or a phase, in which the connection is lost."""

    async def drop(*_: object) -> None:
        raise Drop

    return drop


@pytest.fixture
async def home(nursery, monkeypatch):
    """A running Home Assistant, and clients that do not wait long before they come back."""
    monkeypatch.setattr(connection_module, "FIRST", 0.02)
    monkeypatch.setattr(connection_module, "LONGEST", 0.02)
    server = Home()
    scope = await nursery.start(server.serve)
    yield server
    scope.cancel()


@pytest.fixture
def calling():
    """Opens a connection to a Home Assistant and calls through it."""
    return _calling


@asynccontextmanager
async def _calling(home: Home, *, token: str = TOKEN, **config: Any):
    """``call(**action)`` through a connection to ``home``."""
    context = TestContext("action-service")
    config = {"url": home.url, "token": token, **config}
    async with (
        open_home_assistant(HomeAssistantConfig(**config), context) as connection,
        open_service_call(context) as action,
    ):
        context.services[HomeAssistant] = connection

        async def call(service: str = "light.turn_on", **fields: Any) -> Any:
            options = ServiceCallConfig(via="home_assistant", service=service, **fields)
            return await action.run(options, EXECUTION)

        call.connection = connection
        yield call


@pytest.fixture
def until():
    """Waits until something holds."""
    return _until


async def _until(condition: Callable[[], object]) -> None:
    """Wait until something holds."""
    with trio.fail_after(60):
        while not condition():
            await trio.sleep(0.005)


class Service:
    """A service on the bus, a client of its own: ``script(fields, message)`` yields what it
    publishes for a request, as triples of topic, payload and correlation data.

    Attributes:
        requests: the messages that came.
    """

    def __init__(self, port: int, topic: str, script: Any, *, protocol: int = paho.MQTTv5) -> None:
        self.requests: list[paho.MQTTMessage] = []
        self._port, self._topic, self._script = port, topic, script
        self._ready = False
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=protocol)
        self._client.on_connect = lambda *_: self._client.subscribe(self._topic, 1)
        self._client.on_subscribe = self._subscribed
        self._client.on_message = self._message

    async def __aenter__(self) -> Service:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        await _until(lambda: self._ready)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic: str, payload: Any, correlation: bytes | None = None, **more: Any):
        properties = None
        if correlation is not None:
            properties = Properties(PacketTypes.PUBLISH)
            properties.CorrelationData = correlation
        data = payload if isinstance(payload, (str, bytes)) else json.dumps(payload)
        return self._client.publish(topic, data, 1, properties=properties, **more)

    async def store(self, topic: str, payload: Any) -> None:
        """Have the broker keep a message; on return it does."""
        kept = self.publish(topic, payload, retain=True)
        await _until(kept.is_published)

    def _subscribed(self, *_: object) -> None:
        self._ready = True

    def _message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        self.requests.append(message)
        for topic, payload, *correlation in self._script(json.loads(message.payload), message):
            self.publish(topic, payload, *correlation)


@pytest.fixture
def bus_service():
    """The class of a scripted service."""
    return Service


@pytest.fixture
def asking():
    """Opens a connection to a broker and asks through it."""
    return _asking


@asynccontextmanager
async def _asking(port: int, **mqtt: Any):
    """``ask(**action)`` over a connection to the broker."""
    context = TestContext("action-service")
    config = MqttConfig(host="127.0.0.1", port=port, prefix="test", **mqtt)
    async with (
        open_mqtt(config, TestContext("mqtt")) as connection,
        open_service_call(context) as action,
    ):
        context.services[MqttConnection] = connection
        await until_connected(connection)

        async def ask(**fields: Any) -> Any:
            return await action.run(ServiceCallConfig(via="bus", **fields), EXECUTION)

        ask.connection = connection
        yield ask
