"""The connection that others share: it opens links, one after the other, for ever."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import trio

from alicia_mqtt.backoff import LONGEST, Backoff
from alicia_mqtt.config import MqttConfig, Protocol
from alicia_mqtt.link import Link, LinkRefused, LinkUnavailable, OpenLink
from alicia_mqtt.outage import Outage
from alicia_mqtt.outbox import Outbox
from alicia_mqtt.outbox_file import OUTBOX_FILE, Loaded, OutboxFile
from alicia_mqtt.outbox_journal import Journal
from alicia_mqtt.subscriptions import Subscription, Subscriptions
from alicia_mqtt.versions import VersionChoice
from alicia_scheduler.api import (
    AliciaError,
    ConfigError,
    MqttOutgoing,
    MqttSubscription,
    Permanent,
    Retryable,
    ServiceContext,
    check_filter,
    check_topic,
)

__all__ = ["Connection", "open_connection"]

FAREWELL_WITHIN = 2.0
"""Seconds that the last ``offline`` may take to be acknowledged."""


@asynccontextmanager
async def open_connection(
    config: MqttConfig, context: ServiceContext, open_link: OpenLink
) -> AsyncIterator[Connection]:
    """The running connection. Entering returns at once, with or without a broker; leaving says
    ``offline`` and disconnects, within three seconds. ``open_link`` is the engine.

    Raises:
        ConfigError: a file for TLS cannot be read.
    """
    tls = await context.run_sync(_load_tls, config) if config.tls else None
    async with _opened_journal(context) as (journal, loaded), trio.open_nursery() as writing:
        outbox = Outbox(
            limit=config.outbox_limit,
            limit_bytes=config.outbox_bytes,
            now=context.now,
            journal=journal,
            logger=context.logger,
        )
        outbox.restore(loaded.rows, dict(loaded.outcomes))
        if journal is not None:
            writing.start_soon(journal.run)
        async with _kept(Connection(config, context, tls, outbox, open_link)) as connection:
            yield connection
        writing.cancel_scope.cancel()


@asynccontextmanager
async def _opened_journal(
    context: ServiceContext,
) -> AsyncIterator[tuple[Journal | None, Loaded]]:
    """The outbox's file and what it held; None on a host that keeps nothing."""
    if context.state_dir is None:
        yield None, Loaded([], [])
        return
    file = OutboxFile(context.state_dir / OUTBOX_FILE)
    journal = Journal(file, context.run_sync, context.logger)
    loaded = await journal.open()
    try:
        yield journal, loaded
    finally:
        await journal.close()


@asynccontextmanager
async def _kept(connection: Connection) -> AsyncIterator[Connection]:
    """Keep a link open in the background; in the end say ``offline`` and disconnect."""
    # Shielded, so that a cancelled host still has a link to say its last word on.
    keeping = trio.CancelScope(shield=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.run, keeping)
        try:
            yield connection
        finally:
            connection.close()
            await connection.say_offline()
            keeping.cancel()


