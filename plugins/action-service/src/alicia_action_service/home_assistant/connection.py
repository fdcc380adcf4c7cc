"""The connection that calls share: it opens sessions, one after the other, until it is closed or
the token is refused."""

from __future__ import annotations

import random
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio
from trio_websocket import WebSocketConnection

from alicia_action_service.home_assistant.config import HomeAssistantConfig
from alicia_action_service.home_assistant.session import (
    Refused,
    Session,
    SessionLost,
    authenticate,
)
from alicia_action_service.home_assistant.wire import over_websocket
from alicia_scheduler.api import ConfigError, Permanent, Retryable, ServiceContext

__all__ = ["Connection", "open_connection"]

FIRST, LONGEST = 1.0, 60.0
"""Seconds: the ceiling of the first wait before connecting again, and of any."""

STABLE = 60.0
"""Seconds that a session has to last for the waits to begin anew."""

FIRST_WORD = 3.0
"""Seconds that the start waits to know whether there is a connection, so that events which are due
at once find one."""


@asynccontextmanager
async def open_connection(
    config: HomeAssistantConfig, context: ServiceContext
) -> AsyncIterator[Connection]:
    """The running connection, with or without a Home Assistant that answers.

    Raises:
        ConfigError: ``ca_file`` cannot be read.
    """
    tls = await context.run_sync(_load_tls, config) if config.secure else None
    connection = Connection(config, context, tls)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.run)
        with trio.move_on_after(FIRST_WORD):
            await connection.decided.wait()
        yield connection
        nursery.cancel_scope.cancel()


class Connection:
    """Implements :class:`alicia_action_service.HomeAssistant`.

    Attributes:
        decided: it is known how the first attempt to connect ended.
    """

    def __init__(
        self, config: HomeAssistantConfig, context: ServiceContext, tls: ssl.SSLContext | None
    ) -> None:
        self.decided = trio.Event()
        self._config = config
        self._logger = context.logger
        self._tls = tls
        self._session: Session | None = None
        self._refused: str | None = None
        self._why = "it was not reached yet"
        self._lost_at: float | None = None
        self._failures = 0

    @property
    def connected(self) -> bool:
        """True while Home Assistant takes commands."""
        return self._session is not None and self._session.alive

    async def command(self, message: dict[str, Any], *, until: float) -> dict[str, Any]:
        """See :meth:`alicia_action_service.HomeAssistant.command`."""
        if self._refused is not None:
            raise Permanent(
                f"Home Assistant refuses the token: {self._refused}", error_class="auth_invalid"
            )
        if self._session is None:
            raise Retryable(
                f"no connection to Home Assistant at {self._config.host}: {self._why}",
                error_class="connection",
            )
        return await self._session.command(message, until=until)

    async def run(self) -> None:
        """Keep a session until cancelled, or until the token is refused."""
        while True:
            try:
                why = await self._one_session()
            except Refused as refused:
                self._refused = str(refused)
                self.decided.set()
                self._logger.error(
                    "Home Assistant at %s refuses the token: %s; it is not tried again until this "
                    "host is restarted with another one",
                    self._config.host,
                    refused,
                )
                return
            self._tell_lost(why)
            self.decided.set()
            await trio.sleep(self._next_wait())

    async def _one_session(self) -> str:
        """Connect, get in, and use the session until it is lost; returns why it was."""
        entered: list[tuple[WebSocketConnection, str]] = []

        async def enter(websocket: WebSocketConnection) -> None:
            entered.append((websocket, await authenticate(websocket, self._config.token)))

        async def use() -> str:
            websocket, version = entered[0]
            return await self._use(Session(websocket, self._config.keepalive), version)

        try:
            return await over_websocket(self._config, self._tls, enter, use)
        except SessionLost as lost:
            return str(lost)

    async def _use(self, session: Session, version: str) -> str:
        since = trio.current_time()
        self._session = session
        self._tell_back(version)
        self.decided.set()
        try:
            return await session.run()
        finally:
            self._session = None
            if trio.current_time() - since >= STABLE:
                self._failures = 0

    def _next_wait(self) -> float:
        """Seconds until the next attempt: uniform in [0, min(60 s, 1 s · 2^n)), so that a whole
        house that comes back after a power cut does not knock at one instant."""
        ceiling = min(LONGEST, FIRST * 2.0 ** min(self._failures, 6))
        self._failures += 1
        return random.uniform(0.0, ceiling)

    def _tell_lost(self, why: str) -> None:
        self._why = why
        if self._lost_at is None:
            self._lost_at = trio.current_time()
            host = self._config.host
            self._logger.warning("no connection to Home Assistant at %s: %s", host, why)

    def _tell_back(self, version: str) -> None:
        after = ""
        if self._lost_at is not None:
            after = f" after {trio.current_time() - self._lost_at:.0f} s"
            self._lost_at = None
        self._logger.info(
            "connected to Home Assistant %s at %s%s", version, self._config.host, after
        )


def _load_tls(config: HomeAssistantConfig) -> ssl.SSLContext:
    """Read the authorities to trust. Blocks.

    Raises:
        ConfigError: the file is not what it should be.
    """
    try:
        context = ssl.create_default_context(cafile=config.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"cannot use ca_file: {error}", path=("ca_file",)) from error
    if not config.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
