"""An event calls a service, in the host, on the bus or in Home Assistant: action type
``service_call``, and the service ``home_assistant`` that keeps a connection to one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any

from alicia_action_service.config import ServiceCallConfig
from alicia_action_service.home_assistant import HomeAssistant
from alicia_action_service.home_assistant.config import HomeAssistantConfig
from alicia_action_service.preview import preview_call
from alicia_scheduler.api import (
    Action,
    ActionContext,
    ActionType,
    MqttConnection,
    ServiceContext,
    ServiceType,
    hookimpl,
)

__all__ = ["HomeAssistant", "HomeAssistantConfig", "ServiceCallConfig"]


@asynccontextmanager
async def open_service_call(context: ActionContext) -> AsyncIterator[Action]:
    """The action; it holds nothing open, the connections are the services'."""
    await context.run_sync(import_module, "alicia_action_service.action")
    from alicia_action_service.action import CallService

    yield CallService(context)


@asynccontextmanager
async def open_home_assistant(
    config: HomeAssistantConfig, context: ServiceContext
) -> AsyncIterator[HomeAssistant]:
    """The running connection. Its engine is imported here, so that the hooks stay cheap, and in a
    thread, so that the loop goes on."""
    await context.run_sync(import_module, "alicia_action_service.home_assistant.connection")
    from alicia_action_service.home_assistant.connection import open_connection

    async with open_connection(config, context) as connection:
        yield connection


def _needs(options: dict[str, Any]) -> tuple[type[Any], ...]:
    match options.get("via"):
        case "bus":
            return (MqttConnection,)
        case "home_assistant":
            return (HomeAssistant,)
    return ()


def _calls(config: ServiceCallConfig) -> tuple[str, dict[str, Any]] | None:
    if config.via != "host" or config.service is None:
        return None
    return config.service, config.data


@hookimpl
def alicia_action_types() -> Iterator[ActionType]:
    """Offer the action."""
    yield ActionType(
        name="service_call",
        config=ServiceCallConfig,
        open=open_service_call,
        needs=_needs,
        calls=_calls,
        preview=preview_call,
        summary="call a service of this host, on the bus or of Home Assistant",
    )


@hookimpl
def alicia_services() -> Iterator[ServiceType]:
    """Offer the connection to Home Assistant."""
    yield ServiceType(
        name="home_assistant",
        config=HomeAssistantConfig,
        open=open_home_assistant,
        provides=HomeAssistant,
        summary="the connection to Home Assistant",
    )
