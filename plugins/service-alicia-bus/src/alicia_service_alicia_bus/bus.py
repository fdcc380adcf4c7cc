"""The service: what it listens to, and who takes what arrives."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

import trio

from alicia_scheduler.api import MqttConnection, MqttMessage, Permanent, ServiceContext
from alicia_service_alicia_bus.completion import Completions
from alicia_service_alicia_bus.config import AliciaBusConfig
from alicia_service_alicia_bus.control import Control
from alicia_service_alicia_bus.desk import Desk
from alicia_service_alicia_bus.door import Dialect, Door
from alicia_service_alicia_bus.flat import may_be_command, read_flat
from alicia_service_alicia_bus.lanes import Lanes
from alicia_service_alicia_bus.presence import Presence
from alicia_service_alicia_bus.replies import Replies
from alicia_service_alicia_bus.requests import read_request
from alicia_service_alicia_bus.tally import Tally

__all__ = ["open_bus"]

Take = Callable[[MqttMessage], None]


@asynccontextmanager
async def open_bus(config: AliciaBusConfig, context: ServiceContext) -> AsyncIterator[Completions]:
    """The open door. Entering waits until the broker, if it is there, has granted what is
    listened to; leaving says goodbye."""
    # mypy takes no protocol for a type (python/mypy#4717).
    connection = context.service(MqttConnection)  # type: ignore[type-abstract]
    tally = Tally(context.logger)
    completions = Completions(config, tally)
    desk = Desk(config, context)
    presence = Presence(config, context, connection, desk, tally)
    async with trio.open_nursery() as nursery:
        prefix = config.prefix or connection.prefix
        own = list(_filters(config, prefix))
        replies = Replies(config, context, connection, own=own, prefix=prefix, tally=tally)
        door = Door(
            config,
            context,
            desk=desk,
            lanes=Lanes(nursery, in_flight=config.max_in_flight, waiting=config.max_waiting),
            replies=replies,
            tally=tally,
        )
        control = Control(config, presence, nursery)
        takers = _takers(config, prefix, door, control)
        takers[f"{config.bus}/system/health/check"] = lambda message: presence.ask()
        if config.completion_topic is not None:
            takers[config.completion_topic] = completions.take
        for topic_filter, take in takers.items():
            await nursery.start(_listen, connection, topic_filter, take, context)
        nursery.start_soon(replies.run)
        nursery.start_soon(presence.run)
        nursery.start_soon(presence.answer_checks)
        if config.health_interval:
            nursery.start_soon(presence.beat)
        try:
            yield completions
        finally:
            await presence.farewell()
            nursery.cancel_scope.cancel()


def _takers(config: AliciaBusConfig, prefix: str, door: Door, control: Control) -> dict[str, Take]:
    """Who takes the commands that arrive, by filter."""
    takers: dict[str, Take] = {}
    if config.flat_commands:
        flat = Dialect(read=read_flat, sift=may_be_command)
        takers[f"{prefix}/+"] = partial(door.take, dialect=flat)
    if config.requests:
        native = Dialect(read=partial(read_request, f"{prefix}/command"), plain=True)
        for levels in ("+", "+/+"):
            takers[f"{prefix}/command/{levels}"] = partial(door.take, dialect=native)
    if config.control:
        service = f"{config.bus}/services/{config.service_name}"
        for topic_filter, read in (
            (f"{service}/control", control.read_control),
            (f"{config.bus}/{config.service_name}/command", control.read_restart),
            (f"{service}/config", control.read_config),
            (f"{service}/config/+", control.read_config),
        ):
            takers[topic_filter] = partial(door.take, dialect=Dialect(read=read))
    return takers


def _filters(config: AliciaBusConfig, prefix: str) -> list[str]:
    """What no answer may be sent to: all that this service listens to, or could."""
    service = f"{config.bus}/services/{config.service_name}"
    return [
        f"{prefix}/+",
        f"{prefix}/command/#",
        f"{service}/control",
        f"{service}/config/#",
        f"{config.bus}/{config.service_name}/command",
        f"{config.bus}/system/health/check",
        *([config.completion_topic] if config.completion_topic else []),
    ]


async def _listen(
    connection: MqttConnection,
    topic_filter: str,
    take: Take,
    context: ServiceContext,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Take what arrives on one filter, for ever. One that the broker denies is said and left
    out; the others go on."""
    try:
        async with connection.subscribe(topic_filter, qos=1, no_local=True) as messages:
            task_status.started()
            async for message in messages:
                take(message)
    except Permanent as denial:
        context.logger.error("%s: nothing can come from there", denial)
        task_status.started()
