"""What pytest loads by the entry point ``pytest11``: the kit's fixtures, each imported on use.

- ``fake_broker``: a :class:`~alicia_scheduler.testing.broker.FakeBroker`, in this process.
- ``mosquitto``: a running :class:`~alicia_scheduler.testing.mosquitto.Mosquitto`, on a free port;
  where none is installed the test is skipped, and with ``ALICIA_REQUIRE_MOSQUITTO`` it fails.
- ``recorder_sink``: a :class:`~alicia_scheduler.testing.recording.RecorderSink`.
- ``virtual_clock``: a :class:`~alicia_scheduler.testing.clock.VirtualClock`. A test that asks for
  it, itself or by ``usefixtures``, runs under trio's autojumping clock: whenever all tasks wait,
  time jumps.
- ``host_in_memory``: opens hosts in memory,
  :func:`alicia_scheduler.testing.host.host_in_memory`.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from alicia_scheduler.testing.broker import FakeBroker
    from alicia_scheduler.testing.clock import VirtualClock
    from alicia_scheduler.testing.host import HostUnderTest
    from alicia_scheduler.testing.mosquitto import Mosquitto
    from alicia_scheduler.testing.recording import RecorderSink

__all__ = ["fake_broker", "host_in_memory", "mosquitto", "recorder_sink", "virtual_clock"]

pytest.register_assert_rewrite("alicia_scheduler.testing.contracts")


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    """Run tests that have a virtual clock in virtual time. pytest-trio would look for a clock among
    the test's own arguments only."""
    for item in items:
        function = getattr(item, "function", None)
        if "virtual_clock" in getattr(item, "fixturenames", ()) and inspect.iscoroutinefunction(
            function
        ):
            item.add_marker(pytest.mark.trio(run=_run_in_virtual_time), append=False)


def _run_in_virtual_time(main: Any, *, clock: Any = None, instruments: Any = ()) -> Any:
    import trio
    from trio.testing import MockClock

    clock = clock or MockClock(autojump_threshold=0)
    return trio.run(main, clock=clock, instruments=instruments)


@pytest.fixture
def fake_broker() -> FakeBroker:
    """A broker within this process."""
    from alicia_scheduler.testing.broker import FakeBroker

    return FakeBroker()


@pytest.fixture
def mosquitto(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """A running Mosquitto on a free port, gone at the end of the test."""
    from alicia_scheduler.testing.mosquitto import Mosquitto, find_mosquitto

    if find_mosquitto() is None:
        message = "mosquitto is not installed (Debian: sudo apt install mosquitto)"
        if os.environ.get("ALICIA_REQUIRE_MOSQUITTO"):
            pytest.fail(message)
        pytest.skip(message)
    broker = Mosquitto(Path(tmp_path_factory.mktemp("mosquitto")))
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()


@pytest.fixture
def recorder_sink() -> RecorderSink:
    """A sink that keeps what it is given."""
    from alicia_scheduler.testing.recording import RecorderSink

    return RecorderSink()


@pytest.fixture
async def virtual_clock() -> VirtualClock:
    """Virtual time, from the start of 2026 on."""
    from alicia_scheduler.testing.clock import VirtualClock

    return VirtualClock()


@pytest.fixture
def host_in_memory() -> Callable[..., AbstractAsyncContextManager[HostUnderTest]]:
    """Opens hosts in memory: ``async with host_in_memory(config, plugins=…) as host:``."""
    from alicia_scheduler.testing.host import host_in_memory

    return host_in_memory
