"""The trio half of a link: starts the thread, hands over, and stays cancellable whatever it does.

The asyncio half runs in a daemon thread. Nothing here waits for that thread longer than a
deadline: one that hangs in a look-up of a name or in a black hole is abandoned, and closes its
socket by itself when it comes back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import trio

from alicia_mqtt.aiomqtt_client import InPlaceLoop
from alicia_mqtt.aiomqtt_session import Report, Session
from alicia_mqtt.config import MqttConfig, Protocol
from alicia_mqtt.handover import Handover
from alicia_mqtt.link import Deliver, Link, LinkUnavailable
from alicia_mqtt.sender import Publish, Request
from alicia_scheduler.api import AliciaError, MqttMessage, MqttOutgoing, Retryable

__all__ = ["open_link"]

CLOSE_WITHIN = 1.0
"""Seconds that a polite DISCONNECT may take."""

PLACES = 500
"""Most publishes handed to the thread at a time; the next ones wait here, in order."""

INCOMING = 10_000
"""Most incoming messages between the threads, while the trio loop is busy otherwise."""


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

    def make_session(report: Report) -> Session:
        return Session(
            config,
            client_id=client_id,
            protocol=protocol,
            resume=resume,
            tls=tls,
            report=report,
        )

    link = AiomqttLink(make_session, deliver, logger)
    link.start()
    try:
        await link.wait_opened(config.connect_timeout)
        yield link
    finally:
        await link.close()


class AiomqttLink:
    """A :class:`~alicia_mqtt.link.Link` whose session lives in another thread."""

    def __init__(
        self,
        make_session: Callable[[Report], Session],
        deliver: Deliver,
        logger: logging.Logger,
    ) -> None:
        self._session = make_session(_Report(self))
        self._deliver = deliver
        self._logger = logger
        self._dropped_told = 0
        self._loop = InPlaceLoop()
        self._token = trio.lowlevel.current_trio_token()
        self._calls = Handover[Callable[[], None]](self._wake_loop, _call)
        self.reports = Handover[Callable[[], None]](self._wake_trio, _call)
        self.incoming = Handover[tuple[MqttMessage, tuple[int, ...]]](
            self._wake_trio, self._receive, limit=INCOMING
        )
        self._places = trio.Semaphore(PLACES)
        self._requests: set[Request] = set()
        self._opened = trio.Event()
        self._ended = trio.Event()
        self._why: LinkUnavailable | None = None
        self.unsettled: tuple[int, ...] = ()

    def start(self) -> None:
        """Let the session run in its thread."""
        threading.Thread(
            target=_run, args=(self._loop, self._session), name="alicia-mqtt", daemon=True
        ).start()

    async def wait_opened(self, timeout: float) -> None:
        """Wait until the broker has accepted.

        Raises:
            LinkUnavailable: it did not, or not within ``timeout`` seconds.
        """
        with trio.move_on_after(timeout):
            await self._opened.wait()
        if self._why is not None:
            raise self._why
        if not self._opened.is_set():
            raise LinkUnavailable(f"it did not answer within {timeout:g} s")

    async def close(self) -> None:
        """Disconnect politely within a second, else leave the thread to itself.

        A session that is still connecting has nobody to be polite to. It hears of the end before
        it writes its first byte, so it cannot become a second client with our id.
        """
        connected = self._opened.is_set()
        self.lose(LinkUnavailable("closed"))
        self._calls.post(self._session.stop)
        if connected:
            with trio.move_on_after(CLOSE_WITHIN, shield=True):
                await self._ended.wait()

    async def publish(self, message: MqttOutgoing) -> None:
        """See :meth:`alicia_mqtt.link.Link.publish`."""
        await self._take_place()
        publish = Publish(message)
        await self._ask(publish, partial(self._session.publish, publish))

    async def subscribe(
        self, topic_filter: str, *, qos: int, number: int, no_local: bool = False
    ) -> None:
        """See :meth:`alicia_mqtt.link.Link.subscribe`."""
        await self._take_place()
        request = Request()
        subscribe = self._session.subscribe
        await self._ask(request, partial(subscribe, request, topic_filter, qos, number, no_local))

    def unsubscribe(self, topic_filter: str) -> None:
        """See :meth:`alicia_mqtt.link.Link.unsubscribe`."""
        self._calls.post(partial(self._session.unsubscribe, topic_filter))

    async def wait_lost(self) -> LinkUnavailable:
        """See :meth:`alicia_mqtt.link.Link.wait_lost`."""
        await self._ended.wait()
        return self._why or LinkUnavailable("closed")

    async def _take_place(self) -> None:
        """Wait for a place; a free one costs no turn of the scheduler."""
        try:
            self._places.acquire_nowait()
        except trio.WouldBlock:
            await self._places.acquire()

    async def _ask(self, request: Request, call: Callable[[], None]) -> None:
        """Hand a call over and wait for its outcome. Takes a place; settling gives it back."""
        self._requests.add(request)
        if self._why is not None:
            self.settle(request, _lost(self._why))
        else:
            self._calls.post(call)
        try:
            await request.done.wait()
        except trio.Cancelled:
            request.abandoned = True
            raise
        if request.error is not None:
            raise request.error

    # What the session reports, in the trio thread.

    def open(self) -> None:
        """The broker has accepted."""
        self._opened.set()

    def settle(self, request: Request, error: AliciaError | None) -> None:
        """Wake whoever waits for the request, and free its place. The first word counts."""
        if request in self._requests:
            self._requests.remove(request)
            self._places.release()
            request.error = error
            request.done.set()

    def end(self, why: LinkUnavailable) -> None:
        """The session is over."""
        self.lose(why)
        self._opened.set()
        self._ended.set()

    def lose(self, why: LinkUnavailable) -> None:
        """Nothing gets through any more: everything under way fails, and may be tried again."""
        self._why = self._why or why
        under_way = list(self._requests)
        self.unsettled += tuple(
            request.qos for request in under_way if isinstance(request, Publish)
        )
        for request in under_way:
            self.settle(request, _lost(self._why))

    def _receive(self, item: tuple[MqttMessage, tuple[int, ...]]) -> None:
        dropped = self.incoming.dropped
        if dropped > self._dropped_told:
            self._logger.warning(
                "%d messages came in faster than they were taken, and were dropped",
                dropped - self._dropped_told,
            )
            self._dropped_told = dropped
        self._deliver(*item)

    def _wake_loop(self, deliver: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has closed: the session is over
            self._loop.call_soon_threadsafe(deliver)

    def _wake_trio(self, deliver: Callable[[], None]) -> None:
        with contextlib.suppress(trio.RunFinishedError):  # an abandoned thread came back late
            self._token.run_sync_soon(deliver)


class _Report:
    """Carries what the session tells over to the trio thread."""

    def __init__(self, link: AiomqttLink) -> None:
        self._link = link

    def opened(self) -> None:
        self._link.reports.post(self._link.open)

    def ended(self, why: LinkUnavailable) -> None:
        self._link.reports.post(partial(self._link.end, why))

    def settled(self, request: Request, error: AliciaError | None) -> None:
        self._link.reports.post(partial(self._link.settle, request, error))

    def arrived(self, message: MqttMessage, numbers: tuple[int, ...]) -> None:
        self._link.incoming.post((message, numbers))


def _run(loop: asyncio.AbstractEventLoop, session: Session) -> None:
    """The life of the thread."""
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(session.run())


def _call(function: Callable[[], None]) -> None:
    function()


def _lost(why: LinkUnavailable) -> Retryable:
    return Retryable(f"the connection to the broker was lost: {why}", error_class="connection")
