"""The action at work: one request, its redirects, and what its answer means."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec

from alicia_action_http.answer import Answer, read_answer
from alicia_action_http.config import HttpRequestConfig, check_url
from alicia_action_http.faults import answered_wrong, explained
from alicia_action_http.network import Kind, Pools
from alicia_action_http.transport import PoolTransport
from alicia_scheduler.api import ActionContext, ConfigError, EventExecution, Permanent

__all__ = ["HttpRequest"]

MOST_REDIRECTS = 5
HEADERS = 256 * 1024
"""Bytes that an answer may have on the wire besides its body."""

DEFAULTS = {
    "user-agent": "alicia-scheduler",
    "accept": "*/*",
    "accept-encoding": "gzip, deflate",
}
REDIRECTS = frozenset({301, 302, 303, 307, 308})


class HttpRequest:
    """Sends requests. Implements :class:`alicia_scheduler.api.Action`."""

    def __init__(self, context: ActionContext) -> None:
        self._context = context
        self._pools = Pools()
        self._told_unverified: set[str] = set()

    async def __aenter__(self) -> HttpRequest:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        await self._pools.close()

    async def run(self, config: HttpRequestConfig, execution: EventExecution) -> dict[str, Any]:
        """See :meth:`alicia_scheduler.api.Action.run`.

        Raises:
            Retryable: no connection, a time-out, or one of the statuses 408, 425, 429 and 5xx.
            Permanent: any other status that is not expected, a body that is not right, a
                certificate that is not trusted, a host that may not be asked.
        """
        self._tell_unverified(config)
        began = time.monotonic()
        request = _request(config, execution)
        with explained(request.url.host):
            kind = Kind(
                config.max_response + HEADERS,
                config.verify,
                config.ca_file,
                config.cert_file,
                config.key_file,
                config.allow_link_local,
            )
            transport = PoolTransport(self._pools.get(kind))
            answer = await self._ask(config, request, transport)
        result = answer.result(elapsed=time.monotonic() - began)
        wrong = await answer.wrong(config, self._context)
        if wrong is not None:
            raise answered_wrong(answer, wrong, self._context.now())
        return result

    async def _ask(
        self, config: HttpRequestConfig, request: httpx.Request, transport: PoolTransport
    ) -> Answer:
        for _ in range(MOST_REDIRECTS + 1):
            response = await transport.handle_async_request(request)
            response.request = request
            try:
                following = _redirected(config, request, response)
                if following is None:
                    return await read_answer(response, config.max_response)
            finally:
                await response.aclose()
            request = following
        raise Permanent(f"more than {MOST_REDIRECTS} redirects", error_class="redirects")

    def _tell_unverified(self, config: HttpRequestConfig) -> None:
        host = urlsplit(config.url).hostname or ""
        if not config.verify and host not in self._told_unverified:
            self._told_unverified.add(host)
            self._context.logger.warning(
                "verify = false: whoever answers for %s is believed to be it", host
            )


def _request(config: HttpRequestConfig, execution: EventExecution) -> httpx.Request:
    headers = {name.lower(): value for name, value in config.headers.items()}
    if config.json is not msgspec.UNSET:
        headers.setdefault("content-type", "application/json")
    if config.key_header is not None:
        headers.setdefault(config.key_header.lower(), execution.idempotency_key)
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


def _timeouts(config: HttpRequestConfig) -> dict[str, float]:
    return {
        "connect": config.connect_timeout,
        "read": config.read_timeout,
        "write": config.write_timeout,
        # Waiting for a free connection is waiting for other events of the same host.
        "pool": config.connect_timeout + config.read_timeout,
    }


def _redirected(
    config: HttpRequestConfig, request: httpx.Request, response: httpx.Response
) -> httpx.Request | None:
    """The request that an answer sends us on to, or None when it is the end.

    Raises:
        Permanent: it leads where we may not go.
    """
    target = response.headers.get("location")
    if response.status_code not in REDIRECTS or not target or not config.follow_redirects:
        return None
    url = request.url.join(target)
    try:
        check_url(str(url))
    except ConfigError as error:
        raise Permanent(f"a redirect leads nowhere: {error}", error_class="redirects") from None
    if request.url.scheme == "https" and url.scheme != "https":
        raise Permanent(f"{url.host}: a redirect leads from https to http", error_class="redirects")
    if not config.may_ask(url.host):
        raise Permanent(
            f"a redirect leads to {url.host}, which allow_hosts and deny_hosts do not allow",
            error_class="forbidden",
        )
    same_origin = _origin(url) == _origin(request.url)
    keeps_method = response.status_code in (307, 308) or request.method in ("GET", "HEAD")
    headers = dict(DEFAULTS)
    content: bytes | None = None
    if same_origin:
        # What describes a body goes with the body.
        headers = {
            name: value
            for name, value in request.headers.items()
            if name not in ("host", "content-length", "transfer-encoding")
            and (keeps_method or not name.startswith("content-"))
        }
    if keeps_method and request.method not in ("GET", "HEAD"):
        if not same_origin:
            raise Permanent(
                f"a redirect would send the body on to {url.host}", error_class="redirects"
            )
        content = request.content
    return httpx.Request(
        request.method if keeps_method else "GET",
        url,
        headers=headers,
        content=content,
        extensions=request.extensions,
    )


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    port = url.port or {"http": 80, "https": 443}.get(url.scheme)
    return url.scheme, url.host, port
