"""The host's own commands: ``<prefix>/command/<noun>/<verb>``, with the arguments as payload."""

from __future__ import annotations

from functools import partial
from typing import Any

from alicia_scheduler.api import MqttMessage
from alicia_service_alicia_bus.desk import Seat
from alicia_service_alicia_bus.envelope import Incoming
from alicia_service_alicia_bus.orders import META, Order

__all__ = ["read_request"]

LONGEST_NAME = 100
"""Characters of a command's name that errors and replies repeat."""


def read_request(prefix: str, message: MqttMessage, incoming: Incoming) -> Order | None:
    """The command that a topic names.

    Args:
        prefix: what stands before the command's name in the topic, without the slash.
    """
    name = message.topic.removeprefix(f"{prefix}/")[:LONGEST_NAME]
    arguments = {key: value for key, value in incoming.fields.items() if key not in META}
    return Order(name=name, perform=partial(_perform, name, arguments), arguments=arguments)


async def _perform(name: str, arguments: dict[str, Any], seat: Seat) -> Any:
    return await seat.do(name, arguments)
