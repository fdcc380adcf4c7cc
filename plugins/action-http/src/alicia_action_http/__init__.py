"""An event asks a web server: action type ``http_request``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from alicia_action_http.config import HttpRequestConfig
from alicia_scheduler.api import Action, ActionContext, ActionType, hookimpl

__all__ = ["HttpRequestConfig"]


@asynccontextmanager
async def open_http(context: ActionContext) -> AsyncIterator[Action]:
    """The action with its pools of connections. httpx is imported with the first use."""
    from alicia_action_http.action import HttpRequest

    async with HttpRequest(context) as action:
        yield action


@hookimpl
def alicia_action_types() -> Iterator[ActionType]:
    """Offer the action."""
    yield ActionType(
        name="http_request",
        config=HttpRequestConfig,
        open=open_http,
        summary="send an HTTP request",
    )
