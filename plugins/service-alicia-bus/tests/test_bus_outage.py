"""The broker goes and comes back, is not there at first, or is shared with another host."""

from contextlib import asynccontextmanager

import trio

from alicia_scheduler.api import Permanent
from alicia_scheduler.testing.context import TestContext
from alicia_scheduler.testing.relay import Relay
from alicia_service_alicia_bus.bus import _listen

PREFIX = "alicia/scheduler"


async def test_t8_it_listens_again_when_the_broker_was_away(mosquitto, host_at, client, far):
    async with host_at(mosquitto.port):
        await client.registered()
        mosquitto.restart()
        await client.subscriptions(2)
        await asked(client)
        assert (await client.command("create_event", event=far))["status"] == "ok"


async def test_it_registers_at_every_connection(mosquitto, host_at, client):
    with Relay(mosquitto.port) as relay:
        async with host_at(relay.port):
            await client.registered()
            relay.cut()
            relay.join()
            await client.registered(2)


async def test_b5_a_host_starts_without_a_broker(mosquitto, host_at, client_at):
    mosquitto.stop()
    async with host_at(mosquitto.port):
        mosquitto.start()
        with client_at(mosquitto.port, "alicia/#") as client:
            await asked(client)


async def asked(client):
    """Ask until somebody answers: the door may have registered before this client came."""
    with trio.fail_after(30):
        while True:
            client.tell(f"{PREFIX}/x", {"command": "get_stats", "source": "late"})
            if client.of(f"{PREFIX}/response/late"):
                return
            await trio.sleep(0.1)


class Slow:
    """Commands that wait to be let on."""

    def __init__(self, commands):
        self.commands, self.begun, self.go = commands, trio.Event(), trio.Event()

    async def execute(self, caller, name, arguments):
        if name.startswith("events/"):
            self.begun.set()
            await self.go.wait()
        return await self.commands.execute(caller, name, arguments)


async def test_a_command_under_way_is_done_once_and_answered_after_the_outage(
    mosquitto, host_at, client, far
):
    async with host_at(mosquitto.port) as host:
        await client.registered()
        surroundings = host._surroundings
        surroundings.commands = slow = Slow(surroundings.commands)
        command = {"command": "create_event", "event": far, "source": "ai", "request_id": "r-1"}
        client.tell(f"{PREFIX}/x", command)
        with trio.fail_after(10):
            await slow.begun.wait()
        mosquitto.kill()
        slow.go.set()
        with trio.fail_after(10):
            while not await host.kernel.store.list_events(limit=1):
                await trio.sleep(0.02)
        mosquitto.start()
        await client.subscriptions(2)
        await asked(client)
        # Its answer may have come before this client was back; who is not sure asks again.
        client.tell(f"{PREFIX}/x", command)
        reply = await client.answer(f"{PREFIX}/response/ai", "r-1")
    assert (reply["status"], reply["data"]["event_id"]) == ("ok", "far")


async def test_two_hosts_share_a_broker_and_hear_each_their_own(mosquitto, host_at, client, far):
    other = 'service_name = "second"\nprefix = "alicia/second"'
    mqtt = 'prefix = "alicia/second"'
    async with (
        host_at(mosquitto.port) as first,
        host_at(mosquitto.port, other, mqtt=mqtt, instance="cellar") as second,
    ):
        await client.registered()
        await client.registered(service="second")
        await client.command("create_event", event=far)
        client.tell("alicia/second/x", {"command": "get_stats", "source": "ai"})
        [reply] = await client.wait_for("alicia/second/response/ai")
        assert reply.json()["data"]["total_events"] == 0
        assert len(await first.kernel.store.list_events(limit=10)) == 1
        assert await second.kernel.store.list_events(limit=10) == []
        client.tell("alicia/services/second/control", {"command": "stop"})
        await client.wait_for("alicia/services/second/status", 2)
        assert first.kernel.paused_until is None


async def test_t17_a_filter_that_the_broker_denies_is_told_and_the_rest_goes_on(caplog):
    class Denying:
        @asynccontextmanager
        async def subscribe(self, topic_filter, **_):
            raise Permanent(f"the broker denied {topic_filter!r}", error_class="refused")
            yield

    async with trio.open_nursery() as nursery:
        await nursery.start(_listen, Denying(), "alicia/events/+", print, TestContext("bus"))
    assert [r.getMessage() for r in caplog.records] == [
        "the broker denied 'alicia/events/+': nothing can come from there"
    ]
