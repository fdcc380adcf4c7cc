"""What an attempt sends, and what of it may be shown."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec

from alicia_action_http.config import HttpRequestConfig
from alicia_action_http.masking import MASK, is_harmless, is_secret_name, mask_of
from alicia_scheduler.api import EventExecution, to_epoch

__all__ = ["DEFAULTS", "idempotency_key", "preview_of", "request_of"]

DEFAULTS = {
    "user-agent": "alicia-scheduler",
    "accept": "*/*",
    "accept-encoding": "gzip, deflate",
}

SHOWN_BODY = 16 * 1024
"""Characters of a body that a preview shows."""


def idempotency_key(execution: EventExecution) -> str:
    """What a server knows a repetition by: the event and the slot.

    All attempts for a slot have the same key, as the header means it: a server that has done
    what the first attempt asked, but could not say so, does not do it again for the second
    (draft-ietf-httpapi-idempotency-key-header, section 2).
    """
    return f"{execution.event_id}/{to_epoch(execution.scheduled_time):.6f}"


def request_of(config: HttpRequestConfig, execution: EventExecution) -> httpx.Request:
    """The request of an attempt.

    Raises:
        httpx.InvalidURL, UnicodeError: the URL is none.
    """
    headers = {name.lower(): value for name, value in config.headers.items()}
    if config.json is not msgspec.UNSET:
        headers.setdefault("content-type", "application/json")
    if config.key_header is not None:
        headers.setdefault(config.key_header.lower(), idempotency_key(execution))
    content: dict[str, Any] = {}
    if config.form is not None:
        content["data"] = config.form
    elif config.body is not None:
        content["content"] = config.body.encode()
    elif config.json is not msgspec.UNSET:
        content["content"] = msgspec.json.encode(config.json)
    url = httpx.URL(config.url)
    return httpx.Request(
        config.method,
        url.copy_merge_params(config.query) if config.query else url,
        headers={**DEFAULTS, **headers},
        extensions={"timeout": _timeouts(config)},
        **content,
    )


def preview_of(config: HttpRequestConfig, execution: EventExecution) -> dict[str, Any]:
    """What an attempt would send, with the values of headers masked that may be secrets."""
    request = request_of(config, execution)
    mask = mask_of(config)
    configured = {name.lower() for name in config.headers}
    parameters = [
        (name, MASK if is_secret_name(name) else mask.text(value))
        for name, value in request.url.params.multi_items()
    ]
    shown = request.url.copy_with(query=None, fragment=None)
    query = "&".join(f"{name}={value}" for name, value in parameters)
    body = request.content.decode(errors="replace")
    return {
        "method": request.method,
        "url": mask.text(str(shown)) + (f"?{query}" if query else ""),
        "headers": {
            name: MASK if name in configured and not is_harmless(name) else value
            for name, value in request.headers.items()
        },
        "body": mask.excerpt(body, SHOWN_BODY) if body else None,
    }


def _timeouts(config: HttpRequestConfig) -> dict[str, float]:
    return {
        "connect": config.connect_timeout,
        "read": config.read_timeout,
        "write": config.write_timeout,
        # Waiting for a free connection is waiting for other events of the same host.
        "pool": config.connect_timeout + config.read_timeout,
    }
