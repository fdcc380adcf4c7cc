"""The contract of every action, kept by mqtt_publish on a real Mosquitto."""

from contextlib import asynccontextmanager

import pytest

from alicia_action_mqtt import alicia_action_types
from alicia_scheduler.testing import ActionContract


class TestMqttPublish(ActionContract):
    kind = next(iter(alicia_action_types()))

    @pytest.fixture(autouse=True)
    def _broker(self, mosquitto, action_at):
        self.action_at, self.port = action_at, mosquitto.port

    @asynccontextmanager
    async def opened(self):
        async with self.action_at(self.port) as (action, _connection):
            yield action

    def quick(self):
        return {"topic": "home/lamp/set", "message": {"state": "ON"}, "qos": 1}

    def slow(self):
        return {**self.quick(), "ack": {"topic": "home/lamp/never", "timeout": 30}}

    def failing(self):
        return {**self.quick(), "ack": {"topic": "home/lamp/never", "timeout": 0.2}}
