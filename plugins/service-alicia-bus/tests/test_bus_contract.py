"""The service keeps the contract of every service."""

from alicia_scheduler.api import MqttConnection
from alicia_scheduler.testing import FakeBroker, ServiceContract, TestContext
from alicia_service_alicia_bus import alicia_services


class Answering:
    """A host that answers every command in the same way."""

    async def execute(self, caller, name, arguments):
        return {"events": [], "next": None}


class TestAliciaBus(ServiceContract):
    kind = next(iter(alicia_services()))

    def options(self):
        return {"health_interval": 0}

    def context(self):
        connection = FakeBroker().connection()
        context = TestContext("service-alicia-bus", {MqttConnection: connection})
        context.answering = Answering()
        return context
