"""A WebSocket to Home Assistant: opened within a bounded time, used, and closed."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import trio
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    HandshakeError,
    WebSocketConnection,
    wrap_client_stream,
)

from alicia_action_service.home_assistant.config import HomeAssistantConfig
from alicia_action_service.home_assistant.session import Refused, SessionLost

__all__ = ["over_websocket"]

GOODBYE = 2.0
"""Seconds that the end may take to say goodbye."""

LARGEST = 8 * 1024 * 1024
"""Bytes of a message that we take."""

TROUBLE = (
    ConnectionClosed,
    HandshakeError,
    OSError,
    trio.BrokenResourceError,
    trio.ClosedResourceError,
)


class _Watched(trio.abc.Stream):
    """A stream that tells when nothing more can come. trio-websocket waits on in vain when that
    happens before the WebSocket is open."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self.ended = trio.Event()
        self._stream = stream

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.ended.set()
            raise

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        try:
            data = await self._stream.receive_some(max_bytes)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self.ended.set()
            raise
        if not data:
            self.ended.set()
        return data

    async def aclose(self) -> None:
        await self._stream.aclose()


async def over_websocket(
    config: HomeAssistantConfig,
    tls: ssl.SSLContext | None,
    enter: Callable[[WebSocketConnection], Awaitable[None]],
    use: Callable[[], Awaitable[str]],
) -> str:
    """Connect, ``enter`` what was opened, then ``use`` it, and return what that returns.

    Connecting and entering get ``connect_timeout`` together.

    Raises:
        SessionLost: it could not be opened, or broke before it was entered.
        Refused: from ``enter``.
    """
    result = ""
    failure: Exception | None = None
    try:
        async with AsyncExitStack() as held, trio.open_nursery() as nursery:
            try:
                with trio.move_on_after(config.connect_timeout) as opening:
                    stream = await _connected(config, tls)
                    held.push_async_callback(trio.aclose_forcefully, stream)
                    websocket = await _opened(nursery, stream, config)
                    await enter(websocket)
                if opening.cancelled_caught:
                    raise SessionLost(f"it did not let us in within {config.connect_timeout:g} s")
                result = await use()
                with trio.move_on_after(GOODBYE):
                    await websocket.aclose()
            except (SessionLost, Refused, *TROUBLE) as error:
                failure = error
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        ours, others = group.split(TROUBLE)
        if others is not None:
            raise
        failure = failure or (ours.exceptions[0] if ours is not None else None)
    if failure is None or result:
        return result
    if isinstance(failure, (SessionLost, Refused)):
        raise failure
    raise SessionLost(_words(failure)) from failure


async def _connected(config: HomeAssistantConfig, tls: ssl.SSLContext | None) -> trio.abc.Stream:
    if tls is None:
        return await trio.open_tcp_stream(config.host, config.port)
    stream = await trio.open_ssl_over_tcp_stream(
        config.host, config.port, ssl_context=tls, https_compatible=True
    )
    try:
        await stream.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return stream


async def _opened(
    nursery: trio.Nursery, stream: trio.abc.Stream, config: HomeAssistantConfig
) -> WebSocketConnection:
    host = f"[{config.host}]" if ":" in config.host else config.host
    watched: Any = _Watched(stream)  # trio-websocket takes any stream, but says otherwise
    opened: WebSocketConnection | None = None

    async def give_up() -> None:
        await watched.ended.wait()
        opening.cancel()

    with trio.CancelScope() as opening:
        nursery.start_soon(give_up)
        opened = await wrap_client_stream(
            nursery,
            watched,
            f"{host}:{config.port}",
            config.resource,
            max_message_size=LARGEST,
        )
    if opened is None:
        raise SessionLost("it closed the connection before the WebSocket was open")
    return opened


def _words(error: BaseException) -> str:
    if isinstance(error, ConnectionRejected):
        return f"it answers with HTTP {error.status_code} and opens no WebSocket"
    inner = error
    while (deeper := inner.__cause__ or inner.__context__) is not None:
        inner = deeper
    text = " ".join(str(inner).split())[:200]
    return text or type(error).__name__
