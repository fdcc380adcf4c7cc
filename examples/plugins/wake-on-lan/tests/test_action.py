"""The action, with real packets on the loopback."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import trio
from alicia_scheduler.api import ConfigError, Retryable
from alicia_scheduler.testing import ActionContract, TestContext

from alicia_wake_on_lan import alicia_action_types

MAC = "00:11:22:aa:BB:cc"


@pytest.fixture
def network_card() -> Iterator[socket.socket]:
    """Where packets arrive."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as card:
        card.bind(("127.0.0.1", 0))
        card.settimeout(60)
        yield card


@pytest.fixture
def sleeping_port() -> Iterator[int]:
    """A port where nobody listens yet."""
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


class TestWake(ActionContract):
    kind = next(iter(alicia_action_types()))

    @pytest.fixture(autouse=True)
    def _network(self, network_card: socket.socket, sleeping_port: int) -> None:
        self.card, self.sleeping_port = network_card, sleeping_port

    def quick(self) -> dict[str, Any]:
        return {"mac": MAC, "address": "127.0.0.1", "port": self.card.getsockname()[1]}

    def slow(self) -> dict[str, Any]:
        return {**self.quick(), "host": "127.0.0.1", "up_port": self.sleeping_port}

    def failing(self) -> dict[str, Any]:
        return {**self.quick(), "address": "::1"}

    async def _run(self, options: dict[str, Any]) -> object:
        async with self.kind.open(TestContext("wol")) as action:
            return await action.run(self.config(options), self.execution())

    async def test_the_packet_is_the_magic_one(self) -> None:
        assert await self._run(self.quick()) == {"packets": 1}
        assert self.card.recv(1024) == b"\xff" * 6 + bytes.fromhex("001122aabbcc") * 16

    async def test_a_network_that_is_down_is_tried_again(self) -> None:
        with pytest.raises(Retryable, match="no packet to ::1"):
            await self._run(self.failing())

    async def test_with_a_host_the_run_ends_when_it_is_up(self, nursery: trio.Nursery) -> None:
        async def up(stream: trio.SocketStream) -> None:
            await stream.aclose()

        listeners = await nursery.start(partial(trio.serve_tcp, up, 0, host="127.0.0.1"))
        port = listeners[0].socket.getsockname()[1]
        assert await self._run({**self.slow(), "up_port": port}) == {"packets": 1}
        nursery.cancel_scope.cancel()

    def test_what_is_no_address_of_a_network_card_is_refused(self) -> None:
        with pytest.raises(ConfigError):
            self.config({"mac": "00:11:22:33:44"})
