"""What the tests of the connection share. They run once for each engine that is installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from alicia_mqtt import MqttConfig, open_mqtt
from alicia_scheduler.api import MqttConnection
from alicia_scheduler.testing.context import TestContext

OF_ALL_ENGINES = {"test_mqtt_outbox", "test_mqtt_availability"}
"""Modules whose subject is above the engine; they run with the default one alone."""

NATIVE = "alicia_mqtt_native"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine" not in metafunc.fixturenames:
        return
    engines = ["alicia_mqtt"]
    if metafunc.module.__name__.rpartition(".")[2] not in OF_ALL_ENGINES:
        there = importlib.util.find_spec(NATIVE) is not None
        skip = pytest.mark.skipif(not there, reason="alicia-mqtt-native is not installed")
        engines.append(pytest.param(NATIVE, marks=skip))
    metafunc.parametrize("engine", engines)


@pytest.fixture
def connect(engine: str) -> Callable[..., AbstractAsyncContextManager[MqttConnection]]:
    """``connect(port, **config)``: the service as the host opens it, below the prefix ``test``.
    ``state_dir`` and ``context`` are the host's."""

    def connect(
        port: int, *, state_dir: Any = None, context: Any = None, **config: Any
    ) -> AbstractAsyncContextManager[MqttConnection]:
        opened = open_mqtt
        if engine == NATIVE:
            from alicia_mqtt_native import open_mqtt_native

            opened = open_mqtt_native
        whole = {"host": "127.0.0.1", "port": port, "prefix": "test", **config}
        return opened(MqttConfig(**whole), context or TestContext("mqtt", state_dir=state_dir))

    return connect
