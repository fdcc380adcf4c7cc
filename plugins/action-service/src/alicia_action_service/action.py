"""The action at work: it goes the way that the event says."""

from __future__ import annotations

from typing import Any

from alicia_action_service.config import ServiceCallConfig
from alicia_scheduler.api import ActionContext, EventExecution

__all__ = ["CallService"]


class CallService:
    """Calls services. Implements :class:`alicia_scheduler.api.Action`."""

    def __init__(self, context: ActionContext) -> None:
        self._context = context

    async def run(self, config: ServiceCallConfig, execution: EventExecution) -> dict[str, Any]:
        """See :meth:`alicia_scheduler.api.Action.run`.

        Raises:
            Retryable: it was not sent, or the service says that it may work later.
            Permanent: the service says that it never will, or nobody knows what became of it.
        """
        match config.via:
            case "host":
                service = str(config.service)
                answer = await self._context.call_service(service, config.data, execution)
                return {"via": "host", "service": service, "answer": answer}
            case "bus":
                from alicia_action_service.bus import ask

                return await ask(config, execution, self._context)
            case "home_assistant":
                from alicia_action_service.home_assistant.command import ask_home_assistant

                return await ask_home_assistant(config, self._context)
