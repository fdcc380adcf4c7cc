"""One live connection to a broker, as a contract: what an engine has to offer.

:mod:`alicia_mqtt.connection` supervises links: it opens one, keeps it while it holds and opens
the next when it is lost. How the bytes travel is the engine's affair alone;
:mod:`alicia_mqtt.aiomqtt_link` is the one of this distribution, alicia-mqtt-native has another.
"""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Protocol as TypingProtocol

from alicia_mqtt.config import MqttConfig, Protocol
from alicia_scheduler.api import AliciaError, MqttMessage, MqttOutgoing, Permanent, Retryable

__all__ = [
    "Deliver",
    "Link",
    "LinkRefused",
    "LinkUnavailable",
    "OpenLink",
    "ProtocolUnsupported",
    "Unanswered",
    "Untrusted",
    "publish_error",
    "refusal",
]

Deliver = Callable[[MqttMessage, tuple[int, ...]], None]
"""Takes a message that arrived, and the numbers of the subscriptions that it matched (MQTT 5;
empty when the broker does not tell)."""


class LinkUnavailable(AliciaError):
    """There is no link, or no longer; the message is half a sentence saying why."""


class LinkRefused(LinkUnavailable):
    """The broker wants none, and a person has to mend it: credentials, client id, rights."""


class Untrusted(LinkRefused):
    """Nobody whom we trust vouches for the broker's certificate; it is we who want none."""


class ProtocolUnsupported(LinkRefused):
    """The broker does not speak the version of MQTT that was tried, and says so."""


class Unanswered(LinkUnavailable):
    """The broker took the connection and gave no answer: it hung up, or kept silent. Some do
    that on a version that they do not speak; but it may just be starting or stopping."""


class Link(TypingProtocol):
    """One connection from the broker's acceptance until it is lost."""

    async def publish(self, message: MqttOutgoing) -> None:
        """Publish, and return when it is done. A cancelled publish may or may not arrive.

        Raises:
            Retryable, Permanent: as :meth:`alicia_scheduler.api.MqttConnection.publish`.
        """
        ...

    async def publish_all(self, messages: Sequence[MqttOutgoing]) -> list[AliciaError | None]:
        """Publish in order without waiting in between, and return the outcome of each when there
        is one for all: None, or what :meth:`publish` would raise."""
        ...

    async def subscribe(
        self, topic_filter: str, *, qos: int, number: int, no_local: bool = False
    ) -> None:
        """Subscribe, and return when the broker granted it. ``no_local`` needs MQTT 5.

        Raises:
            Retryable: the link was lost.
            Permanent: the broker denied it.
        """
        ...

    def unsubscribe(self, topic_filter: str) -> None:
        """Ask to unsubscribe; nothing waits for the answer."""
        ...

    async def wait_lost(self) -> LinkUnavailable:
        """Wait until the link is lost, and return why."""
        ...

    @property
    def unsettled(self) -> tuple[int, ...]:
        """The QoS of each publish that was under way when the link was lost."""
        ...


class OpenLink(TypingProtocol):
    """How an engine opens a link."""

    def __call__(
        self,
        config: MqttConfig,
        *,
        client_id: str,
        protocol: Protocol,
        resume: bool,
        tls: ssl.SSLContext | None,
        deliver: Deliver,
        logger: logging.Logger,
    ) -> AbstractAsyncContextManager[Link]:
        """Connect within ``config.connect_timeout``; leaving the block disconnects, bounded.

        With ``resume`` the session of the last link goes on, if the broker still has it (MQTT 5);
        what came in for it meanwhile is delivered. Leaving the block ends the session.

        The last will is ``offline``, retained and at QoS 1, on the availability topic.

        Raises:
            LinkUnavailable: when entered; see its subclasses.
        """
        ...


UNSUPPORTED_PROTOCOL = 0x84
REFUSED = (0x85, 0x86, 0x87, 0x8A, 0x8C, 0x8E)
"""Reason codes of CONNACK and DISCONNECT that a person has to mend: client id, credentials,
authorisation; another client that took the client id over."""


def refusal(reason_code: int, name: str) -> LinkUnavailable:
    """What a reason code of CONNACK or DISCONNECT means for the next attempt."""
    if reason_code == UNSUPPORTED_PROTOCOL:
        return ProtocolUnsupported(name)
    if reason_code in REFUSED:
        return LinkRefused(name)
    return LinkUnavailable(name)


REFUSALS = {
    0x87: "this client is not authorised to publish there",
    0x90: "the broker does not accept this topic",
    0x92: "the broker refused it, and told no reason",
    0x95: "the message is too large for the broker",
    0x99: "the payload is not of the announced format",
    0x9A: "the broker does not keep retained messages",
    0x9B: "the broker does not offer this QoS",
}
"""Reason codes of PUBACK and PUBCOMP (MQTT 5, section 2.4) that come again for the same message.
0x92 answers the release of a QoS 2 message that the broker had refused before."""


def publish_error(reason_code: int, name: str) -> Retryable | Permanent | None:
    """What a reason code means for the message; None is success (all codes below 0x80 are)."""
    if reason_code < 0x80:
        return None
    if refusal := REFUSALS.get(reason_code):
        kind = "payload" if reason_code in (0x95, 0x99) else "refused"
        message = f"{refusal} (reason code 0x{reason_code:02X}, {name})"
        return Permanent(message, error_class=kind)
    return Retryable(
        f"the broker did not take it (reason code 0x{reason_code:02X}, {name})",
        error_class="refused",
    )
