"""The doors of a host as a whole: open when the schedule runs, tried again where they fail."""

import socket
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
import trio
from tests.doors.house import PATIENCE, Scripted, free_port

from alicia_scheduler.api.control import Permission
from alicia_scheduler.config.control import Address, ControlSettings
from alicia_scheduler.control import doors as doors_room
from alicia_scheduler.control.client import NoHost, Remote, connected
from alicia_scheduler.control.doors import doors_open
from alicia_scheduler.control.hostnames import allowed_host
from alicia_scheduler.control.limits import Bucket, Doorkeeper, peer_of
from alicia_scheduler.control.tokens import create_token
from alicia_scheduler.kernel.clock import SystemClock
from alicia_scheduler.kernel.notifications import Notifier


@asynccontextmanager
async def doors(folder, port):
    """The doors of a host whose schedule does not run yet."""
    control = Scripted()
    control.host = SimpleNamespace(
        kernel=None,
        notifier=Notifier(SystemClock()),
        started=trio.Event(),
        clock=SystemClock(),
    )
    settings = ControlSettings(addresses=(Address("127.0.0.1", port),))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(doors_open, control, settings, folder)
        await trio.testing.wait_all_tasks_blocked()
        yield control.host
        nursery.cancel_scope.cancel()


async def answered(where):
    with trio.fail_after(PATIENCE):
        while True:
            try:
                async with connected(where) as session:
                    return await session.request("echo")
            except NoHost:
                await trio.sleep(0.05)


async def test_no_door_is_open_before_the_schedule_runs(tmp_path):
    async with doors(tmp_path, free_port()) as host:
        with pytest.raises(NoHost):
            async with connected(tmp_path):
                pass
        host.started.set()
        assert (await answered(tmp_path))["door"] == "unix"


async def test_what_was_told_before_the_doors_opened_can_be_had(tmp_path):
    async with doors(tmp_path, free_port()) as host:
        host.notifier.emit("early", {})
        host.started.set()
        await answered(tmp_path)
        async with connected(tmp_path) as session:
            subscription = await session.subscribe(after=0)
            assert (await subscription.__anext__())["event_type"] == "early"
            assert not subscription.lost


async def test_a_door_that_cannot_be_made_is_tried_again_and_the_other_is_open(
    tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(doors_room, "DOOR_EVERY", 0.05)
    secret = create_token(tmp_path, "one", Permission.READ)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        async with doors(tmp_path, port) as host:
            host.started.set()
            await answered(tmp_path)
            await trio.sleep(0.5)
            assert caplog.text.count("no commands at 127.0.0.1") == 1
            taken.close()
            assert (await answered(Remote(f"ws://127.0.0.1:{port}", secret)))["door"] == "tcp"


async def test_when_the_doors_close_nothing_is_left(tmp_path):
    async with doors(tmp_path, free_port()) as host:
        host.started.set()
        await answered(tmp_path)
    assert list(tmp_path.iterdir()) == []


async def test_a_bucket_gives_a_burst_and_then_its_rate(autojump_clock):
    bucket = Bucket(10, 5)
    begun = trio.current_time()
    for _ in range(5):
        await bucket.take()
    assert trio.current_time() == begun
    for _ in range(20):
        await bucket.take()
    assert trio.current_time() - begun == pytest.approx(2)
    await trio.sleep(100)
    begun = trio.current_time()
    await bucket.take(15)
    assert trio.current_time() - begun == pytest.approx(1)


async def test_who_fails_waits_longer_each_time_until_it_is_forgotten(autojump_clock):
    keeper = Doorkeeper(10)
    assert [keeper.failed("a")[1] for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert keeper.failed("b") == (1, 0.5)
    await trio.sleep(901)
    assert keeper.failed("a") == (1, 0.5)


async def test_only_so_many_that_failed_are_remembered(autojump_clock):
    keeper = Doorkeeper(10)
    for number in range(5000):
        keeper.failed(str(number))
    assert len(keeper._failures) == 1024
    assert keeper.failed("4999") == (2, 1)
    assert keeper.failed("1") == (1, 0.5)


@pytest.mark.parametrize(
    ("address", "peer"),
    [
        ("192.168.1.5", "192.168.1.5"),
        ("::ffff:192.168.1.5", "192.168.1.5"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
    ],
)
def test_a_peer_is_an_address_or_the_network_that_one_machine_has(address, peer):
    assert peer_of(address) == peer


@pytest.mark.parametrize("header", ["", ":", "[", "[]", "[::1]x", "a:b", "localhost:", "a,b", "*"])
def test_a_host_header_that_is_none_names_no_machine(header):
    assert not allowed_host(header, set())
