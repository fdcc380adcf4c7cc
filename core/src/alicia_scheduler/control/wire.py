"""One WebSocket as the host sees it: text in, text out, whatever the far side does.

Speaks through wsproto, the engine inside trio-websocket, without a task or a queue of its own:
what is not asked for is not read, so a far side that sends too fast is held up by the network.
Every way in which the far side can be wrong ends in :class:`WireClosed`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

import trio
from wsproto import ConnectionType, WSConnection
from wsproto.connection import ConnectionState
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError, ProtocolError

from alicia_scheduler.control.limits import Bucket
from alicia_scheduler.control.messages import WEBSOCKET_PATH

__all__ = ["Rejection", "Wire", "WireClosed"]

PATHS = ("/", WEBSOCKET_PATH)

RECEIVE_BYTES = 16 * 1024
BYTES_A_FRAME = 4096
"""So many bytes take as much from the bucket as a frame does."""

MAX_FRAGMENTS = 1024
"""Frames that one message may come in; without a bound, empty ones would fill the memory."""

FAREWELL = 2.0
"""Seconds that the far side has to take the reason in before the connection is closed."""


class WireClosed(Exception):
    """The connection has ended, or has to.

    Args:
        code: of RFC 6455 section 7.4.1; 1006 when the far side is gone.
        reason: a sentence for whoever is at the far side, at most 120 bytes.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{reason} ({code})")
        self.code = code
        self.reason = reason


@dataclass(frozen=True)
class Rejection:
    """Why a handshake is refused: an HTTP status, and a sentence."""

    status: int
    reason: str


