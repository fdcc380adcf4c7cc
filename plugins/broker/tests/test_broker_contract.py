"""The contract of every service, kept by broker."""

import pytest
import trio

from alicia_broker import alicia_services
from alicia_scheduler.testing import ServiceContract
from alicia_scheduler.testing.mosquitto import find_mosquitto, free_port


@pytest.mark.skipif(find_mosquitto() is None, reason="mosquitto is not installed")
class TestBroker(ServiceContract):
    kind = next(iter(alicia_services()))

    def options(self):
        return {"host": "127.0.0.1", "port": free_port()}

    async def use(self, service):
        await (await trio.open_tcp_stream(service.host, service.port)).aclose()
