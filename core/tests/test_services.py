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
from alicia_scheduler.host.services import ConfiguredService, services_running
from alicia_scheduler.host.supervision import CLOSE_TIMEOUT
from alicia_scheduler.kernel.notifications import Notifier
from alicia_scheduler.testing.clock import VirtualClock


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing to configure."""


def service(name, opener):
    kind = ServiceType(name=name, config=Config, open=opener)
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
