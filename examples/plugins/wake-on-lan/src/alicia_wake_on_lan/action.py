"""Action type ``wol.wake``: sends the magic packet of Wake-on-LAN."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

import msgspec
import trio
from alicia_scheduler.api import ActionContext, EventExecution, Retryable

__all__ = ["WakeOptions", "Waker", "magic_packet", "open_waker"]

AGAIN = 5.0
"""Seconds after which a machine that is waited for gets another packet: UDP may lose one."""

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Mac = Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Fa-f]{2}([:-][0-9A-Fa-f]{2}){5}\Z")]


class WakeOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which machine, and how to reach it.

    Attributes:
        mac: address of its network card, such as ``00:11:22:33:44:55``.
        address: IPv4 address that the packet is sent to, mostly a broadcast address.
        port: UDP port that it is sent to.
        host: name or address of the machine; when it is given, the run ends when it is up.
        up_port: TCP port that ``host`` listens on when it is up.
    """

    mac: Mac
    address: str = "255.255.255.255"
    port: Port = 9
    host: str | None = None
    up_port: Port = 22


def magic_packet(mac: str) -> bytes:
    """Six times 0xff and sixteen times the address: what a sleeping network card looks for."""
    return b"\xff" * 6 + bytes.fromhex(mac.replace("-", "").replace(":", "")) * 16


@asynccontextmanager
async def open_waker(context: ActionContext) -> AsyncIterator[Waker]:
    """Nothing is shared by the runs, so nothing is opened."""
    yield Waker(context)


class Waker:
    """The action at work."""

    def __init__(self, context: ActionContext) -> None:
        self._context = context

    async def run(self, config: WakeOptions, execution: EventExecution) -> dict[str, int]:
        """Send the packet; with ``host``, again and again until the machine is up.

        Raises:
            Retryable: the packet cannot be sent, as when the network is down.
        """
        tell = self._context.progress(execution)
        packets = 0
        while True:
            try:
                await self._send(config)
            except OSError as error:
                place = f"{config.address}:{config.port}"
                raise Retryable(f"no packet to {place}: {error}", error_class="network") from error
            packets += 1
            if config.host is None or await self._is_up(config.host, config.up_port):
                return {"packets": packets}
            tell(f"{config.host} is not up yet")

    async def _send(self, config: WakeOptions) -> None:
        with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as udp:
            udp.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_BROADCAST, 1)
            await udp.sendto(magic_packet(config.mac), (config.address, config.port))

    async def _is_up(self, host: str, port: int) -> bool:
        """True as soon as it listens, False when it does not within :data:`AGAIN` seconds."""
        with trio.move_on_after(AGAIN):
            while True:
                try:
                    await (await trio.open_tcp_stream(host, port)).aclose()
                except OSError:
                    await trio.sleep(0.5)
                else:
                    return True
        return False
