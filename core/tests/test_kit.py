"""The kit's fixtures and strategies, as a plugin's tests use them."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
import trio
from hypothesis import given, settings

from alicia_scheduler.api import Permanent, Retryable, Status, reading_at
from alicia_scheduler.api.mqtt import MqttOutgoing
from alicia_scheduler.testing import TestContext
from alicia_scheduler.testing.broker import topic_matches
from alicia_scheduler.testing.strategies import aware_instants, instants_near_changes, transitions

SLOT = datetime(2026, 1, 1, tzinfo=UTC)


def test_pytest_loads_the_kit_without_anything_of_the_scheduler():
    program = (
        "import alicia_scheduler.testing.plugin, sys;"
        "sys.exit(any(n in sys.modules for n in ('trio', 'msgspec', 'alicia_scheduler.kernel',"
        " 'alicia_scheduler.host', 'hypothesis', 'paho')))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


async def test_the_host_in_memory_records_what_happens(host_in_memory, virtual_clock):
    async def blink():
        return {"on": True}

    async with host_in_memory(plugins=["schedule-interval"], clock=virtual_clock) as host:
        await host.add_event(
            "lamp", schedule_type="interval", schedule_config={"interval": 60}, action=blink
        )
        await host.clock.advance(61)
        data = await host.recorded.wait_for("execution_completed")
        assert (data["event_id"], data["result"]) == ("lamp", {"on": True})
        (record,) = await host.kernel.store.list_executions()
        assert record.status is Status.COMPLETED


async def test_a_recorder_can_be_told_to_fail(recorder_sink):
    recorder_sink.failures = 1
    with pytest.raises(OSError, match="told to fail"):
        await recorder_sink.write([])
    await recorder_sink.write([])
    assert recorder_sink.batches == [[]]


# -- the fake broker -------------------------------------------------------------------------


async def test_what_is_published_reaches_the_readers_of_its_topic(fake_broker):
    connection = fake_broker.connection()
    async with connection.subscribe("home/+/set") as messages:
        await connection.publish("home/lamp/state", b"no")
        await connection.publish("home/lamp/set", b"on", qos=1)
        assert (await anext(messages)).payload == b"on"
    assert [item.payload for item in fake_broker.on("home/#")] == [b"no", b"on"]


async def test_a_retained_message_is_there_for_who_comes_later(fake_broker):
    connection = fake_broker.connection()
    await connection.publish("home/lamp", b"on", retain=True)
    async with connection.subscribe("home/lamp") as messages:
        first = await anext(messages)
    assert (first.payload, first.retain) == (b"on", True)


async def test_a_broker_that_is_away_can_be_tried_again(fake_broker):
    connection = fake_broker.connection()
    fake_broker.go_away()
    assert not connection.connected
    with pytest.raises(Retryable):
        await connection.publish("home/lamp", b"on")
    fake_broker.come_back()
    await connection.publish("home/lamp", b"on")


@pytest.mark.parametrize("topic", ["home/+", "", "secret"])
async def test_what_a_broker_refuses_is_permanent(fake_broker, topic):
    fake_broker.refused.add("secret")
    with pytest.raises(Permanent):
        await fake_broker.connection().publish(topic, b"")


async def test_the_outbox_waits_for_the_broker_and_sends_each_key_once(fake_broker, virtual_clock):
    outbox = fake_broker.connection().outbox
    fake_broker.go_away()
    delivered = []

    async def deliver(repeat=False):
        message = MqttOutgoing(topic="home/lamp", payload=b"on", qos=1)
        delivered.append(
            await outbox.deliver(message, key="x-1", lane="lamp", slot=SLOT, repeat=repeat)
        )

    async with trio.open_nursery() as nursery:
        nursery.start_soon(deliver)
        await trio.sleep(60)
        assert outbox.waiting == 1
        fake_broker.come_back()
    await deliver(repeat=True)
    assert [(item.outage, item.sends) for item in delivered] == [(True, 1), (False, 0)]
    assert len(fake_broker.published) == 1


async def test_the_outbox_does_not_send_what_is_of_no_use_any_more(fake_broker):
    message = MqttOutgoing(topic="home/lamp", payload=b"on", qos=1)
    with pytest.raises(Permanent, match="of no use"):
        await fake_broker.connection().outbox.deliver(
            message, key="x", lane="x", slot=SLOT, useful_until=datetime(2020, 1, 1, tzinfo=UTC)
        )


@pytest.mark.parametrize(
    ("topic_filter", "topic", "matches"),
    [
        ("#", "a/b", True),
        ("a/#", "a", True),
        ("a/+", "a/b/c", False),
        ("+/b", "a/b", True),
        ("a", "a/b", False),
        ("#", "$SYS/x", False),
        ("$SYS/#", "$SYS/x", True),
    ],
)
def test_filters_match_as_the_standard_says(topic_filter, topic, matches):
    assert topic_matches(topic_filter, topic) is matches


# -- contexts and strategies -----------------------------------------------------------------


def test_a_context_can_be_watched_for_the_services_that_are_asked_for():
    with TestContext.watching() as asked:
        TestContext("x", {int: 1}).service(int)
    TestContext("x", {str: ""}).service(str)
    assert asked == {int}


@settings(max_examples=50, deadline=None)
@given(transitions())
def test_transitions_are_changes_of_their_zone(drawn):
    zone, change = drawn
    before = reading_at(change.at - timedelta(seconds=1), zone)
    assert change.size != timedelta(0)
    assert reading_at(change.at, zone) - before == change.size + timedelta(seconds=1)


@settings(max_examples=50, deadline=None)
@given(instants_near_changes(within=timedelta(hours=2)))
def test_instants_near_changes_are_aware_and_in_utc(drawn):
    _, instant = drawn
    assert instant.tzinfo is UTC


@settings(max_examples=50, deadline=None)
@given(aware_instants(datetime(2020, 1, 1, 0, 0, 30, tzinfo=UTC), datetime(2021, 1, 1, tzinfo=UTC)))
def test_instants_stay_within_their_bounds(instant):
    assert datetime(2020, 1, 1, 0, 0, 30, tzinfo=UTC) <= instant <= datetime(2021, 1, 1, tzinfo=UTC)
