"""The way of a command from the message to its answer.

Whatever arrives ends here in one of three ways: it is no command and is passed over, it is
refused, or it is carried out; the latter two are answered where the sender said. Nothing on this
way waits, so no flood of messages can pile up before it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import trio

from alicia_scheduler.api import CommandError, MqttMessage, Retryable, ServiceContext
from alicia_service_alicia_bus.config import AliciaBusConfig, EnvelopeStyle
from alicia_service_alicia_bus.desk import Desk
from alicia_service_alicia_bus.envelope import Incoming, unwrap
from alicia_service_alicia_bus.lanes import Lanes, Rate
from alicia_service_alicia_bus.orders import Order, Reader, fingerprint
from alicia_service_alicia_bus.remembered import Remembered
from alicia_service_alicia_bus.replies import Address, Replies, failure, success
from alicia_service_alicia_bus.tally import Tally

__all__ = ["Dialect", "Door"]

LONGEST_ID = 200
"""Characters of a request's id."""

NOT_KEPT = frozenset({"unavailable", "busy"})
"""Refusals after which the same request may well succeed."""

ANSWERS = frozenset({"response", "error"})
"""Types of messages that are never commands, though they may name one."""


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """One way to write commands.

    Attributes:
        read: reads an order out of a message.
        plain: answers are not wrapped, unless the command was.
        sift: a first look, without reading the message, that leaves out what is no command.
    """

    read: Reader
    plain: bool = False
    sift: Callable[[MqttMessage], bool] = lambda message: True


