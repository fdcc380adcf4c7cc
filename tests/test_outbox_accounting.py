"""Brokers that are killed in the middle of thousands of publishes, and a host once: the accounts.

The witness is a client of its own at the broker. The host reaches the broker through a relay that
is joined again only when the witness has subscribed anew: so what the broker has acknowledged, the
witness must have seen.
"""

import itertools
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import paho.mqtt.client as paho
import pytest
import trio
from paho.mqtt.enums import CallbackAPIVersion

from alicia_mqtt import MqttConfig, open_mqtt
from alicia_scheduler.api import MqttOutgoing
from alicia_scheduler.testing.context import TestContext
from alicia_scheduler.testing.mosquitto import Mosquitto, find_mosquitto
from alicia_scheduler.testing.relay import Relay

ALICIA = str(Path(sys.executable).parent / "alicia")

if find_mosquitto() is None and not os.environ.get("ALICIA_REQUIRE_MOSQUITTO"):
    pytest.skip("mosquitto is not installed", allow_module_level=True)


class Witness:
    """Notes every message below ``home/``, in order. At QoS 0: what is sent to it is all there is,
    nothing that it would have to confirm waits at a broker that dies."""

    def __init__(self, port):
        self.seen = []
        self._subscribed = threading.Semaphore(0)
        self._client = paho.Client(CallbackAPIVersion.VERSION2, client_id="witness")
        self._client.on_connect = lambda client, *_: client.subscribe("home/#", 0)
        self._client.on_subscribe = lambda *_: self._subscribed.release()
        self._client.on_message = self._note
        self._client.reconnect_delay_set(0.05, 0.1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self.wait_subscribed()

    def _note(self, _client, _data, message):
        self.seen.append((message.topic, bytes(message.payload)))

    def wait_subscribed(self):
        assert self._subscribed.acquire(timeout=60), "the witness did not come back"

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()


class Wire:
    """Broker, witness and the relay between broker and host."""

    def __init__(self, directory):
        settings = "max_queued_messages 0\nmax_inflight_messages 0"
        self.broker = Mosquitto(directory, settings=settings)
        self.broker.start()
        self.witness = Witness(self.broker.port)
        self.relay = Relay(self.broker.port)
        self.kills = 0

    def kill_broker(self, away):
        """A crash (SIGKILL), and ``away`` seconds until the broker is there again."""
        self.kills += 1
        self.broker.kill()
        self.relay.cut()
        time.sleep(away)
        self.broker.start()
        self.witness.wait_subscribed()
        self.relay.join()

    def close(self):
        self.relay.cut()
        self.witness.close()
        self.broker.kill()


@pytest.fixture
def wire(tmp_path):
    wire = Wire(tmp_path)
    yield wire
    wire.close()


def first_times(seen):
    """Each message once, where it came first."""
    return list(dict.fromkeys(seen))


# -- the outbox itself -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lanes", "each", "kills"),
    [(20, 100, 2), pytest.param(20, 500, 6, marks=pytest.mark.slow)],
)
async def test_nothing_acknowledged_is_lost_when_the_broker_is_killed(
    wire, tmp_path, capsys, lanes, each, kills
):
    context = TestContext("mqtt", state_dir=tmp_path)
    acknowledged = []
    progress = trio.Event()

    async def publish(connection, lane, number):
        await connection.outbox.deliver(
            MqttOutgoing(topic=f"home/{lane}", payload=b"%d" % number, qos=1),
            key=f"{lane}/{number}",
            lane=str(lane),
            slot=context.now() + timedelta(seconds=number),
        )
        acknowledged.append((f"home/{lane}", b"%d" % number))
        progress.set()

    async def kill_in_the_middle():
        nonlocal progress
        for part in range(1, kills + 1):
            while len(acknowledged) < lanes * each * part // (kills + 1):
                progress = trio.Event()
                await progress.wait()
            await trio.to_thread.run_sync(wire.kill_broker, random.uniform(0.0, 0.3))

    config = MqttConfig(host="127.0.0.1", port=wire.relay.port, prefix="test")
    started = time.monotonic()
    with trio.fail_after(300):
        async with open_mqtt(config, context) as connection, trio.open_nursery() as nursery:
            nursery.start_soon(kill_in_the_middle)
            for lane, number in itertools.product(range(lanes), range(each)):
                nursery.start_soon(publish, connection, lane, number)
    await trio.sleep(0.5)
    once = first_times(wire.witness.seen)
    order = defaultdict(list)
    for topic, payload in once:
        order[topic].append(int(payload))
    with capsys.disabled():
        print(
            f"\nbroker killed {wire.kills} times in {time.monotonic() - started:.1f} s:"
            f" {lanes * each} published, {len(acknowledged)} acknowledged, {len(once)} arrived,"
            f" {len(set(acknowledged) - set(once))} of the acknowledged missing,"
            f" {len(wire.witness.seen) - len(once)} doubles"
        )
    assert wire.kills == kills
    assert set(acknowledged) == set(once)
    assert len(once) == lanes * each
    assert all(numbers == list(range(each)) for numbers in order.values())
    assert len(wire.witness.seen) - len(once) <= 100 * kills


