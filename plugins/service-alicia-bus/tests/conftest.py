"""A whole host behind the door, a real Mosquitto before it, and clients of the bus."""

from __future__ import annotations

import itertools
import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
import trio

from alicia_scheduler.config.document import Document
from alicia_scheduler.config.load import configuration
from alicia_scheduler.control.control import Control
from alicia_scheduler.host.check import check_configuration
from alicia_scheduler.host.discovery import find_candidates
from alicia_scheduler.host.host import Host
from alicia_scheduler.host.loader import load_plugins
from alicia_scheduler.host.registry import Registry
from alicia_scheduler.testing.mosquitto import Recorder

PREFIX = "alicia/scheduler"


class Client(Recorder):
    """A client of the bus that asks and waits for the answer."""

    numbers = itertools.count(1)

    def tell(self, topic, payload, **more):
        self.publish(
            topic, payload if isinstance(payload, bytes) else json.dumps(payload).encode(), **more
        )

    async def ask(self, topic, payload, *, source="tester"):
        """Ask in the way of MQTT 3.1.1, flat: request_id, and the sender's own reply topic."""
        request_id = f"r-{next(self.numbers)}"
        self.tell(topic, {"source": source, "request_id": request_id, **payload})
        return await self.answer(f"{PREFIX}/response/{source}", request_id)

    async def command(self, command, **fields):
        """Give a flat command; the reply."""
        return await self.ask(f"{PREFIX}/control", {"command": command, **fields})

    async def registered(self, count=1, service="event_scheduler"):
        """Wait until a door has said that it is there: then it listens."""
        topic = "alicia/system/discovery/register"
        await self.until(
            lambda: (
                sum(message.json()["service_name"] == service for message in self.of(topic))
                >= count
            ),
            f"registration {count} of {service}",
        )

    async def answer(self, topic, request_id):
        found = []

        def there():
            found[:] = [
                message.json()
                for message in self.of(topic)
                if message.json()["request_id"] == request_id
            ]
            return bool(found)

        await self.until(there, f"the answer to {request_id} on {topic}")
        return found[0]


@pytest.fixture(scope="session")
def plugins():
    return find_candidates()


@pytest.fixture
def host_at(plugins, tmp_path):
    """``async with host_at(port, "allow = […]") as host``: a host whose door is open."""

    @asynccontextmanager
    async def host_at(
        port, bus="", *, more="", mqtt="", instance="attic", events="", state=None, beat=0
    ):
        text = (
            f'[scheduler]\ntimezone = "UTC"\ninstance = "{instance}"\n'
            f'[services.mqtt]\nhost = "127.0.0.1"\nport = {port}\n{mqtt}\n'
            f"[services.alicia_bus]\nhealth_interval = {beat}\n{bus}\n{more}\n{events}\n"
        )
        registry = Registry(load_plugins(plugins))
        loaded = configuration(Document.parse(text, str(tmp_path / "home.toml")))
        checked = check_configuration(loaded, registry, now=datetime.now(UTC))
        assert [str(issue) for issue in checked.issues] == []
        host = Host(loaded.settings, checked, registry, state_dir=state)
        Control(host)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(host.run)
            with trio.fail_after(20):
                await host.started.wait()
            try:
                yield host
            finally:
                host.hurry()

    return host_at


@pytest.fixture
def client_at():
    """``with client_at(port, "home/#", protocol="3.1.1") as client``."""
    return Client


@pytest.fixture
def far():
    """An event in the original's words that never comes due in a test."""
    return {
        "event_id": "far",
        "name": "far away",
        "schedule_type": "once",
        "schedule_config": {"timestamp": 4_000_000_000},
        "action": {"topic": "home/far", "message": {"on": True}},
    }


@pytest.fixture
def client(mosquitto):
    with Client(mosquitto.port, "alicia/#", "home/#", "reply/#") as client:
        yield client
