"""The contract of every service, kept by mqtt_native on a real Mosquitto.

What the connection promises is tested for both engines by the tests of alicia-mqtt.
"""

import pytest

from alicia_mqtt_native import alicia_services
from alicia_scheduler.testing import ServiceContract
from alicia_scheduler.testing.mosquitto import free_port, until_connected


class TestMqttNative(ServiceContract):
    kind = next(iter(alicia_services()))

    @pytest.fixture(autouse=True)
    def _broker(self, mosquitto):
        self.port = mosquitto.port

    def options(self):
        return {"host": "127.0.0.1", "port": self.port}

    async def use(self, service):
        await until_connected(service)
        await service.publish("test/contract", b"{}", qos=1)


class TestMqttNativeWithoutBroker(ServiceContract):
    kind = next(iter(alicia_services()))

    def options(self):
        return {"host": "127.0.0.1", "port": free_port()}