class Wire:
    """A WebSocket of a client.

    Args:
        stream: connected; TLS, if any, is there already.
        bucket: what frames of any kind, and their bytes, are taken from; when it is empty, reading
            waits.

    Attributes:
        reading: True while it waits for the far side to send something.
        heard: when the far side last sent something, or the wait for it began
            (:func:`trio.current_time`).
        sending_since: when the sending began that is under way, or None.
    """

    def __init__(self, stream: trio.abc.Stream, bucket: Bucket) -> None:
        self.reading = False
        self.heard = trio.current_time()
        self.sending_since: float | None = None
        self._stream = stream
        self._bucket = bucket
        self._ws = WSConnection(ConnectionType.SERVER)
        self._turn = trio.StrictFIFOLock()
        self._cut_short = False
        self._head = b""
        self._parts: list[str] = []
        self._size = 0
        self._fragments = 0

    async def open(self, judge: Callable[[Request], Rejection | None]) -> None:
        """Take the handshake.

        Args:
            judge: says why a request is refused, if it is.

        Raises:
            WireClosed: it was no WebSocket's handshake, or it was refused.
        """
        try:
            request = await self._request()
        except (ProtocolError, UnicodeError) as error:
            hint = getattr(error, "event_hint", None)
            status = hint.status_code if isinstance(hint, RejectConnection) else 400
            headers = list(hint.headers) if isinstance(hint, RejectConnection) else []
            if self._asked_elsewhere():
                status, headers = 404, []
            await self._reject(Rejection(status, "this is a WebSocket"), headers)
        rejection = judge(request)
        if request.target.partition("?")[0] not in PATHS:
            rejection = Rejection(404, f"there is only {WEBSOCKET_PATH}")
        if rejection is not None:
            await self._reject(rejection)
        self._head = b""
        await self._send([AcceptConnection()])

    async def receive(self, limit: int) -> str:
        """The next message.

        Args:
            limit: bytes of the largest message that is taken.

        Raises:
            WireClosed: there will be none.
        """
        while True:
            for event in self._ws.events():
                if (message := await self._take(event, limit)) is not None:
                    return message
            data = await self._receive_some()
            try:
                self._ws.receive_data(data)
            except ProtocolError as error:
                raise WireClosed(1002, str(error)) from error

    async def send(self, *texts: str) -> None:
        """Send messages, in one go. When it is cancelled, nothing can be sent any more.

        Raises:
            WireClosed: the connection has ended.
        """
        await self._send([TextMessage(data=text) for text in texts])

    async def send_frames(self, frames: bytes) -> None:
        """Send frames that are made already, each a whole message.

        Raises:
            WireClosed: the connection has ended.
        """
        await self._send([], frames)

    async def ping(self) -> None:
        """Ask the far side for a sign of life.

        Raises:
            WireClosed: the connection has ended.
        """
        await self._send([Ping(payload=b"alive?")])

    async def close(self, code: int, reason: str, *, patience: float = FAREWELL) -> None:
        """End the connection, and say why if the far side still listens.

        Args:
            patience: seconds that the far side has to take it in.
        """
        with trio.move_on_after(patience, shield=True):
            try:
                if self._ws.state is ConnectionState.OPEN:
                    await self._send([CloseConnection(code=code, reason=reason)])
                await self._linger()
            except (WireClosed, trio.ClosedResourceError, trio.BrokenResourceError):
                pass
        await trio.aclose_forcefully(self._stream)

    async def _request(self) -> Request:
        while True:
            for event in self._ws.events():
                if isinstance(event, Request):
                    return event
            data = await self._receive_some()
            self._head = (self._head + data)[:1024]
            self._ws.receive_data(data)

    def _asked_elsewhere(self) -> bool:
        words = self._head.split(b"\r\n", 1)[0].split(b" ")
        if len(words) != 3 or not words[2].startswith(b"HTTP/"):
            return False
        return words[1].partition(b"?")[0].decode("ascii", "replace") not in PATHS

    async def _reject(
        self, rejection: Rejection, headers: list[tuple[bytes, bytes]] | None = None
    ) -> NoReturn:
        body = f"{rejection.reason}\n".encode()
        headers = [
            *(headers or []),
            (b"content-type", b"text/plain; charset=utf-8"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        answer = RejectConnection(status_code=rejection.status, headers=headers, has_body=True)
        await self._send([answer, RejectData(data=body)])
        raise WireClosed(1006, f"handshake refused: {rejection.reason} (HTTP {rejection.status})")

    async def _take(self, event: Event, limit: int) -> str | None:
        """Deal with one event; returns the message that it completes, if it does."""
        if isinstance(event, TextMessage):
            return await self._collect(event, limit)
        if isinstance(event, BytesMessage):
            raise WireClosed(1003, "messages are text")
        if isinstance(event, CloseConnection):
            if self._ws.state is ConnectionState.REMOTE_CLOSING:
                await self._send([event.response()])
                raise WireClosed(1006, "the far side has closed")
            # wsproto found the far side's frames to be wrong.
            raise WireClosed(event.code, event.reason or "broken frame")
        await self._bucket.take()
        if isinstance(event, Ping):
            await self._send([event.response()])
        return None

    async def _collect(self, event: TextMessage, limit: int) -> str | None:
        self._parts.append(event.data)
        self._size += len(event.data) if event.data.isascii() else len(event.data.encode())
        if self._size > limit:
            raise WireClosed(1009, f"a message has {limit} bytes at the most")
        if len(self._parts) > MAX_FRAGMENTS:
            self._parts = ["".join(self._parts)]
        if event.frame_finished:
            await self._bucket.take()
            self._fragments += 1
            if self._fragments > MAX_FRAGMENTS:
                raise WireClosed(1008, f"a message has {MAX_FRAGMENTS} frames at the most")
        if not event.message_finished:
            return None
        message = "".join(self._parts)
        self._parts, self._size, self._fragments = [], 0, 0
        return message

    async def _receive_some(self) -> bytes:
        self.heard = trio.current_time()
        self.reading = True
        try:
            data = bytes(await self._stream.receive_some(RECEIVE_BYTES))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise WireClosed(1006, "the connection broke") from error
        finally:
            self.reading = False
        if not data:
            raise WireClosed(1006, "the far side is gone")
        self.heard = trio.current_time()
        await self._bucket.take(len(data) / BYTES_A_FRAME)
        return data

    async def _send(self, events: list[Event], frames: bytes = b"") -> None:
        async with self._turn:
            if self._cut_short:
                raise WireClosed(1006, "a frame was cut short")
            try:
                if frames and self._ws.state is not ConnectionState.OPEN:
                    raise LocalProtocolError("no frames before or after the connection")
                data = frames or b"".join(map(self._ws.send, events))
            except LocalProtocolError as error:
                raise WireClosed(1006, "the connection is closing") from error
            self._cut_short = True
            self.sending_since = trio.current_time()
            try:
                await self._stream.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise WireClosed(1006, "the connection broke") from error
            finally:
                self.sending_since = None
            self._cut_short = False

    async def _linger(self) -> None:
        """Let the far side read what was sent before the connection goes: closing a socket that
        holds unread bytes destroys what is under way to the far side."""
        if isinstance(self._stream, trio.SocketStream):
            await self._stream.send_eof()
        while await self._stream.receive_some(RECEIVE_BYTES):
            pass
