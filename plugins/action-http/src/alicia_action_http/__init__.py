"""An event asks a web server: action type ``http_request``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from alicia_action_http.config import HttpRequestConfig
from alicia_action_http.settings import HttpSettings, check_request
from alicia_scheduler.api import Action, ActionContext, ActionType, EventExecution, hookimpl

__all__ = ["HttpRequestConfig", "HttpSettings"]

DEFAULT_TIMEOUT = 60.0
"""Seconds for the whole exchange of an attempt (reliability.md R50)."""


@asynccontextmanager
async def open_http(context: ActionContext) -> AsyncIterator[Action]:
    """The action with its pools of connections. httpx is imported with the first use, in a
    thread: that takes a second on a small board."""
    await context.run_sync(import_module, "alicia_action_http.action")
    from alicia_action_http.action import HttpRequest

    async with HttpRequest(context) as action:
        yield action


def preview_request(config: HttpRequestConfig, execution: EventExecution) -> dict[str, Any]:
    """What an attempt would send.

    Raises:
        Permanent: nothing can be sent.
    """
    from alicia_action_http.faults import explained
    from alicia_action_http.masking import mask_of
    from alicia_action_http.request import preview_of

    with explained(urlsplit(config.url).hostname or "", mask_of(config)):
        return preview_of(config, execution)


@hookimpl
def alicia_action_types() -> Iterator[ActionType]:
    """Offer the action."""
    yield ActionType(
        name="http_request",
        config=HttpRequestConfig,
        open=open_http,
        check=check_request,
        preview=preview_request,
        default_timeout=DEFAULT_TIMEOUT,
        summary="send an HTTP request",
    )


@hookimpl
def alicia_settings() -> Iterator[type]:
    """Let the host's configuration say whom events may ask."""
    yield HttpSettings
