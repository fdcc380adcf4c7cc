"""Results outlive the broker's absence and the host's death: real process, real Mosquitto."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from alicia_scheduler.testing.mosquitto import Mosquitto, find_mosquitto

ALICIA = str(Path(sys.executable).parent / "alicia")
RESULTS = "alicia/scheduler/execution_results"
EVENTS = "alicia/scheduler/events"

if find_mosquitto() is None and not os.environ.get("ALICIA_REQUIRE_MOSQUITTO"):
    pytest.skip("mosquitto is not installed", allow_module_level=True)

CONFIG = """
[scheduler]
timezone = "UTC"
drain_timeout = 1
[services.mqtt]
port = {port}
[sinks.mqtt]
durable = true
[events.tick]
schedule_type = "interval"
schedule_config = {{ type = "seconds", value = 1 }}
max_retries = 0
timeout = 0.5
action = {{ topic = "home/tick", message = {{ state = "ON" }}, qos = 1 }}
"""


class Subscriber:
    """A client whose session the broker keeps, so that it misses nothing while either is away."""

    def __init__(self, port):
        self.got = []
        self.changed = threading.Condition()
        self.client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id="witness", clean_session=False
        )
        self.client.on_message = self._take
        self.client.on_connect = lambda client, *_: client.subscribe(EVENTS, 1)
        self.client.reconnect_delay_set(0.1, 0.2)
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()

    def _take(self, _client, _data, message):
        with self.changed:
            self.got.append(json.loads(message.payload))
            self.changed.notify_all()

    def wait(self, condition, what):
        with self.changed:
            assert self.changed.wait_for(lambda: condition(self.got), timeout=30), what

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def broker(tmp_path):
    mosquitto = Mosquitto(tmp_path, settings=f"persistence true\npersistence_location {tmp_path}/")
    mosquitto.start()
    yield mosquitto
    mosquitto.stop()


@pytest.fixture
def subscriber(broker):
    subscriber = Subscriber(broker.port)
    yield subscriber
    subscriber.close()


@pytest.fixture
def host(tmp_path, broker):
    config = tmp_path / "home.toml"
    config.write_text(CONFIG.format(port=broker.port))
    processes = []

    def start():
        process = subprocess.Popen([ALICIA, "run", str(config)], stderr=subprocess.DEVNULL)
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
            process.wait()


def finished(got):
    return [
        item for item in got if "end_time" in item["event_data"] and item["event_data"]["end_time"]
    ]


def test_results_survive_an_absent_broker_and_a_killed_host_in_order(
    host, broker, subscriber, tmp_path
):
    first = host()
    subscriber.wait(lambda got: len(finished(got)) >= 2, "results while all is well")
    broker.stop()
    time.sleep(3)  # slots come due meanwhile, by the process's own clock
    first.send_signal(signal.SIGKILL)
    first.wait()
    second = host()
    time.sleep(2)
    broker.start()
    known = len(subscriber.got)
    subscriber.wait(lambda got: len(finished(got[known:])) >= 4, "results after the outage")
    second.send_signal(signal.SIGTERM)
    assert second.wait(timeout=30) == 0

    numbers = list(dict.fromkeys(item["sequence"] for item in subscriber.got))
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    listing = subprocess.run(
        [ALICIA, "executions", "list", "--state-dir", str(tmp_path / "state"), "--json"],
        capture_output=True,
        check=True,
    )
    history = {run["execution_id"] for run in json.loads(listing.stdout)}
    told = {item["event_data"]["execution_id"] for item in finished(subscriber.got)}
    # The last ones may have ended after the sink's last batch.
    assert told <= history
    assert len(history - told) <= 2