class Door:
    """Takes commands from the bus, in every dialect."""

    def __init__(
        self,
        config: AliciaBusConfig,
        context: ServiceContext,
        *,
        desk: Desk,
        lanes: Lanes,
        replies: Replies,
        tally: Tally,
    ) -> None:
        self._config = config
        self._context = context
        self._desk = desk
        self._lanes = lanes
        self._replies = replies
        self._tally = tally
        self._rate = Rate(config.max_rate)
        self._remembered = Remembered(config.remember_limit, config.remember, trio.current_time)

    def take(self, message: MqttMessage, dialect: Dialect) -> None:
        """Take up one message."""
        if not dialect.sift(message):
            return
        if message.retain:
            # It would be carried out again at each connection, whoever left it there.
            self._tally.note("retained", f"a retained command on {message.topic!r} is ignored")
            return
        incoming: Incoming | None = None
        order: Order | None = None
        try:
            self._check_load(message)
            incoming = unwrap(message.payload or b"{}")
            if self._is_no_command(incoming):
                return
            order = dialect.read(message, incoming)
            if order is None:
                return
            self._accept(message, incoming, order, self._style(dialect, incoming))
        except CommandError as error:
            self._refuse(message, incoming, order, error, self._style(dialect, incoming))

    def _check_load(self, message: MqttMessage) -> None:
        size, most = len(message.payload), self._config.max_payload
        if size > most:
            raise CommandError(
                "invalid_format", f"the message has {size} bytes, and {most} is the most"
            )
        if not self._rate.take():
            raise CommandError("busy", "commands come faster than they are taken", hint="try later")

    def _is_no_command(self, incoming: Incoming) -> bool:
        """What this host said itself, and answers to somebody's command."""
        kind = incoming.find("message_type")
        return incoming.source == self._config.service_name or (
            isinstance(kind, str) and kind in ANSWERS
        )

    def _style(self, dialect: Dialect, incoming: Incoming | None) -> EnvelopeStyle:
        wrapped = incoming is not None and incoming.enveloped
        return "none" if dialect.plain and not wrapped else self._config.envelope

    def _accept(
        self, message: MqttMessage, incoming: Incoming, order: Order, style: EnvelopeStyle
    ) -> None:
        """Carry an order out when its turn comes, unless it came before.

        Raises:
            CommandError: it cannot be answered where it says, is too old, or there is no room.
        """
        request_id = _request_id(incoming)
        address = self._replies.address(message, incoming, style)
        self._check_age(incoming)
        key = _key(message, incoming, order, request_id)
        before = self._remembered.find(key)
        if before is not None and (key[0] == BY_ID or message.redelivered):
            self._tally.note("repeated", f"{order.name} came again; it is answered as before")
            if before.answer is None:
                if address is not None and address not in before.waiting:
                    before.waiting.append(address)
            elif address is not None:
                self._replies.post(address, before.reply | {"request_id": request_id})
            return
        if before is not None:
            key = (*key, object())  # the same words, and yet another command
        job = self._job(key, incoming, order, request_id)
        if not self._lanes.submit(incoming.source or "", job):
            raise CommandError("busy", "too many commands wait already", hint="try later")
        self._remembered.begin(key, address)
        self._tally.handled += 1

    def _check_age(self, incoming: Incoming) -> None:
        expires = incoming.expires(self._config.default_ttl)
        if expires is None:
            return
        late = self._context.now().timestamp() - expires
        if late > self._config.clock_skew:
            raise CommandError(
                "expired",
                f"the command was good until {late:.0f} s ago",
                hint="if it was sent just now, the sender's clock is wrong",
            )

    def _job(
        self, key: tuple[Any, ...], incoming: Incoming, order: Order, request_id: str | None
    ) -> Callable[[], Any]:
        async def job() -> None:
            reply = await self._performed(incoming, order, request_id)
            keep = reply["error"] is None or reply["error"]["code"] not in NOT_KEPT
            for address in self._remembered.end(key, reply, keep=keep):
                self._replies.post(address, reply)

        return job

    async def _performed(
        self, incoming: Incoming, order: Order, request_id: str | None
    ) -> dict[str, Any]:
        """Carry an order out: its reply."""
        limit = self._config.command_timeout
        try:
            with trio.move_on_after(limit) as scope:
                data = await order.perform(self._desk.seat(incoming.source))
                return success(order.name, request_id, data)
        except CommandError as refusal:
            error = refusal
        except Retryable as fault:
            error = CommandError("unavailable", str(fault), hint="try again later")
        except Exception:
            self._context.logger.exception("the command %s failed", order.name)
            error = CommandError("unknown_error", "the command failed; the host's log says how")
        else:
            error = CommandError(
                "timeout",
                f"the command was not done within {limit:g} s",
                hint="look whether it had an effect before you give it again",
            )
            assert scope.cancelled_caught  # noqa: S101  # nothing else leaves the block without data
        self._tally.note(f"refused {error.code}", f"{order.name} was refused: {error}")
        return failure(order.name, request_id, error)

    def _refuse(
        self,
        message: MqttMessage,
        incoming: Incoming | None,
        order: Order | None,
        error: CommandError,
        style: EnvelopeStyle,
    ) -> None:
        """Answer a command that is not carried out, if it can be answered at all."""
        name = order.name if order is not None else None
        what = name or f"a message on {message.topic[:200]!r}"
        self._tally.note(f"refused {error.code}", f"{what} was refused: {error}")
        address = self._answerable(message, incoming, style)
        if address is None:
            return
        try:
            request_id = _request_id(incoming) if incoming is not None else None
        except CommandError:
            request_id = None
        self._replies.post(address, failure(name, request_id, error))

    def _answerable(
        self, message: MqttMessage, incoming: Incoming | None, style: EnvelopeStyle
    ) -> Address | None:
        try:
            return self._replies.address(message, incoming, style)
        except CommandError:
            # It is the address that was refused, or is wrong as well.
            source = incoming.source if incoming is not None else None
            return self._replies.fallback(source, style)


BY_ID, BY_CONTENT = "id", "content"


def _request_id(incoming: Incoming) -> str | None:
    """What the sender calls this request.

    Raises:
        CommandError: it is no text, or too long.
    """
    request_id = incoming.text("request_id")
    if request_id is None:
        request_id = incoming.text("message_id")
    if request_id is not None and len(request_id) > LONGEST_ID:
        raise CommandError(
            "invalid_format", f"more than {LONGEST_ID} characters", path=("request_id",)
        )
    return request_id


def _key(
    message: MqttMessage, incoming: Incoming, order: Order, request_id: str | None
) -> tuple[Any, ...]:
    """By what a repetition is known: sender, id and content; where there is no id, by the bytes
    of the message, and then only one that the broker calls a repetition is one."""
    identity = request_id or message.correlation_data
    sender = incoming.source or message.response_topic or ""
    if identity:
        return (BY_ID, sender, identity, fingerprint(order))
    return (BY_CONTENT, message.topic, hashlib.sha256(message.payload).digest())
