"""The action at work."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import msgspec

from alicia_action_mqtt.answer import is_answer, shown
from alicia_action_mqtt.config import AckConfig, MqttPublishConfig
from alicia_action_mqtt.report import reported
from alicia_scheduler.api import (
    ActionContext,
    CompletionReports,
    EventExecution,
    MqttConnection,
    MqttDelivered,
    MqttMessage,
    MqttOutgoing,
    Permanent,
    Retryable,
    Trigger,
    check_topic,
    to_epoch,
)

__all__ = ["PublishAction", "needed_services", "open_publish", "preview_publish"]


def needed_services(options: dict[str, Any]) -> tuple[type[Any], ...]:
    """Beside the connection: whoever hears reports, for an action that waits for one."""
    return (CompletionReports,) if options.get("completion") == "report" else ()


@asynccontextmanager
async def open_publish(context: ActionContext) -> AsyncIterator[PublishAction]:
    """The action; it holds nothing open, the connection is the service's."""
    yield PublishAction(context)


class PublishAction:
    """Publishes the message of an event."""

    def __init__(self, context: ActionContext) -> None:
        self._context = context

    async def run(self, config: MqttPublishConfig, execution: EventExecution) -> dict[str, Any]:
        """Publish, and return what was sent once it is done: acknowledged, and answered if an
        answer was asked for.

        Raises:
            Retryable: ``connection`` (with ``outbox = false``), ``outbox_full``, ``ack_timeout``.
            Permanent: ``topic``, ``payload``, ``refused``, ``expired``, ``poison``.
            Retryable: ``reported_failure``: the receiver reported that it failed.
            CalledOff: the receiver reported that it was cancelled.
        """
        if config.completion == "ack":
            return await self._deliver(config, execution)
        reports = self._context.service(CompletionReports)  # type: ignore[type-abstract]
        # Listened to before anything is sent, or the report could be faster.
        with reports.expect(execution.execution_id) as expected:
            result = await self._deliver(config, execution)
            return result | {"report": reported(await expected.wait(), result)}

    async def _deliver(
        self, config: MqttPublishConfig, execution: EventExecution
    ) -> dict[str, Any]:
        """Publish, and wait for the answer if one was asked for."""
        message, value = outgoing(config, execution, self._context.now())
        # mypy takes no protocol for a type (python/mypy#4717).
        connection = self._context.service(MqttConnection)  # type: ignore[type-abstract]
        if config.ack is None:
            delivered = await self._publish(connection, config, execution, message)
            return self._result(config, message, value, delivered)
        # Subscribed before anything is sent, or the answer could be faster.
        async with connection.subscribe(config.ack.topic) as answers:
            # What came while the message waited answers something else.
            delivered = await self._publish(
                connection, config, execution, message, sending=answers.forget
            )
            answer = await self._answer(config.ack, answers, message.correlation_data)
        result = self._result(config, message, value, delivered)
        result["ack"] = {"topic": answer.topic, "payload": shown(answer.payload)}
        return result

    async def _publish(
        self,
        connection: MqttConnection,
        config: MqttPublishConfig,
        execution: EventExecution,
        message: MqttOutgoing,
        sending: Callable[[], object] | None = None,
    ) -> MqttDelivered | None:
        """Publish; None when it did not go through the outbox."""
        if not config.outbox or config.qos == 0:
            if sending is not None:
                sending()
            message = self._with_window(message, execution)
            await connection.publish(**{name: getattr(message, name) for name in _FIELDS})
            return None
        # An attempt whose answer did not come has to ask again.
        answered = config.ack is not None or config.completion == "report"
        attempt = f"/{execution.attempt}" if answered else ""
        return await connection.outbox.deliver(
            message,
            key=_key(execution) + attempt,
            lane=execution.event_id,
            slot=execution.scheduled_time,
            useful_until=execution.useful_until,
            repeat=execution.trigger is Trigger.RECOVERY or execution.retry_count > 0,
            sending=sending,
        )

    def _with_window(self, message: MqttOutgoing, execution: EventExecution) -> MqttOutgoing:
        """The message with what is left of the execution's window, if it says nothing itself."""
        if message.message_expiry is not None or message.retain or execution.useful_until is None:
            return message
        left = math.ceil((execution.useful_until - self._context.now()).total_seconds())
        return msgspec.structs.replace(message, message_expiry=left) if left > 0 else message

    async def _answer(
        self,
        ack: AckConfig,
        answers: AsyncIterator[MqttMessage],
        correlation_data: bytes | None,
    ) -> MqttMessage:
        import trio  # here, so that the hook stays cheap

        with trio.move_on_after(ack.timeout):
            async for message in answers:
                if is_answer(message, ack.match, correlation_data):
                    return message
        raise Retryable(
            f"the message was published, and no answer came on {ack.topic!r} within "
            f"{ack.timeout:g} s",
            error_class="ack_timeout",
        )

    def _result(
        self,
        config: MqttPublishConfig,
        message: MqttOutgoing,
        value: Any,
        delivered: MqttDelivered | None,
    ) -> dict[str, Any]:
        result = {
            "action_type": "mqtt_publish",
            "topic": message.topic,
            "message": value,
            "qos": config.qos,
            "retain": config.retain,
            "status": "success",
        }
        if config.message_base64 is not None:
            del result["message"]
            result["message_base64"] = config.message_base64
        if delivered is None or (delivered.sends == 1 and not delivered.outage):
            return result
        if delivered.payload is not None and config.as_json:
            # What an earlier attempt had handed over is what receivers have.
            result["message"] = msgspec.json.decode(delivered.payload)
        result["outbox"] = {
            "waited": round(delivered.waited, 3),
            "sends": delivered.sends,
            "repeated": delivered.sends == 0 or delivered.payload is not None,
        }
        return result


