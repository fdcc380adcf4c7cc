"""Where answers may go, and getting them there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec
import trio

from alicia_scheduler.api import (
    CommandError,
    MqttConnection,
    MqttMessage,
    Permanent,
    Retryable,
    ServiceContext,
    check_topic,
    topic_matches,
)
from alicia_service_alicia_bus.config import AliciaBusConfig, EnvelopeStyle
from alicia_service_alicia_bus.envelope import Incoming, wrap
from alicia_service_alicia_bus.tally import Tally

__all__ = ["Address", "Replies", "failure", "success"]

EXPIRY = 60
"""Seconds after which nobody waits for an answer any more (§3.3 of the bus's conventions)."""

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 1.0
"""Seconds between two attempts while the broker is away."""

POSTED, POSTED_BYTES = 500, 8 * 1024 * 1024
"""Answers that wait to be sent, and bytes of them."""

NOT_IN_LEVELS = re.compile(r"[^A-Za-z0-9_.-]")


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where one answer goes, and in which form."""

    topic: str
    correlation_data: bytes | None = None
    destination: str = "broadcast"
    style: EnvelopeStyle = "none"


def success(command: str, request_id: str | None, data: Any) -> dict[str, Any]:
    """The reply to a command that was carried out."""
    return {
        "command": command,
        "status": "ok",
        "request_id": request_id,
        "data": data,
        "error": None,
    }


def failure(command: str | None, request_id: str | None, error: CommandError) -> dict[str, Any]:
    """The reply to a command that was refused."""
    return {
        "command": command,
        "status": "error",
        "request_id": request_id,
        "data": None,
        "error": error.to_json(),
    }


class Replies:
    """Sends answers.

    Args:
        own: filters of what this service listens to; no answer goes there.
        prefix: topic below which answers go when the sender named none.
    """

    def __init__(
        self,
        config: AliciaBusConfig,
        context: ServiceContext,
        connection: MqttConnection,
        *,
        own: Sequence[str],
        prefix: str,
        tally: Tally,
    ) -> None:
        self._config = config
        self._context = context
        self._connection = connection
        self._own = own
        self._prefix = prefix
        self._tally = tally
        self._bytes = 0
        self._sender, self._posted = trio.open_memory_channel[tuple[float, Address, bytes]](POSTED)

    def address(
        self, message: MqttMessage, incoming: Incoming | None, style: EnvelopeStyle
    ) -> Address | None:
        """Where the answer to a message goes: its response topic, else its ``reply_topic``, else
        the topic of its sender; None when it has none of these.

        Raises:
            CommandError: no answer may go where it says.
        """
        named = message.response_topic
        if named is None and incoming is not None:
            named = incoming.find("reply_topic")
        source = incoming.source if incoming is not None else None
        if named is None:
            return self.fallback(source, style)
        problem = self._problem(named)
        if problem is not None:
            raise CommandError(
                "invalid_format",
                f"no answer can go there: the topic {problem}",
                path=("reply_topic",),
            )
        return Address(
            topic=named,
            correlation_data=message.correlation_data,
            destination=source or "broadcast",
            style=style,
        )

    def fallback(self, source: str | None, style: EnvelopeStyle) -> Address | None:
        """Where answers to a sender go who names no topic."""
        if source is None:
            return None
        level = NOT_IN_LEVELS.sub("_", source)
        return Address(topic=f"{self._prefix}/response/{level}", destination=source, style=style)

    def _problem(self, topic: object) -> str | None:
        if not isinstance(topic, str):
            return "is no text"
        if len(topic) > 1000:
            return "is too long"
        if problem := check_topic(topic):
            return problem
        if any(topic_matches(own, topic) for own in self._own):
            return "is one that this service itself listens to"
        if not any(topic_matches(allowed, topic) for allowed in self._config.reply_topics):
            return "is not among the reply_topics of this host"
        return None

    def post(self, address: Address, reply: dict[str, Any]) -> None:
        """Send an answer when its turn comes; without room it is given up and counted."""
        payload = msgspec.json.encode(reply)
        if self._bytes + len(payload) > POSTED_BYTES:
            self._tally.note("unanswered", "there is no room for more answers that wait")
            return
        try:
            self._sender.send_nowait((trio.current_time() + EXPIRY, address, payload))
        except trio.WouldBlock:
            self._tally.note("unanswered", "there is no room for more answers that wait")
        else:
            self._bytes += len(payload)

    async def run(self) -> None:
        """Send what is posted, one after the other, for ever."""
        async for deadline, address, payload in self._posted:
            self._bytes -= len(payload)
            with trio.CancelScope(deadline=deadline) as scope:
                await self._send(address, msgspec.json.decode(payload))
            if scope.cancelled_caught:
                message = f"an answer for {address.topic!r} could not be sent in time"
                self._tally.note("unanswered", message)

    async def _send(self, address: Address, reply: dict[str, Any]) -> None:
        """Send an answer; with the broker away, when it is back."""
        pause = FIRST_PAUSE
        while not await self._sent(address, reply):
            await trio.sleep(pause)
            pause = min(LONGEST_PAUSE, 2 * pause)

    async def _sent(self, address: Address, reply: dict[str, Any]) -> bool:
        payload = wrap(
            reply,
            address.style,
            now=self._context.now(),
            source=self._config.service_name,
            destination=address.destination,
            message_type="response",
        )
        try:
            await self._connection.publish(
                address.topic,
                payload,
                qos=1,
                content_type="application/json",
                message_expiry=EXPIRY,
                correlation_data=address.correlation_data,
            )
        except Retryable:
            return False
        except Permanent as refusal:
            self._tally.note("unanswered", f"no answer on {address.topic!r}: {refusal}")
            if refusal.error_class == "payload" and reply["status"] == "ok":
                error = CommandError(
                    "not_supported",
                    "this was done, and its answer is too long for the broker",
                    hint="ask for less, with a limit",
                )
                return await self._sent(
                    address, failure(reply["command"], reply["request_id"], error)
                )
        return True
