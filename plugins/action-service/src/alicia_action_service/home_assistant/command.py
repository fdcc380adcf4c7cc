"""The command ``call_service``, and what its answer means."""

from __future__ import annotations

from typing import Any

from alicia_action_service.config import ServiceCallConfig
from alicia_action_service.deadline import answer_deadline
from alicia_action_service.home_assistant import HomeAssistant
from alicia_scheduler.api import ActionContext, Permanent, Retryable

__all__ = ["ask_home_assistant", "call_service"]

MAY_PASS = frozenset({"home_assistant_error", "unknown_error", "timeout", "id_reuse"})
"""Codes of errors after which another attempt may work: the service itself failed, or was not run.
Of all others the command is to blame."""

LONGEST = 500


def call_service(config: ServiceCallConfig) -> dict[str, Any]:
    """The command for an event's action, without its id."""
    domain, _, service = str(config.service).partition(".")
    command: dict[str, Any] = {"type": "call_service", "domain": domain, "service": service}
    if config.data:
        command["service_data"] = config.data
    if config.target:
        command["target"] = config.target
    if config.return_response:
        command["return_response"] = True
    return command


async def ask_home_assistant(config: ServiceCallConfig, context: ActionContext) -> dict[str, Any]:
    """Call the service and return what Home Assistant answers.

    Raises:
        Retryable: it was not sent, or the service failed.
        Permanent: Home Assistant refuses it; or its result got lost (``unknown_outcome``), unless
            the event says that calling twice does no harm.
    """
    # mypy takes no protocol for a type (python/mypy#4717).
    home = context.service(HomeAssistant)  # type: ignore[type-abstract]
    try:
        answer = await home.command(
            call_service(config), until=answer_deadline(config.answer_timeout)
        )
    except Permanent as error:
        if config.idempotent and error.error_class == "unknown_outcome":
            raise Retryable(str(error), error_class=error.error_class) from error
        raise
    if answer.get("success") is not True:
        raise _failure(answer)
    result = answer.get("result")
    told = result if isinstance(result, dict) else {}
    context_of_call = told.get("context")
    return {
        "via": "home_assistant",
        "service": config.service,
        "context_id": context_of_call.get("id") if isinstance(context_of_call, dict) else None,
        "response": told.get("response"),
    }


def _failure(answer: dict[str, Any]) -> Retryable | Permanent:
    error = answer.get("error")
    told = error if isinstance(error, dict) else {}
    code = str(told.get("code") or "unknown_error")[:100]
    message = f"Home Assistant refuses the call: {str(told.get('message') or code)[:LONGEST]}"
    kind = Retryable if code in MAY_PASS else Permanent
    return kind(message, error_class=code)
