"""A link by aiomqtt (the present name of asyncio-mqtt), on an asyncio loop that trio turns.

Nothing here waits longer than a deadline: an attempt that hangs in a look-up of a name or in a
black hole hangs in a thread of its own, is abandoned, and closes its socket by itself when it comes
back.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from alicia_mqtt.aiomqtt_session import Session
from alicia_mqtt.config import MqttConfig, Protocol
from alicia_mqtt.hosted_loop import HostedLoop
from alicia_mqtt.link import Deliver, Link, LinkUnavailable
from alicia_mqtt.requests import Publish, Request, Requests

__all__ = ["open_link"]

CLOSE_WITHIN = 1.0
"""Seconds that a polite DISCONNECT may take."""


@asynccontextmanager
async def open_link(
    config: MqttConfig,
    *,
    client_id: str,
    protocol: Protocol,
    resume: bool,
    tls: ssl.SSLContext | None,
    deliver: Deliver,
    logger: logging.Logger,
) -> AsyncIterator[Link]:
    """A link by aiomqtt. See :class:`alicia_mqtt.link.OpenLink`."""
    loop = HostedLoop()
    link = AiomqttLink(loop, deliver)
    session = link.session = Session(
        config, client_id=client_id, protocol=protocol, resume=resume, tls=tls, report=link
    )
    main = loop.create_task(session.run())
    try:
        async with _turning(loop, main):
            await link.wait_opened(config.connect_timeout)
            try:
                if link.why is None:
                    yield link
            finally:
                await link.close()
    finally:
        loop.end()
    if not link.accepted and link.why is not None:
        raise link.why


@asynccontextmanager
async def _turning(loop: HostedLoop, main: asyncio.Task[None]) -> AsyncIterator[None]:
    """Turn the loop while the block is open, also while it is being cancelled."""
    scope = trio.CancelScope(shield=True)

    async def turn() -> None:
        with scope:
            await loop.host(main)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(turn)
        try:
            yield
        finally:
            scope.cancel()


class AiomqttLink(Requests):
    """A :class:`~alicia_mqtt.link.Link`, and what its session reports to.

    Attributes:
        session: the asyncio half.
        accepted: whether the broker ever accepted the connection.
    """

    session: Session

    def __init__(self, loop: HostedLoop, deliver: Deliver) -> None:
        super().__init__()
        self.accepted = False
        self.arrived = deliver
        self._loop = loop
        self._opened = trio.Event()
        self._ended = trio.Event()

    async def wait_opened(self, timeout: float) -> None:
        """Wait until the broker has accepted, or there is a reason why it has not."""
        with trio.move_on_after(timeout):
            await self._opened.wait()
        if not self._opened.is_set():
            self.lose(LinkUnavailable(f"it did not answer within {timeout:g} s"))

    async def close(self) -> None:
        """Disconnect politely within a second. A session that is still connecting has nobody to
        be polite to."""
        self.lose(LinkUnavailable("closed"))
        if self.accepted:
            self._loop.call_soon(self.session.stop)
            with trio.move_on_after(CLOSE_WITHIN, shield=True):
                await self._ended.wait()

    def submit(self, publish: Publish) -> None:
        """See :meth:`alicia_mqtt.requests.Requests.submit`."""
        self.session.publish(publish)

    def flush(self) -> None:
        """See :meth:`alicia_mqtt.requests.Requests.flush`."""
        self.session.flush()

    async def subscribe(
        self, topic_filter: str, *, qos: int, number: int, no_local: bool = False
    ) -> None:
        """See :meth:`alicia_mqtt.link.Link.subscribe`."""
        request = Request()
        if self.track(request):
            subscribe = self.session.subscribe
            self._loop.call_soon(subscribe, request, topic_filter, qos, number, no_local)
        await self.wait(request)

    def unsubscribe(self, topic_filter: str) -> None:
        """See :meth:`alicia_mqtt.link.Link.unsubscribe`."""
        self._loop.call_soon(self.session.unsubscribe, topic_filter)

    async def wait_lost(self) -> LinkUnavailable:
        """See :meth:`alicia_mqtt.link.Link.wait_lost`."""
        await self._ended.wait()
        return self.why or LinkUnavailable("closed")

    # What the session reports.

    def opened(self) -> None:
        """The broker has accepted."""
        self.accepted = True
        self._opened.set()

    def ended(self, why: LinkUnavailable) -> None:
        """The session is over."""
        self.lose(why)
        self._opened.set()
        self._ended.set()
