"""The contract of every sink, kept by mqtt: within the process, and on a real Mosquitto."""

import json
from contextlib import asynccontextmanager

import pytest
import trio

from alicia_mqtt import MqttConfig, open_mqtt
from alicia_scheduler.api import MqttConnection
from alicia_scheduler.testing import Recorder, SinkContract, TestContext
from alicia_scheduler.testing.mosquitto import until_connected
from alicia_sink_mqtt import alicia_sinks


class TestMqtt(SinkContract):
    kind = next(iter(alicia_sinks()))

    @pytest.fixture(autouse=True)
    def _broker(self, fake_broker):
        self.broker = fake_broker

    def options(self):
        return {}

    def context(self):
        return TestContext("sink-mqtt", {MqttConnection: self.broker.connection()})

    async def arrived(self):
        messages = self.broker.on("alicia/scheduler/events")
        return [json.loads(message.payload)["sequence"] for message in messages]


class TestMqttOnTheWire(SinkContract):
    kind = next(iter(alicia_sinks()))

    @pytest.fixture(autouse=True)
    def _broker(self, mosquitto):
        self.port = mosquitto.port
        with Recorder(mosquitto.port, "alicia/scheduler/events") as self.recorder:
            yield

    def options(self):
        return {"qos": 1}

    @asynccontextmanager
    async def opened(self):
        context = TestContext("sink-mqtt")
        config = MqttConfig(host="127.0.0.1", port=self.port, prefix="alicia/scheduler")
        async with open_mqtt(config, TestContext("mqtt")) as connection:
            await until_connected(connection)
            context.services[MqttConnection] = connection
            async with self.kind.open(self.config(self.options()), context) as sink:
                yield sink

    async def arrived(self):
        # The broker has them, but its other client has to be given them first.
        await trio.sleep(0.3)
        return [message.json()["sequence"] for message in self.recorder.messages]
