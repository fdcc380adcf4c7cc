"""The TCP door: WebSockets from elsewhere, for who has a token. Only where the configuration says.

Before somebody has authenticated, little is spent on them: a bounded number of connections, ten
seconds, 16 KiB. Whoever is refused learns no more than that.
"""

from __future__ import annotations

import logging
import socket
import ssl
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import NoReturn

import trio
from wsproto.events import Request

from alicia_scheduler.api.control import Caller, CommandError
from alicia_scheduler.api.errors import ConfigError
from alicia_scheduler.config.control import Address, ControlSettings, tls_context
from alicia_scheduler.control.hostnames import allowed_host
from alicia_scheduler.control.limits import Bucket, Doorkeeper, peer_of
from alicia_scheduler.control.messages import decode
from alicia_scheduler.control.session import Session
from alicia_scheduler.control.shared import Surroundings
from alicia_scheduler.control.tokens import Token, TokenError, Tokens
from alicia_scheduler.control.wire import Rejection, Wire, WireClosed
from alicia_scheduler.kernel.clock import Clock

__all__ = ["TcpDoor"]

logger = logging.getLogger(__name__)

AUTH_TIMEOUT = 10.0
"""Seconds from the connection to the token."""

AUTH_LIMIT = 16 * 1024
"""Bytes of a message before authentication."""

SEND_BUFFER = 128 * 1024
"""Bytes that the system keeps for a slow reader; left alone, Linux takes up to 4 MiB for each."""

LOOK_EVERY = 5.0
"""Seconds between two looks whether the tokens of open sessions still count."""

BURST_SECONDS = 10.0
"""A connection that was quiet may send what comes in so many seconds at once."""


