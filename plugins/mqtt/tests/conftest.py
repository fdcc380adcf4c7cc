"""What the tests of the connection share."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from alicia_mqtt import MqttConfig, open_mqtt
from alicia_scheduler.api import MqttConnection
from alicia_scheduler.testing.context import TestContext


@pytest.fixture
def connect() -> Callable[..., AbstractAsyncContextManager[MqttConnection]]:
    """``connect(port, **config)``: the service as the host opens it, below the prefix ``test``.
    ``state_dir`` and ``context`` are the host's."""

    def connect(
        port: int, *, state_dir: Any = None, context: Any = None, **config: Any
    ) -> AbstractAsyncContextManager[MqttConnection]:
        whole = {"host": "127.0.0.1", "port": port, "prefix": "test", **config}
        return open_mqtt(MqttConfig(**whole), context or TestContext("mqtt", state_dir=state_dir))

    return connect