# -- the whole host --------------------------------------------------------------------------------

HOST = """
[scheduler]
timezone = "UTC"
max_concurrent = 10000
[history]
per_event = 0
max_size = 0
[services.mqtt]
port = {port}
{events}
"""

EVENT = """
[events.e{number}]
schedule_type = "cron"
schedule_config = {{ expression = "* * * * * *" }}
starts_at = {first}
ends_at = {last}
mode = "queued"
max_executions = 1000
misfire = "all"
misfire_grace = 3600
action = {{ topic = "home/e{number}", qos = 1 }}
"""


def run_host(config):
    return subprocess.Popen([ALICIA, "run", str(config)], stderr=subprocess.DEVNULL)


def history(state_dir):
    answer = subprocess.run(
        [
            ALICIA,
            "executions",
            "list",
            "--state-dir",
            str(state_dir),
            "--json",
            "--limit",
            "100000",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(answer.stdout)


def sleep_until(instant):
    time.sleep(max(0.0, (instant - datetime.now(UTC)).total_seconds()))


def until(condition, patience, what):
    give_up = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < give_up, what
        time.sleep(0.2)


@pytest.mark.parametrize(
    ("events", "seconds", "kills"),
    [(20, 15, 2), pytest.param(200, 50, 5, marks=pytest.mark.slow)],
)
def test_every_slot_arrives_in_order_although_broker_and_host_are_killed(
    wire, tmp_path, capsys, events, seconds, kills
):
    first = (datetime.now(UTC) + timedelta(seconds=15)).replace(microsecond=0)
    last = first + timedelta(seconds=seconds - 1)
    blocks = [
        EVENT.format(number=number, first=first.isoformat(), last=last.isoformat())
        for number in range(events)
    ]
    config = tmp_path / "home.toml"
    config.write_text(HOST.format(port=wire.relay.port, events="".join(blocks)))
    total = events * seconds

    def arrived():
        return {
            (topic, json.loads(payload)["scheduled_time"]) for topic, payload in wire.witness.seen
        }

    host = run_host(config)
    try:
        pause = seconds / (kills + 1)
        sleep_until(first)
        for _ in range(kills - 1):
            time.sleep(pause)
            wire.kill_broker(random.uniform(0.1, 1.5))
        sleep_until(last - timedelta(seconds=pause))
        wire.broker.kill()
        wire.relay.cut()
        # The last slots come due with the broker away, and the host dies while they wait. (Slots
        # that come due without a host are caught up five a second, which is another test's.)
        sleep_until(last + timedelta(seconds=2))
        host.send_signal(signal.SIGKILL)
        host.wait()
        host = run_host(config)
        wire.kill_broker(2.0)
        until(lambda: len(arrived()) >= total, 300, "slots are missing")
        time.sleep(1)
        host.send_signal(signal.SIGTERM)
        assert host.wait(30) == 0
    finally:
        host.kill()
        host.wait()

    runs = history(tmp_path / "state")
    slots = [(topic, json.loads(payload)["scheduled_time"]) for topic, payload in wire.witness.seen]
    completed = Counter(
        (f"home/{run['event_id']}", run["scheduled_time"])
        for run in runs
        if run["status"] == "completed"
    )
    once = first_times(slots)
    order = defaultdict(list)
    for topic, slot in once:
        order[topic].append(slot)
    late = sum("outbox" in (run["result"] or {}) for run in runs)
    with capsys.disabled():
        print(
            f"\nbroker killed {wire.kills} times, host once: {total} slots;"
            f" {len(completed)} completed, {late} of them late;"
            f" {dict(Counter(run['status'] for run in runs))};"
            f" {len(once)} arrived, {len(set(completed) - set(once))} of the completed missing,"
            f" {len(slots) - len(once)} doubles"
        )
    assert set(completed) == set(once)
    assert len(completed) == total
    assert max(completed.values()) == 1
    assert all(found == sorted(found) for found in order.values())
    assert len(slots) - len(once) <= 100 * (wire.kills + 1)
    with closing(sqlite3.connect(tmp_path / "state" / "mqtt-outbox.db")) as outbox:
        assert outbox.execute("SELECT count(*) FROM waiting").fetchone() == (0,)
