"""The contract of every service, kept by mqtt on a real Mosquitto."""

import pytest

from alicia_mqtt import alicia_services
from alicia_scheduler.testing import ServiceContract
from alicia_scheduler.testing.mosquitto import free_port, until_connected


class TestMqtt(ServiceContract):
    kind = next(iter(alicia_services()))

    @pytest.fixture(autouse=True)
    def _broker(self, mosquitto):
        self.port = mosquitto.port

    def options(self):
        return {"host": "127.0.0.1", "port": self.port}

    async def use(self, service):
        await until_connected(service)
        await service.publish("test/contract", b"{}", qos=1)


class TestMqttWithoutBroker(ServiceContract):
    kind = next(iter(alicia_services()))

    def options(self):
        return {"host": "127.0.0.1", "port": free_port()}
