"""The contract of every service, kept by home_assistant."""

from contextlib import asynccontextmanager

import pytest
import trio

from alicia_action_service import alicia_services
from alicia_scheduler.testing import ServiceContract


class TestHomeAssistant(ServiceContract):
    kind = next(iter(alicia_services()))
    port = 1

    @pytest.fixture(autouse=True)
    def _home(self, home_class):
        self.home_class = home_class

    def options(self):
        return {"url": f"http://127.0.0.1:{self.port}", "token": "token-canary-4711"}

    @asynccontextmanager
    async def opened(self):
        server = self.home_class()
        async with trio.open_nursery() as nursery:
            await nursery.start(server.serve)
            self.port = server.port
            async with super().opened() as service:
                yield service
            nursery.cancel_scope.cancel()

    async def use(self, service):
        while not service.connected:
            await trio.sleep(0.01)
