"""Connections that go only where they may: the address that was checked is the one connected to."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from itertools import zip_longest
from typing import Any

import httpcore
import trio

from alicia_action_http.addresses import parse_address
from alicia_action_http.hosts import Policy

__all__ = ["BoundedStream", "Forbidden", "NoHost", "PinnedBackend", "TooLarge"]

HEAD_LIMIT = 256 * 1024
"""Bytes that may come before an answer's body."""

STAGGER = 0.25
"""Seconds after which the next address is tried beside those that have not answered yet (RFC 8305
section 5)."""

MOST_ADDRESSES = 8
"""Addresses of one name that are tried."""

Stream = httpcore.AsyncNetworkStream


class Forbidden(Exception):
    """The host may not be asked, or leads only to addresses that may not."""


class NoHost(Exception):
    """No host can have this name."""


class TooLarge(Exception):
    """The other side sends more than it may."""


class BoundedStream(httpcore.AsyncNetworkStream):
    """A connection on which no answer is longer than it may be: then it breaks."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._left = HEAD_LIMIT

    def allow(self, size: int) -> None:
        """Let ``size`` bytes come from here on."""
        self._left = size

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read some bytes of an answer.

        Raises:
            TooLarge: all that may come has come.
        """
        if self._left <= 0:
            raise TooLarge
        data = await self._stream.read(min(max_bytes, self._left), timeout)
        self._left -= len(data)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send a part of a request, after which an answer begins."""
        self._left = HEAD_LIMIT
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> Stream:
        """The same connection, encrypted."""
        return BoundedStream(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        """What is known about the connection."""
        return self._stream.get_extra_info(info)


class PinnedBackend(httpcore.AsyncNetworkBackend):
    """Looks a name up once, leaves out forbidden addresses, and connects to one that is left.

    Whatever the name's owner answers to a second question, nobody asks it (DNS rebinding).
    """

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._trio = httpcore.TrioBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> Stream:
        """Connect to the address of ``host`` that answers first.

        Raises:
            Forbidden: none of its addresses may be asked.
            NoHost: the name is none.
            httpcore.ConnectError, httpcore.ConnectTimeout: none answered.
        """
        options = None if socket_options is None else list(socket_options)
        with trio.move_on_after(timeout if timeout is not None else float("inf")):
            addresses = await self._allowed(host, port)
            stream = await first_to_answer(
                [
                    partial(self._trio.connect_tcp, address, port, None, local_address, options)
                    for address in addresses
                ]
            )
            return BoundedStream(stream)
        raise httpcore.ConnectTimeout(f"{host} did not answer within {timeout:g} s")

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> Stream:
        """Sockets of this machine are not offered."""
        raise Forbidden("sockets of this machine may not be asked")

    async def sleep(self, seconds: float) -> None:
        """Wait, between httpcore's own attempts."""
        await trio.sleep(seconds)

    async def _allowed(self, host: str, port: int) -> list[str]:
        """The addresses of a name that may be asked, those of both families in turn."""
        try:
            found = await trio.socket.getaddrinfo(host, port, type=trio.socket.SOCK_STREAM)
        except OSError as error:
            raise httpcore.ConnectError(f"{host} cannot be looked up: {error}") from error
        except UnicodeError:
            raise NoHost(f"no host can be called {host}") from None
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        refusals: list[str] = []
        allowed: list[str] = []
        for address in addresses:
            parsed = parse_address(address)
            refused = f"{host} has no address" if parsed is None else None
            if parsed is not None:
                refused = self._policy.refuses_address(host, parsed)
            if refused is None:
                allowed.append(address)
            else:
                refusals.append(refused)
        if refusals and not allowed:
            raise Forbidden(refusals[0])
        if not allowed:
            raise httpcore.ConnectError(f"{host} has no address")
        return interleaved(allowed)[:MOST_ADDRESSES]


def interleaved(addresses: Sequence[str]) -> list[str]:
    """Addresses of both families in turn, beginning with that of the first, so that a family
    that leads nowhere costs one step and not all (RFC 8305 section 4)."""
    families: tuple[list[str], list[str]] = ([], [])
    for address in addresses:
        families[(":" in address) != (":" in addresses[0])].append(address)
    return [address for pair in zip_longest(*families) for address in pair if address is not None]


async def first_to_answer(attempts: Sequence[Callable[[], Awaitable[Stream]]]) -> Stream:
    """The connection that stands first. Each attempt begins :data:`STAGGER` seconds after the one
    before, or as soon as that has failed; those that come too late are ended.

    Raises:
        httpcore.ConnectError: the first one's, when all failed.
    """
    won: list[Stream] = []
    failures: dict[int, httpcore.ConnectError] = {}

    async def one(number: int, failed: trio.Event) -> None:
        try:
            stream = await attempts[number]()
        except httpcore.ConnectError as error:
            failures[number] = error
            failed.set()
        else:
            won.append(stream)
            nursery.cancel_scope.cancel()

    try:
        async with trio.open_nursery() as nursery:
            for number in range(len(attempts)):
                failed = trio.Event()
                nursery.start_soon(one, number, failed)
                with trio.move_on_after(STAGGER):
                    await failed.wait()
    except BaseException:
        for stream in won:
            await stream.aclose()
        raise
    # Two may have come at the same moment.
    for stream in won[1:]:
        await stream.aclose()
    if won:
        return won[0]
    raise failures[0]
