"""Reaching a host: its Unix socket or its TCP door, up to the open WebSocket."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

import trio
from trio_websocket import ConnectionRejected, WebSocketConnection, wrap_client_stream

from alicia_scheduler.control.messages import SOCKET_FILE, WEBSOCKET_PATH

__all__ = ["EndedEarly", "NoHost", "Remote", "Whereabouts", "dial", "rejection", "shown"]

ANSWER_LIMIT = 64 * 1024 * 1024
"""Largest answer, in bytes."""


class NoHost(Exception):
    """No host answers there, or it went away."""


@dataclass(frozen=True)
class Remote:
    """A host behind its TCP door.

    Attributes:
        url: ``ws://host:port`` or ``wss://host:port``; the path may be left out.
        token: the secret that ``alicia tokens create`` printed.
        cafile: certificates to trust in place of the system's, in PEM; for one's own authority
            or a self-signed certificate.
        verify: False takes any certificate. Whoever is in between then reads the token.
    """

    url: str
    token: str | None = field(default=None, repr=False)
    cafile: str | None = None
    verify: bool = True


Whereabouts: TypeAlias = Path | Remote


async def dial(
    where: Whereabouts, nursery: trio.Nursery, streams: list[trio.abc.Stream]
) -> WebSocketConnection:
    """An open WebSocket to a host, before anything is said on it.

    Args:
        nursery: where its reader runs. The host may end the connection early, which raises there:
            :class:`EndedEarly`, :class:`trio_websocket.ConnectionRejected`, or a wsproto error.
        streams: takes the stream, to be closed whatever happens.

    Raises:
        NoHost: nobody answers there, or their certificate is not trusted.
    """
    try:
        if isinstance(where, Remote):
            stream, host, path = await _remote_stream(where)
        else:
            stream = await trio.open_unix_socket(str(where / SOCKET_FILE))
            host, path = "localhost", WEBSOCKET_PATH
        streams.append(stream)
        loud = _LoudStream(stream)
        connection = await wrap_client_stream(
            nursery,
            loud,  # type: ignore[arg-type]  # any stream will do
            host,
            path,
            max_message_size=ANSWER_LIMIT,
            message_queue_size=256,
            receive_buffer_size=64 * 1024,
        )
    except ssl.SSLCertVerificationError as error:
        raise NoHost(
            f"the certificate of {shown(where)} is not trusted: {error.verify_message}"
        ) from error
    except ConnectionRejected as error:
        raise NoHost(f"{shown(where)} refuses the connection: HTTP {error.status_code}") from error
    except (OSError, trio.BrokenResourceError) as error:
        cause = error.__cause__ if isinstance(error, trio.BrokenResourceError) else error
        raise NoHost(f"no host answers at {shown(where)}: {cause or error}") from error
    loud.opened = True
    return connection


async def _remote_stream(
    remote: Remote,
) -> tuple[trio.SocketStream | trio.SSLStream[trio.SocketStream], str, str]:
    """The stream to a remote host, what goes into its Host header, and the path to ask for."""
    try:
        parts = urlsplit(remote.url)
        secure = parts.scheme in ("wss", "https")
        port = parts.port or (443 if secure else 80)
    except ValueError as error:
        raise NoHost(f"{remote.url} is no address of a host: {error}") from error
    if parts.scheme not in ("ws", "wss", "http", "https") or not parts.hostname:
        raise NoHost(f"{remote.url} is no address of a host: write ws://host:port or wss://…")
    stream = await trio.open_tcp_stream(parts.hostname, port)
    path = parts.path if parts.path not in ("", "/") else WEBSOCKET_PATH
    if not secure:
        return stream, parts.netloc, path
    context = ssl.create_default_context(cafile=remote.cafile)
    if not remote.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    encrypted = trio.SSLStream(
        stream, context, server_hostname=parts.hostname, https_compatible=True
    )
    try:
        await encrypted.do_handshake()
    except BaseException as error:
        await trio.aclose_forcefully(stream)
        if isinstance(error.__cause__, ssl.SSLCertVerificationError):
            raise error.__cause__ from None
        raise
    return encrypted, parts.netloc, path


class EndedEarly(Exception):
    """The far side closed before the WebSocket was open."""


class _LoudStream(trio.abc.Stream):
    """A stream whose end raises while the WebSocket is not open: trio-websocket 0.12.2 waits on
    in vain then."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.opened = False
        self._stream = stream

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        try:
            data = await self._stream.receive_some(max_bytes)
        except trio.BrokenResourceError:
            if self.opened:
                raise
            data = b""
        if not data and not self.opened:
            raise EndedEarly
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        await self._stream.aclose()


def rejection(group: BaseExceptionGroup[ConnectionRejected]) -> str:
    """Why a host refused the handshake, in its own words."""
    (error,) = group.exceptions
    body = error.body if isinstance(error, ConnectionRejected) else None
    status = f"HTTP {error.status_code}" if isinstance(error, ConnectionRejected) else str(error)
    return f"{status} {body.decode(errors='replace').strip()[:200] if body else ''}".strip()


def shown(where: Whereabouts) -> str:
    """Where a host is, for people."""
    if not isinstance(where, Remote):
        return str(where / SOCKET_FILE)
    scheme, slashes, rest = where.url.partition("://")
    # Without user and password, which some write into addresses.
    return f"{scheme}{slashes}{rest.partition('/')[0].rpartition('@')[2]}"