def preview_publish(config: MqttPublishConfig, execution: EventExecution) -> dict[str, Any]:
    """What an attempt would publish.

    Raises:
        Permanent: nothing, for the message cannot be sent.
    """
    now = execution.start_time or execution.scheduled_time
    message, _ = outgoing(config, execution, now)
    shown: dict[str, Any] = {"topic": message.topic}
    if config.message_base64 is None:
        shown["payload"] = message.payload.decode()
    else:
        shown["payload_base64"] = config.message_base64
    return {
        **shown,
        "qos": message.qos,
        "retain": message.retain,
        "user_properties": dict(message.user_properties),
    }


def outgoing(
    config: MqttPublishConfig, execution: EventExecution, now: datetime
) -> tuple[MqttOutgoing, Any]:
    """The message to send, and its value for the result.

    Raises:
        Permanent: it cannot be sent.
    """
    topic = config.topic or f"alicia/event/{execution.event_id}"
    # The configuration was checked when it was written; a template may have filled it since.
    if problem := check_topic(topic):
        raise Permanent(f"topic {topic[:200]!r} {problem}", error_class="topic")
    metadata = _metadata(execution, now)
    value = config.message
    if config.merges:
        # A new object: the definition is shared by all its executions (X14).
        value = {**value, **metadata}
    try:
        payload = config.payload(value)
    except (TypeError, ValueError, RecursionError) as error:
        raise Permanent(f"the message cannot be sent: {error}", error_class="payload") from error
    if len(payload) > config.max_payload:
        raise Permanent(
            f"the payload is {len(payload)} bytes long with its metadata; {config.max_payload} "
            "is the most (max_payload)",
            error_class="payload",
        )
    properties = [*config.user_properties.items()]
    if config.metadata != "none" and not config.merges:
        metadata |= {"attempt": execution.attempt, "idempotency_key": execution.idempotency_key}
        properties += [(key, str(item)) for key, item in metadata.items()]
    correlate = config.ack is not None and config.ack.correlate
    message = MqttOutgoing(
        topic=topic,
        payload=payload,
        qos=config.qos,
        retain=config.retain,
        content_type=_content_type(config),
        message_expiry=config.message_expiry,
        user_properties=tuple(properties),
        response_topic=config.ack.topic if config.ack is not None and correlate else None,
        correlation_data=f"{execution.execution_id}/{execution.attempt}".encode()
        if correlate
        else None,
    )
    return message, value


def _metadata(execution: EventExecution, now: datetime) -> dict[str, Any]:
    """What receivers on the Alicia bus tell executions apart by."""
    return {
        "event_id": execution.event_id,
        "execution_id": execution.execution_id,
        "scheduled_time": to_epoch(execution.scheduled_time),
        "execution_time": to_epoch(now),
        "triggered_by": "scheduler",
    }


_FIELDS = MqttOutgoing.__struct_fields__


def _key(execution: EventExecution) -> str:
    """The same for every attempt and every repetition of one execution, different for all others:
    to run an ended execution again has another due time."""
    due = execution.due_time or execution.scheduled_time
    return f"{execution.event_id}/{to_epoch(execution.scheduled_time):.6f}/{to_epoch(due):.6f}"


def _content_type(config: MqttPublishConfig) -> str | None:
    if config.content_type is not None:
        return config.content_type or None
    return "application/json" if config.as_json else None
