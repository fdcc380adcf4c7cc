"""A service on the bus: a request is published, and its answer is waited for."""

from __future__ import annotations

import math
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
import trio

from alicia_action_service.config import ServiceCallConfig, SuccessCheck
from alicia_action_service.deadline import answer_deadline
from alicia_action_service.envelope import lookup, unwrapped, wrapped
from alicia_action_service.verdict import failure_of
from alicia_scheduler.api import (
    ActionContext,
    EventExecution,
    MqttConnection,
    MqttMessage,
    Retryable,
    to_epoch,
)

__all__ = ["Request", "ask", "prepare"]

SOURCE = "event_scheduler"
"""The scheduler's name on the Alicia bus."""

HEAD = 16 * 1024
"""Bytes of an answer that is no JSON which the result keeps."""


@dataclass(frozen=True)
class Request:
    """One request, ready to be published.

    Attributes:
        correlation: the bytes that MQTT 5 brings back with an answer.
        match: the field that brings ``token`` back otherwise.
        token: what stands in that field.
        own_topic: nobody else is answered on ``reply_topic``.
        strict: an answer without the field is somebody else's.
    """

    topic: str
    fields: dict[str, Any]
    enveloped: bool
    reply_topic: str | None
    error_topic: str | None
    success: SuccessCheck | None
    correlation: bytes
    match: str
    token: Any
    own_topic: bool
    strict: bool

    def payload(self, *, now: float, time_to_live: float) -> bytes:
        """What is published at ``now`` (epoch seconds)."""
        fields = self.fields
        if self.enveloped:
            fields = wrapped(fields, source=SOURCE, timestamp=now, time_to_live=time_to_live)
        return msgspec.json.encode(fields)

    def answered_by(self, message: MqttMessage) -> bool:
        """True when a message is the answer to this request and to no other."""
        if message.retain:
            return False  # it was there before the request
        if message.correlation_data is not None:
            return message.correlation_data == self.correlation
        layers = unwrapped(message.payload)
        found = msgspec.UNSET if layers is None else lookup(layers, self.match)
        if found is msgspec.UNSET:
            return self.own_topic or not self.strict or message.topic == self.error_topic
        return str(found) == str(self.token)


def prepare(config: ServiceCallConfig, *, prefix: str, instance: str) -> Request:
    """The request of an event's action.

    Args:
        prefix: the topic that this host publishes below.
        instance: the host's name on the network.
    """
    known = config.known
    target = {key: str(value) for key, value in config.target.items()}
    correlation = secrets.token_bytes(16)
    match = config.match or (known.match if known else None) or "request_id"
    reply_topic, error_topic, success = config.reply_topic, config.error_topic, config.success
    topic = config.request_topic or ""
    fields = dict(config.data)
    if known is not None:
        topic = known.request_topic.format(**target)
        fields |= {key: target[key] for key in known.from_target}
        if reply_topic is None and known.reply_topic is not None:
            reply_topic = known.reply_topic.format(**target)
        error_topic = error_topic or known.error_topic
        if success is None and known.success is not None:
            success = SuccessCheck(path=known.success, equals=True)
    if config.answered:
        fields.setdefault(match, correlation.hex())
        own_topic = reply_topic is None
        if reply_topic is None:
            reply_topic = f"{prefix}/rpc/{instance}/{correlation.hex()}"
        if known is None or own_topic:
            fields["reply_topic"] = reply_topic
    else:
        reply_topic, error_topic, own_topic = None, None, False
    return Request(
        topic=topic,
        fields=fields,
        enveloped=config.envelope == "alicia" or (config.envelope is None and known is not None),
        reply_topic=reply_topic,
        error_topic=error_topic,
        success=success,
        correlation=correlation,
        match=match,
        token=fields.get(match),
        own_topic=own_topic,
        strict=known.strict if known is not None else True,
    )


async def ask(
    config: ServiceCallConfig, execution: EventExecution, context: ActionContext
) -> dict[str, Any]:
    """Publish the request of an event, wait for its answer, and return what it says.

    Raises:
        Retryable: no broker, no answer in time, or the service says that it failed.
        Permanent: the broker refuses the request, the service says that it never will, or its
            answer is not as expected.
    """
    # mypy takes no protocol for a type (python/mypy#4717).
    connection = context.service(MqttConnection)  # type: ignore[type-abstract]
    if not connection.connected:
        raise Retryable("no connection to the broker", error_class="connection")
    request = prepare(config, prefix=connection.prefix, instance=context.instance)
    began = trio.current_time()
    result: dict[str, Any] = {"via": "bus", "topic": request.topic}
    published = False
    with trio.move_on_at(answer_deadline(config.answer_timeout)):
        async with _listening(connection, request, config.qos) as incoming:
            await _publish(connection, request, config, execution, to_epoch(context.now()))
            published = True
            if not incoming:
                return result
            message = await _first_answer(incoming, request)
        layers = unwrapped(message.payload)
        on_error_topic = message.topic == request.error_topic != request.reply_topic
        failure = failure_of(layers, request.success, on_error_topic=on_error_topic)
        if failure is not None:
            raise failure
        return result | {
            "reply_topic": message.topic,
            "elapsed": round(trio.current_time() - began, 3),
            "answer": layers[0] if layers else message.payload[:HEAD].decode(errors="replace"),
        }
    if not published:
        raise Retryable("the broker did not acknowledge the request", error_class="connection")
    raise Retryable(
        f"no answer on {request.reply_topic} within {trio.current_time() - began:.3g} s",
        error_class="timeout",
    )


@asynccontextmanager
async def _listening(
    connection: MqttConnection, request: Request, qos: int
) -> AsyncIterator[list[AsyncIterator[MqttMessage]]]:
    """What arrives where the request may be answered, from before it is published."""
    topics = dict.fromkeys((request.reply_topic, request.error_topic))
    async with AsyncExitStack() as subscriptions:
        yield [
            await subscriptions.enter_async_context(connection.subscribe(topic, qos=qos))
            for topic in topics
            if topic is not None
        ]


async def _publish(
    connection: MqttConnection,
    request: Request,
    config: ServiceCallConfig,
    execution: EventExecution,
    now: float,
) -> None:
    await connection.publish(
        request.topic,
        request.payload(now=now, time_to_live=config.answer_timeout),
        qos=config.qos,
        content_type="application/json",
        message_expiry=math.ceil(config.answer_timeout),
        user_properties=_metadata(execution),
        response_topic=request.reply_topic,
        correlation_data=request.correlation if request.reply_topic is not None else None,
    )


async def _first_answer(
    incoming: list[AsyncIterator[MqttMessage]], request: Request
) -> MqttMessage:
    answers: list[MqttMessage] = []
    async with trio.open_nursery() as nursery:

        async def listen(messages: AsyncIterator[MqttMessage]) -> None:
            async for message in messages:
                if request.answered_by(message):
                    answers.append(message)
                    nursery.cancel_scope.cancel()
                    return

        for messages in incoming:
            nursery.start_soon(listen, messages)
    return answers[0]


def _metadata(execution: EventExecution) -> tuple[tuple[str, str], ...]:
    """What receivers tell executions apart by, and drop doubles by."""
    return (
        ("event_id", execution.event_id),
        ("execution_id", execution.execution_id),
        ("scheduled_time", str(to_epoch(execution.scheduled_time))),
        ("attempt", str(execution.attempt)),
        ("idempotency_key", execution.idempotency_key),
    )
