"""Services and other parts of plugins that hang: the stop does not wait for them for ever."""

from __future__ import annotations

from contextlib import asynccontextmanager

import msgspec
import pytest
import trio

from alicia_scheduler.api import ServiceType
from alicia_scheduler.host.context import Surroundings
from alicia_scheduler.host.loader import PluginRecord
from alicia_scheduler.host.registry import Offer
from alicia_scheduler.host.services import START_TIMEOUT, ConfiguredService, services_running
from alicia_scheduler.host.supervision import CLOSE_TIMEOUT, OPEN_TIMEOUT
from alicia_scheduler.kernel.notifications import Notifier
from alicia_scheduler.testing.clock import VirtualClock


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing to configure."""


def service(name, opener, *, provides=None, requires=()):
    kind = ServiceType(name=name, config=Config, open=opener, provides=provides, requires=requires)
    return ConfiguredService(Offer(kind, PluginRecord("witness", "witness", "1")), Config())


@asynccontextmanager
async def hangs_in_open(_config, _context):
    await trio.sleep_forever()
    yield


@asynccontextmanager
async def hangs_in_close(_config, _context):
    try:
        yield
    finally:
        await trio.sleep_forever()


@asynccontextmanager
async def is_fine(_config, _context):
    yield


def surroundings():
    clock = VirtualClock()
    return Surroundings("test", clock, Notifier(clock))


@pytest.mark.parametrize(
    ("opener", "seconds"), [(hangs_in_open, 0), (hangs_in_close, CLOSE_TIMEOUT)]
)
async def test_a_service_that_hangs_holds_up_the_stop_no_longer_than_it_may(
    opener, seconds, autojump_clock
):
    around = surroundings()
    async with services_running([service("odd", opener), service("fine", is_fine)], around):
        await trio.sleep(1)
        began = trio.current_time()
    assert trio.current_time() - began == pytest.approx(seconds, abs=0.1)


async def test_a_part_that_has_not_ended_is_known_by_its_name(autojump_clock):
    around = surroundings()
    odd = service("odd", hangs_in_close)
    async with trio.open_nursery() as nursery:

        async def run():
            async with services_running([odd, service("fine", is_fine)], around):
                await trio.sleep(1)

        nursery.start_soon(run)
        await trio.sleep(0.5)
        assert around.parts == {"service odd", "service fine"}
        await trio.sleep(1)
        assert around.parts == {"service odd"}
    assert around.parts == set()


class Lamp:
    """A contract."""


def logging_into(log, name):
    """Opens for a second, closes for a second, and says so."""

    @asynccontextmanager
    async def opened(_config, _context):
        await trio.sleep(1)
        log.append(f"{name} open")
        yield Lamp()
        await trio.sleep(1)
        log.append(f"{name} closed")

    return opened


async def test_many_that_hang_hold_up_start_and_stop_no_longer_than_one(autojump_clock):
    around = surroundings()
    slow = [service(f"slow-{n}", hangs_in_open) for n in range(4)]
    deaf = [service(f"deaf-{n}", hangs_in_close) for n in range(4)]
    began = trio.current_time()
    async with services_running(slow + deaf, around):
        assert trio.current_time() - began == pytest.approx(START_TIMEOUT, abs=0.1)
        began = trio.current_time()
    assert trio.current_time() - began == pytest.approx(CLOSE_TIMEOUT, abs=0.1)


async def test_who_needs_another_opens_after_it_and_closes_before_it(autojump_clock):
    log = []
    user = service("user", logging_into(log, "user"), requires=(Lamp,))
    lamp = service("lamp", logging_into(log, "lamp"), provides=Lamp)
    other = service("other", logging_into(log, "other"))
    began = trio.current_time()
    async with services_running([user, lamp, other], surroundings()):
        assert sorted(log[:2]) == ["lamp open", "other open"]
        assert log[2:] == ["user open"]
        assert trio.current_time() - began == pytest.approx(2, abs=0.1)
        log.clear()
    assert sorted(log[:2]) == ["other closed", "user closed"]
    assert log[2:] == ["lamp closed"]
    assert trio.current_time() - began == pytest.approx(4, abs=0.1)


async def test_who_needs_another_that_was_replaced_still_closes_before_it(autojump_clock):
    log = []
    user = service("user", logging_into(log, "user"), requires=(Lamp,))
    lamp = service("lamp", logging_into(log, "lamp"), provides=Lamp)
    other_lamp = service("lamp", logging_into(log, "other lamp"), provides=Lamp)
    async with services_running([user, lamp], surroundings()) as running:
        await running.stop([lamp])
        await running.start([other_lamp])
        log.clear()
    assert log == ["user closed", "other lamp closed"]


async def test_two_that_need_each_other_start_and_stop_all_the_same(autojump_clock):
    log = []

    class Switch:
        """Another contract."""

    one = service("one", logging_into(log, "one"), provides=Lamp, requires=(Switch,))
    two = service("two", logging_into(log, "two"), provides=Switch, requires=(Lamp,))
    async with services_running([one, two], surroundings()):
        assert log == ["one open", "two open"]
    assert log[2:] == ["two closed", "one closed"]


async def test_one_that_waits_for_another_can_be_stopped(autojump_clock):
    lamp = service("lamp", hangs_in_open, provides=Lamp)
    user = service("user", is_fine, requires=(Lamp,))
    async with trio.open_nursery() as nursery:

        async def run():
            async with services_running([lamp, user], surroundings()):
                pass

        nursery.start_soon(run)
        await trio.sleep(1)
        began = trio.current_time()
        nursery.cancel_scope.cancel()
    assert trio.current_time() - began == pytest.approx(0, abs=0.1)


async def test_an_opening_that_takes_too_long_is_given_up_counted_and_tried_again(autojump_clock):
    tries = []

    @asynccontextmanager
    async def hangs_once(_config, _context):
        tries.append(trio.current_time())
        if len(tries) == 1:
            await trio.sleep_forever()
        yield

    odd = service("odd", hangs_once)
    async with services_running([odd], surroundings()):
        await trio.sleep(OPEN_TIMEOUT + 2)
    assert len(tries) == 2
    assert odd.offer.plugin.faults == 1
    assert "did not open within 60 s" in odd.offer.plugin.last_error.message
