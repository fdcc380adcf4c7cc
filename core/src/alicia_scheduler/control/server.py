"""The Unix door: a WebSocket server on a socket in the state directory, for its owner alone."""

from __future__ import annotations

import logging
import os
import socket
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_server_stream

from alicia_scheduler.api.control import Caller, CommandError, Permission
from alicia_scheduler.control.control import Control
from alicia_scheduler.control.messages import error_result, ok_result, parse_command

__all__ = ["serve_unix"]

logger = logging.getLogger(__name__)

MESSAGE_LIMIT = 1024 * 1024
CONNECTION_LIMIT = 32
HANDSHAKE_TIMEOUT = 10.0


async def serve_unix(control: Control, path: Path) -> None:
    """Answer commands on the Unix socket ``path`` until cancelled; then remove the socket.

    The socket has the rights 0600, and the peer must be the same user or root.
    """
    listener = trio.SocketListener(_bound(path))
    places = trio.Semaphore(CONNECTION_LIMIT)

    async def handle(stream: trio.SocketStream) -> None:
        # More than the limit wait unanswered; each costs no more than its descriptor.
        async with places, stream:
            try:
                await _serve_one(control, stream)
            except (Exception, BaseExceptionGroup) as error:
                if isinstance(error, BaseExceptionGroup) and error.subgroup(trio.Cancelled):
                    raise
                logger.debug("a control connection ended: %s", error)

    control.answering.set()
    try:
        await trio.serve_listeners(handle, [listener])
    finally:
        # On a disk that became read-only it stays behind.
        with suppress(OSError):
            _remove(path)


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)


def _bound(path: Path) -> trio.socket.SocketType:
    # A socket left by a crash is in the way; that nobody serves it is sure, as we hold the lock.
    _remove(path)
    raw = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        raw.bind(str(path))
    except BaseException:
        raw.close()
        raise
    finally:
        os.umask(before)
    raw.listen(CONNECTION_LIMIT)
    raw.setblocking(False)
    return trio.socket.from_stdlib_socket(raw)


async def _serve_one(control: Control, stream: trio.SocketStream) -> None:
    uid = _peer_uid(stream)
    if uid not in (os.getuid(), 0):
        logger.warning("a control connection of another user was refused")
        return
    caller = Caller(door="unix", name=f"uid {uid}", permission=Permission.ADMIN)
    async with trio.open_nursery() as nursery:
        with trio.fail_after(HANDSHAKE_TIMEOUT):
            request: Any = await wrap_server_stream(nursery, stream, max_message_size=MESSAGE_LIMIT)
            connection: WebSocketConnection = await request.accept()
        try:
            # The socket's owner is known by the system, so there is nothing to ask for.
            await connection.send_message('{"type":"auth_ok"}')
            await _answer(control, caller, connection)
        except ConnectionClosed:
            pass
        nursery.cancel_scope.cancel()


async def _answer(control: Control, caller: Caller, connection: WebSocketConnection) -> None:
    last_id = 0
    while True:
        number: int | None = None
        try:
            text = await connection.get_message()
            number, name, arguments = parse_command(text, last_id)
            last_id = number
            if name == "ping":
                await connection.send_message(f'{{"id":{number},"type":"pong"}}')
                continue
            answer = ok_result(number, await control.execute(caller, name, arguments))
        except CommandError as error:
            answer = error_result(number, error)
        await connection.send_message(answer)


def _peer_uid(stream: trio.SocketStream) -> int:
    credentials = stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    uid: int = struct.unpack("iII", credentials)[1]
    return uid
