"""The Unix door: a socket in the state directory, for its owner alone. Always there."""

from __future__ import annotations

import logging
import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import trio

from alicia_scheduler.api.control import Caller, Permission
from alicia_scheduler.control.limits import Bucket
from alicia_scheduler.control.shared import Surroundings

__all__ = ["serve_unix"]

logger = logging.getLogger(__name__)

CONNECTION_LIMIT = 128
HANDSHAKE_TIMEOUT = 10.0

BURST = 10_000
"""Messages at once: the socket's owner could do anything else to the host as well, so this holds
up a program that has gone wild, not its user."""


async def serve_unix(
    surroundings: Surroundings, path: Path, *, opened: Callable[[], object] = lambda: None
) -> None:
    """Answer commands on the Unix socket ``path`` until cancelled; then remove the socket.

    The socket has the rights 0600, and the peer must be the same user or root.

    Args:
        opened: called once the socket can be connected to.

    Raises:
        OSError: the socket cannot be made.
    """
    listener = trio.SocketListener(_bound(path))
    opened()
    places = trio.Semaphore(CONNECTION_LIMIT)

    async def handle(stream: trio.SocketStream) -> None:
        # More than the limit wait unanswered; each costs no more than its descriptor.
        async with places:
            try:
                await _serve_one(surroundings, stream)
            except* Exception:
                logger.exception("a connection to the control socket failed")
            finally:
                await trio.aclose_forcefully(stream)

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


async def _serve_one(surroundings: Surroundings, stream: trio.SocketStream) -> None:
    uid = _peer_uid(stream)
    if uid not in (os.getuid(), 0):
        logger.warning("a connection of the user %d to the control socket was refused", uid)
        return
    # Most of the time nobody is connected, and a host need not hold what speaks with them.
    await trio.to_thread.run_sync(import_module, "alicia_scheduler.control.session")
    from alicia_scheduler.control.session import Session
    from alicia_scheduler.control.wire import Wire, WireClosed

    bucket = Bucket(surroundings.settings.rate, max(BURST, surroundings.settings.rate))
    wire = Wire(stream, bucket)
    try:
        with trio.fail_after(HANDSHAKE_TIMEOUT):
            await wire.open(lambda _request: None)
            # The system says who the far side is, so there is nothing to ask for.
            await wire.send('{"type":"auth_ok"}')
    except (WireClosed, trio.TooSlowError):
        return
    caller = Caller(door="unix", name=f"uid {uid}", permission=Permission.ADMIN)
    await Session(wire, bucket, caller, surroundings).run()


def _peer_uid(stream: trio.SocketStream) -> int:
    credentials = stream.socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    uid: int = struct.unpack("iII", credentials)[1]
    return uid
