"""Connections that go only where they may: the address that was checked is the one connected to."""

from __future__ import annotations

import ipaddress
import ssl
from collections.abc import Iterable
from typing import Any, NamedTuple

import httpcore
import trio

__all__ = ["Forbidden", "Kind", "Pools", "TooLarge"]

IDLE = 30.0
"""Seconds that an unused connection stays open."""

MOST_CONNECTIONS = 50


class Forbidden(Exception):
    """The host leads to an address that may not be asked."""


class TooLarge(Exception):
    """The other side sends more than it may."""


class Kind(NamedTuple):
    """What tells one pool of connections from another.

    Attributes:
        limit: bytes that an answer may have on the wire.
    """

    limit: int
    verify: bool
    ca_file: str | None
    cert_file: str | None
    key_file: str | None
    allow_link_local: bool

    def tls_context(self) -> ssl.SSLContext:
        """The context for connections of this kind.

        Raises:
            OSError, ssl.SSLError: a file cannot be read.
        """
        context = ssl.create_default_context(cafile=self.ca_file)
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.cert_file is not None:
            context.load_cert_chain(self.cert_file, self.key_file)
        return context


class BoundedStream(httpcore.AsyncNetworkStream):
    """A connection on which no answer is longer than it may be: then it breaks."""

    def __init__(self, stream: httpcore.AsyncNetworkStream, limit: int) -> None:
        self._stream = stream
        self._limit = limit
        self._read = 0

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read some bytes of an answer."""
        data = await self._stream.read(max_bytes, timeout)
        self._read += len(data)
        if self._read > self._limit:
            raise TooLarge
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send a part of a request, after which an answer begins."""
        self._read = 0
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """The same connection, encrypted."""
        encrypted = await self._stream.start_tls(ssl_context, server_hostname, timeout)
        return BoundedStream(encrypted, self._limit)

    def get_extra_info(self, info: str) -> Any:
        """What is known about the connection."""
        return self._stream.get_extra_info(info)


class PinnedBackend(httpcore.AsyncNetworkBackend):
    """Looks a name up once, refuses forbidden addresses, and connects to one that is left.

    Whatever the name's owner answers to a second question, nobody asks it (DNS rebinding).
    """

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._trio = httpcore.TrioBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address of ``host`` that answers."""
        with trio.move_on_after(timeout if timeout is not None else float("inf")):
            try:
                found = await trio.socket.getaddrinfo(host, port, type=trio.socket.SOCK_STREAM)
            except OSError as error:
                raise httpcore.ConnectError(f"{host} cannot be looked up: {error}") from error
            problem: Exception = httpcore.ConnectError(f"{host} has no address")
            for *_, (address, *_rest) in found:
                self._check(host, str(address))
                try:
                    stream = await self._trio.connect_tcp(
                        str(address), port, timeout, local_address, socket_options
                    )
                except httpcore.ConnectError as error:
                    problem = error
                else:
                    return BoundedStream(stream, self._kind.limit)
            raise problem
        raise httpcore.ConnectTimeout(f"{host} did not answer within {timeout:g} s")

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.AsyncNetworkStream:
        """Sockets of this machine are not offered."""
        raise Forbidden("sockets of this machine may not be asked")

    async def sleep(self, seconds: float) -> None:
        """Wait, between httpcore's own attempts."""
        await trio.sleep(seconds)

    def _check(self, host: str, address: str) -> None:
        if self._kind.allow_link_local:
            return
        parsed = ipaddress.ip_address(address.partition("%")[0])
        mapped = getattr(parsed, "ipv4_mapped", None) or parsed
        if mapped.is_link_local or mapped in METADATA:
            raise Forbidden(
                f"{host} leads to {mapped}, a link-local address or metadata service; "
                "allow_link_local = true would permit it"
            )


METADATA = frozenset(
    {ipaddress.ip_address("fd00:ec2::254"), ipaddress.ip_address("100.100.100.200")}
)
"""Metadata services of cloud machines that are not at a link-local address."""


class Pools:
    """Pools of connections, one for each kind of connection in use. Used inside ``async with``."""

    def __init__(self) -> None:
        self._pools: dict[Kind, httpcore.AsyncConnectionPool] = {}

    def get(self, kind: Kind) -> httpcore.AsyncConnectionPool:
        """The pool for a kind of connections.

        Raises:
            OSError, ssl.SSLError: a certificate or key cannot be read.
        """
        if kind not in self._pools:
            self._pools[kind] = httpcore.AsyncConnectionPool(
                ssl_context=kind.tls_context(),
                max_connections=MOST_CONNECTIONS,
                keepalive_expiry=IDLE,
                network_backend=PinnedBackend(kind),
            )
        return self._pools[kind]

    async def close(self) -> None:
        """Close every connection."""
        for pool in self._pools.values():
            await pool.aclose()