class Connection:
    """:class:`alicia_scheduler.api.MqttConnection` over links of one engine."""

    def __init__(
        self,
        config: MqttConfig,
        context: ServiceContext,
        tls: ssl.SSLContext | None,
        outbox: Outbox,
        open_link: OpenLink,
    ) -> None:
        self.outbox = outbox
        self._config = config
        self._client_id = config.client_id or f"alicia-{context.instance}"
        self._logger = context.logger
        self._tls = tls
        self._open_link = open_link
        self._link: Link | None = None
        self._resumable = False
        self._subscriptions = Subscriptions()
        self._versions = VersionChoice(config.protocol)
        self._backoff = Backoff()
        self._outage = Outage(config.address, context.logger)
        self._connections = 0
        self._news = trio.Event()
        self._closed = False

    @property
    def connected(self) -> bool:
        """True while the broker answers."""
        return self._link is not None

    @property
    def prefix(self) -> str:
        """The topic this host publishes below."""
        return self._config.prefix

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 0,
        retain: bool = False,
        content_type: str | None = None,
        message_expiry: int | None = None,
        user_properties: tuple[tuple[str, str], ...] = (),
        response_topic: str | None = None,
        correlation_data: bytes | None = None,
    ) -> None:
        """See :meth:`alicia_scheduler.api.MqttConnection.publish`."""
        if wrong := _wrong_topic(topic):
            raise wrong
        link = self._link
        if link is None:
            raise self._absent()
        await link.publish(
            MqttOutgoing(
                topic=topic,
                payload=payload,
                qos=qos,
                retain=retain,
                content_type=content_type,
                message_expiry=message_expiry,
                user_properties=user_properties,
                response_topic=response_topic,
                correlation_data=correlation_data,
            )
        )

    async def publish_all(self, messages: Sequence[MqttOutgoing]) -> list[AliciaError | None]:
        """See :meth:`alicia_scheduler.api.MqttConnection.publish_all`."""
        outcomes: list[AliciaError | None] = [_wrong_topic(each.topic) for each in messages]
        sent = [index for index, wrong in enumerate(outcomes) if wrong is None]
        link = self._link
        if link is None:
            await trio.lowlevel.checkpoint()
            told: list[AliciaError | None] = [self._absent() for _ in sent]
        else:
            told = await link.publish_all([messages[index] for index in sent])
        for index, outcome in zip(sent, told, strict=True):
            outcomes[index] = outcome
        return outcomes

    def _absent(self) -> Retryable:
        message = f"no connection to the broker at {self._config.address}"
        return Retryable(message, error_class="connection")

    @asynccontextmanager
    async def subscribe(
        self, topic_filter: str, *, qos: int = 1, no_local: bool = False
    ) -> AsyncIterator[MqttSubscription]:
        """See :meth:`alicia_scheduler.api.MqttConnection.subscribe`.

        With a broker there, entering returns when it has granted the subscription; with none,
        at once.

        Raises:
            Permanent: the filter is not one, or the broker denied it.
        """
        if problem := check_filter(topic_filter):
            raise Permanent(f"topic filter {topic_filter[:200]!r} {problem}", error_class="topic")
        if no_local and topic_filter.startswith("$share/"):  # MQTT 5 section 3.8.3.1
            message = f"no_local cannot be had on the shared subscription {topic_filter[:200]!r}"
            raise Permanent(message, error_class="topic")
        subscription = Subscription(topic_filter, qos, self._logger, no_local=no_local)
        before = self._subscriptions.terms(topic_filter)
        self._subscriptions.add(subscription)
        try:
            if self._link is not None:
                if before is not None and before.no_local and not no_local:
                    # Mosquitto 2.0 goes by the option of the first subscription otherwise.
                    self._link.unsubscribe(topic_filter)
                await self._subscribe(self._link, topic_filter)
            yield subscription
        finally:
            last = self._subscriptions.remove(subscription)
            if last and self._link is not None:
                self._link.unsubscribe(topic_filter)
            elif last:
                self._subscriptions.forsake(topic_filter)

    async def wait_connection(self, after: int = 0) -> int:
        """See :meth:`alicia_scheduler.api.MqttConnection.wait_connection`."""
        while self._connections <= after:
            if self._closed:
                raise Retryable("the connection is closed", error_class="connection")
            await self._news.wait()
        return self._connections

    def close(self) -> None:
        """There will be no further connection: wake whoever waits for one."""
        self._closed = True
        self._tell_news()

    def _tell_news(self) -> None:
        self._news.set()
        self._news = trio.Event()

    async def run(self, scope: trio.CancelScope) -> None:
        """Keep a link to the broker until ``scope`` is cancelled."""
        with scope:
            while True:
                await self._keep_link()

    async def say_offline(self) -> None:
        """Replace ``online`` by ``offline``: the last thing before the end, so bounded and not
        to be cancelled."""
        with trio.move_on_after(FAREWELL_WITHIN, shield=True):
            if self._link is not None:
                await self._announce(self._link, b"offline")

    async def _keep_link(self) -> None:
        """Open a link, use it until it is lost, and wait until the next is due."""
        protocol = self._versions.take()
        try:
            async with self._open_link(
                self._config,
                client_id=self._client_id,
                protocol=protocol,
                resume=self._resumable and protocol == "5",
                tls=self._tls,
                deliver=self._subscriptions.deliver,
                logger=self._logger,
            ) as link:
                why = await self._use(link, protocol)
        except LinkUnavailable as error:
            why = error
        if self._versions.failed(protocol, why):
            return
        self._outage.begin(why)
        refused = isinstance(why, LinkRefused)
        await trio.sleep(LONGEST if refused else self._backoff.delay())

    async def _use(self, link: Link, protocol: Protocol) -> LinkUnavailable:
        """Use a link until it is lost, and return why it was."""
        since = trio.current_time()
        self._link = link
        self.outbox.link_up()
        self._outage.end(protocol, wanted=self._config.protocol)
        try:
            for topic_filter in self._subscriptions.take_forsaken():
                link.unsubscribe(topic_filter)
            for topic_filter in self._subscriptions.filters():
                await self._resubscribe(link, topic_filter)
            await self._announce(link, b"online")
            self._connections += 1
            self._tell_news()
            return await self._send_until_lost(link)
        finally:
            self._link = None
            self.outbox.link_lost(link.unsettled)
            # The broker remembers the numbers of unfinished messages at QoS 2, and would take new
            # ones with the same number for their repetition: then its session must not go on.
            self._resumable = 2 not in link.unsettled
            self._backoff.held(trio.current_time() - since)

    async def _send_until_lost(self, link: Link) -> LinkUnavailable:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.outbox.send_over, link)
            why = await link.wait_lost()
            nursery.cancel_scope.cancel()
        return why

    async def _announce(self, link: Link, state: bytes) -> None:
        topic = self._config.availability_topic
        try:
            await link.publish(MqttOutgoing(topic=topic, payload=state, qos=1, retain=True))
        except Retryable:
            pass  # the link is lost: its successor says it again, or the will says offline
        except Permanent as refusal:
            self._logger.error("cannot publish the availability on %r: %s", topic, refusal)

    async def _subscribe(self, link: Link, topic_filter: str) -> None:
        terms = self._subscriptions.terms(topic_filter)
        if terms is None:
            return
        # A lost link is no failure of the subscription: the next one takes it up.
        with contextlib.suppress(Retryable):
            await link.subscribe(
                topic_filter, qos=terms.qos, number=terms.number, no_local=terms.no_local
            )

    async def _resubscribe(self, link: Link, topic_filter: str) -> None:
        try:
            await self._subscribe(link, topic_filter)
        except Permanent as refusal:
            self._logger.error("%s", refusal)


def _wrong_topic(topic: str) -> Permanent | None:
    problem = check_topic(topic)
    return Permanent(f"topic {topic[:200]!r} {problem}", error_class="topic") if problem else None


def _load_tls(config: MqttConfig) -> ssl.SSLContext:
    """Read the files of the TLS configuration. Blocks.

    Raises:
        ConfigError: one of them cannot be read or is not what it should be.
    """
    try:
        context = ssl.create_default_context(cafile=config.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"cannot use ca_file: {error}", path=("ca_file",)) from error
    if config.cert_file is not None:
        try:
            context.load_cert_chain(config.cert_file, config.key_file, password=_no_password)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(
                f"cannot use cert_file with key_file: {error}", path=("cert_file",)
            ) from error
    return context


def _no_password() -> str:
    """OpenSSL would ask for the password of an encrypted key at the terminal, and wait."""
    raise OSError("the key is encrypted; write it without a password")