class TcpDoor:
    """Everything that comes in by TCP, at whichever address.

    Args:
        surroundings: what all sessions share.
        state_dir: where the tokens are.
        clock: decides what has expired.
    """

    def __init__(self, surroundings: Surroundings, state_dir: Path, clock: Clock) -> None:
        self._surroundings = surroundings
        self._settings: ControlSettings = surroundings.settings
        self._tokens = Tokens(state_dir)
        self._clock = clock
        self._keeper = Doorkeeper(self._settings.max_connections)
        self._sessions: dict[Session, Token] = {}
        self._somebody = trio.Event()
        self._certificate = _Certificate(self._settings)

    async def serve(self, address: Address) -> NoReturn:
        """Take connections at ``address`` until cancelled.

        Raises:
            OSError: the address is taken, or not this machine's.
            ConfigError: the certificate cannot be used any more.
        """
        self._certificate.context()
        listeners = await trio.open_tcp_listeners(address.port, host=address.host)
        how = "with TLS" if self._settings.certificate is not None else "without TLS"
        logger.info("takes commands at %s, %s", address, how)
        await trio.serve_listeners(self._handle, listeners)

    async def end_revoked(self) -> NoReturn:
        """End the sessions whose token was revoked or has expired, until cancelled."""
        while True:
            if not self._sessions:
                self._somebody = trio.Event()
                await self._somebody.wait()
            await trio.sleep(LOOK_EVERY)
            now = self._clock.now()
            for session, token in list(self._sessions.items()):
                try:
                    holds = self._tokens.holds(token, now)
                except TokenError as error:
                    logger.warning("open sessions stay: %s", error)
                    break
                if not holds:
                    logger.info("the token %s no longer counts: its session ends", token.name)
                    session.end(1008, "the token was revoked, or has expired")

    async def _handle(self, stream: trio.SocketStream) -> None:
        try:
            await self._serve_one(stream)
        except* Exception:
            logger.exception("a connection to the TCP door failed")
        finally:
            await trio.aclose_forcefully(stream)

    async def _serve_one(self, stream: trio.SocketStream) -> None:
        try:
            peer = peer_of(stream.socket.getpeername()[0])
        except OSError:
            return  # gone already
        full = self._keeper.full_for(peer)
        if full is not None:
            logger.debug("a connection from %s was not taken: %s", peer, full)
            return
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        rate = self._settings.rate
        bucket = Bucket(rate, rate * BURST_SECONDS)
        with self._keeper.connection():
            with self._keeper.unknown(peer):
                wire, token = await self._let_in(stream, bucket, peer)
            if wire is not None and token is not None:
                logger.info("%s came in with the token %s", peer, token.name)
                await self._talk(wire, token, bucket)
            elif wire is not None:
                await self._refuse(wire, peer)

    async def _let_in(
        self, stream: trio.SocketStream, bucket: Bucket, peer: str
    ) -> tuple[Wire | None, Token | None]:
        """The wire of whoever is there, if they said in time who they are, and their token, if it
        is one."""
        secured = self._certificate.around(stream)
        wire = Wire(secured, bucket)
        try:
            with trio.fail_after(AUTH_TIMEOUT):
                if isinstance(secured, trio.SSLStream):
                    await secured.do_handshake()
                await wire.open(self._judge)
                await wire.send('{"type":"auth_required"}')
                secret = _secret_in(await wire.receive(AUTH_LIMIT))
        except trio.TooSlowError:
            await wire.close(1008, f"you have {AUTH_TIMEOUT:g} s to authenticate")
            return None, None
        except WireClosed as error:
            logger.debug("%s did not get in: %s", peer, error)
            await wire.close(error.code, error.reason)
            return None, None
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            logger.debug("%s did not get in: %s", peer, error.__cause__ or error)
            return None, None
        return wire, self._token_of(secret, self._clock.now())

    def _token_of(self, secret: str | None, now: datetime) -> Token | None:
        if secret is None:
            return None
        try:
            return self._tokens.of(secret, now)
        except TokenError as error:
            logger.warning("nobody is let in: %s", error)
            return None

    async def _refuse(self, wire: Wire, peer: str) -> None:
        count, delay = self._keeper.failed(peer)
        if count & (count - 1) == 0:
            # Not each of them: whoever guesses would write the log full.
            logger.warning("wrong tokens from %s: %d so far", peer, count)
        reason = "the token is not valid"
        with self._keeper.refusal(peer) as may_wait:
            if not may_wait:
                return
            try:
                with trio.move_on_after(delay):
                    while True:  # whoever leaves need not be waited for
                        await wire.receive(AUTH_LIMIT)
                with trio.move_on_after(AUTH_TIMEOUT):
                    await wire.send(f'{{"type":"auth_invalid","message":"{reason}"}}')
            except WireClosed:
                pass
            await wire.close(1008, reason)

    async def _talk(self, wire: Wire, token: Token, bucket: Bucket) -> None:
        caller = Caller(door="tcp", name=token.name, permission=token.permission)
        session = Session(wire, bucket, caller, self._surroundings)
        self._sessions[session] = token
        self._somebody.set()
        try:
            with trio.move_on_after(AUTH_TIMEOUT) as greeting:
                await wire.send('{"type":"auth_ok"}')
            if not greeting.cancelled_caught:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._note_use, token)
                    await session.run()
        except WireClosed:
            pass
        finally:
            del self._sessions[session]

    async def _note_use(self, token: Token) -> None:
        try:
            note = partial(self._tokens.note_use, token, self._clock.now())
            await trio.to_thread.run_sync(note, abandon_on_cancel=True)
        except TokenError as error:
            logger.warning("when a token was last used is not kept: %s", error)

    def _judge(self, request: Request) -> Rejection | None:
        """Keep out what a browser was led here to do: pages of other origins, and those that gave
        their own name this machine's address."""
        if not allowed_host(request.host, self._settings.hosts):
            logger.debug("a connection to the host name %r was refused", request.host)
            return Rejection(403, "this host name is not listed in [control] hosts")
        for name, value in request.extra_headers:
            if name != b"origin":
                continue
            origin = value.decode("latin-1").lower()
            if origin not in self._settings.origins:
                logger.debug("a connection of the web page %r was refused", origin)
                return Rejection(403, "this origin is not listed in [control] origins")
        return None


class _Certificate:
    """The TLS of the door; a renewed certificate is taken without a restart."""

    def __init__(self, settings: ControlSettings) -> None:
        self._certificate = settings.certificate
        self._key = settings.key
        self._context: ssl.SSLContext | None = None
        self._seen: tuple[int, ...] = ()

    def around(self, stream: trio.SocketStream) -> trio.abc.Stream:
        """The stream with TLS, whose handshake is still to do, or as it is when there is none."""
        context = self.context()
        if context is None:
            return stream
        return trio.SSLStream(stream, context, server_side=True, https_compatible=True)

    def context(self) -> ssl.SSLContext | None:
        """What to encrypt with, from the files as they are now; while they are wrong, as they were.

        Raises:
            ConfigError: they are wrong and there is nothing from before.
        """
        if self._certificate is None:
            return None
        seen = tuple(_changed_at(file) for file in (self._certificate, self._key) if file)
        if seen != self._seen:
            self._seen = seen
            try:
                self._context = tls_context(self._certificate, self._key)
            except ConfigError as error:
                if self._context is None:
                    raise
                logger.warning("the certificate stays the former one: %s", error)
        return self._context


def _changed_at(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


def _secret_in(text: str) -> str | None:
    """The token of an ``auth`` message, or None when it is none."""
    try:
        messages = decode(text)
    except CommandError:
        return None
    message = messages[0]
    if len(messages) != 1 or not isinstance(message, dict) or message.get("type") != "auth":
        return None
    secret = message.get("access_token")
    return secret if isinstance(secret, str) else None
