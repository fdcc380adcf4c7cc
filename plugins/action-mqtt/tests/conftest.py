"""What the tests of the action share."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest

from alicia_action_mqtt.publish import open_publish
from alicia_mqtt import MqttConfig, open_mqtt
from alicia_scheduler.api import MqttConnection
from alicia_scheduler.testing.context import TestContext

NOW = datetime(2026, 3, 1, 6, 30, 0, 250_000, tzinfo=UTC)


@pytest.fixture
def action_at():
    """``action_at(port, **config)``: the action over a connection to that port, at ``NOW``."""

    @asynccontextmanager
    async def action_at(port, state_dir=None, **config):
        context = TestContext("action-mqtt")
        mqtt = TestContext("mqtt", state_dir=state_dir)
        context.instant = mqtt.instant = NOW
        config = MqttConfig(host="127.0.0.1", port=port, prefix="test", **config)
        async with open_mqtt(config, mqtt) as connection, open_publish(context) as action:
            context.services[MqttConnection] = connection
            yield action, connection

    return action_at
