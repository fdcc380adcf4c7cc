"""The service with each of its brokers, in real processes."""

import importlib.util
import logging
import os
import signal
import socket
import subprocess
import sys

import pytest
import trio

from alicia_broker import BrokerConfig, programs
from alicia_broker.broker import BrokerFailed, open_broker
from alicia_broker.programs import BrokerMissing
from alicia_mqtt import MqttConfig, open_mqtt
from alicia_scheduler.testing.context import TestContext
from alicia_scheduler.testing.mosquitto import find_mosquitto, free_port, until_connected

HOST_PROCESS = """
import sys, trio
from alicia_broker import BrokerConfig
from alicia_broker.broker import open_broker
from alicia_scheduler.testing.context import TestContext

async def main():
    config = BrokerConfig(port=int(sys.argv[1]), program=sys.argv[2])
    async with open_broker(config, TestContext("broker")):
        print("ready", flush=True)
        await trio.sleep_forever()

trio.run(main)
"""


@pytest.fixture(params=["mosquitto", "amqtt"])
def program(request):
    if request.param == "amqtt" and importlib.util.find_spec("amqtt") is None:
        pytest.skip("amqtt is not installed (pip install 'alicia-broker[amqtt]')")
    if request.param == "mosquitto" and find_mosquitto() is None:
        if os.environ.get("ALICIA_REQUIRE_MOSQUITTO"):
            pytest.fail("mosquitto is not installed (Debian: sudo apt install mosquitto)")
        pytest.skip("mosquitto is not installed (Debian: sudo apt install mosquitto)")
    return request.param


async def answers(port):
    try:
        await (await trio.open_tcp_stream("127.0.0.1", port)).aclose()
    except OSError:
        return False
    return True


async def until_gone(port):
    with trio.fail_after(60):
        while await answers(port):
            await trio.sleep(0.02)


async def test_it_serves_the_connection_of_this_host(program):
    port = free_port()
    mqtt = MqttConfig(host="127.0.0.1", port=port)
    async with (
        open_broker(BrokerConfig(port=port, program=program), TestContext("broker")) as broker,
        open_mqtt(mqtt, TestContext("mqtt")) as connection,
    ):
        await until_connected(connection)
        async with connection.subscribe("home/#") as messages:
            for qos in (0, 1, 2):
                await connection.publish("home/lamp", b"%d" % qos, qos=qos)
            arrived = [(await anext(messages)).payload for _ in range(3)]
    assert broker.program == program
    assert sorted(arrived) == [b"0", b"1", b"2"]


async def test_it_is_gone_when_the_service_ends(program):
    port = free_port()
    async with open_broker(BrokerConfig(port=port, program=program), TestContext("broker")):
        assert await answers(port)
    assert not await answers(port)


async def test_it_dies_with_a_host_that_is_killed(program):
    port = free_port()
    host = subprocess.Popen(
        [sys.executable, "-c", HOST_PROCESS, str(port), program], stdout=subprocess.PIPE
    )
    with host:
        assert await trio.to_thread.run_sync(host.stdout.readline) == b"ready\n"
        host.send_signal(signal.SIGKILL)
    await until_gone(port)


async def test_a_ctrl_c_in_the_terminal_does_not_reach_it(program):
    config = BrokerConfig(port=free_port(), program=program)
    async with open_broker(config, TestContext("broker")) as broker:
        assert os.getpgid(broker.pid) == broker.pid


async def test_its_death_is_a_failure_of_the_service(program):
    config = BrokerConfig(port=free_port(), program=program)
    with pytest.RaisesGroup(pytest.RaisesExc(BrokerFailed, match=f"{program} ended with code")):
        async with open_broker(config, TestContext("broker")) as broker:
            os.kill(broker.pid, signal.SIGKILL)
            await trio.sleep(10)


async def test_what_answers_already_is_used(mosquitto, caplog):
    caplog.set_level(logging.INFO)
    config = BrokerConfig(port=mosquitto.port)
    async with open_broker(config, TestContext("broker")) as broker:
        assert broker.program is None
    assert await answers(mosquitto.port)
    assert f"using the broker that is at 127.0.0.1:{mosquitto.port}" in caplog.messages


async def test_a_port_that_is_taken_is_an_error_when_it_must_be_ours(mosquitto):
    config = BrokerConfig(port=mosquitto.port, only_if_missing=False)
    with pytest.raises(BrokerFailed, match=r"answers on .* already"):
        async with open_broker(config, TestContext("broker")):
            pass


async def test_it_says_which_broker_it_runs(program, caplog):
    caplog.set_level(logging.INFO)
    port = free_port()
    async with open_broker(BrokerConfig(port=port, program=program), TestContext("broker")):
        pass
    assert f"running {program} as the broker at 127.0.0.1:{port}" in caplog.messages


async def test_a_broker_that_cannot_start_leaves_its_last_words(program):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))  # taken, although nobody answers there
        config = BrokerConfig(port=holder.getsockname()[1], program=program)
        with pytest.raises(BrokerFailed, match=r"ended with code \d+: .*[Aa]ddress already in use"):
            async with open_broker(config, TestContext("broker")):
                pass


async def test_mosquitto_comes_first(monkeypatch):
    monkeypatch.setattr(programs, "_find_mosquitto", lambda: "/somewhere/mosquitto")
    assert programs.choose_program(BrokerConfig()).name == "mosquitto"


async def test_without_mosquitto_it_is_amqtt(monkeypatch):
    monkeypatch.setattr(programs, "_find_mosquitto", lambda: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    assert programs.choose_program(BrokerConfig()).name == "amqtt"


async def test_without_either_the_error_names_both_cures(monkeypatch):
    monkeypatch.setattr(programs, "_find_mosquitto", lambda: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BrokerMissing, match=r"apt install mosquitto.*alicia-broker\[amqtt\]"):
        async with open_broker(BrokerConfig(port=free_port()), TestContext("broker")):
            pass
