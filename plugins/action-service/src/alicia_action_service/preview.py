"""What a call would send, for ``alicia events test``."""

from __future__ import annotations

from typing import Any

from alicia_action_service.config import ServiceCallConfig
from alicia_scheduler.api import EventExecution

__all__ = ["preview_call"]


def preview_call(config: ServiceCallConfig, execution: EventExecution) -> dict[str, Any]:
    """The service and its data; on the bus the topics and fields of the request."""
    if config.via == "host":
        return {"via": "host", "service": config.service, "data": config.data}
    if config.via == "home_assistant":
        from alicia_action_service.home_assistant.command import call_service

        return {"via": "home_assistant", "command": call_service(config)}
    from alicia_action_service.bus import prepare

    request = prepare(config, prefix="<prefix>", instance="<instance>")
    return {
        "via": "bus",
        "topic": request.topic,
        "fields": request.fields,
        "enveloped": request.enveloped,
        "reply_topic": request.reply_topic,
        "error_topic": request.error_topic,
        "qos": config.qos,
    }
