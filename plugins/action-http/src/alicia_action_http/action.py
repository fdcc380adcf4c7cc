"""The action at work: one request, its redirects, and what its answer means."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import httpx

from alicia_action_http.answer import Answer, read_answer
from alicia_action_http.config import HttpRequestConfig
from alicia_action_http.faults import answered_wrong, explained
from alicia_action_http.hosts import Policy
from alicia_action_http.masking import Mask, mask_of
from alicia_action_http.network import Forbidden
from alicia_action_http.pools import Pools
from alicia_action_http.quiet import keep_quiet
from alicia_action_http.redirects import crosses, redirected
from alicia_action_http.request import request_of
from alicia_action_http.settings import HttpSettings, policy_of
from alicia_action_http.tls import Contexts, Trust
from alicia_action_http.transport import PoolTransport
from alicia_scheduler.api import ActionContext, EventExecution, Permanent

__all__ = ["HttpRequest"]

MOST_REDIRECTS = 5
MOST_TOLD = 1000
"""Hosts remembered of which it was told that they are not verified."""


class HttpRequest:
    """Sends requests. Implements :class:`alicia_scheduler.api.Action`."""

    def __init__(self, context: ActionContext) -> None:
        keep_quiet()
        self._context = context
        self._pools = Pools()
        self._contexts = Contexts(context.run_sync)
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
        mask = mask_of(config)
        with explained(urlsplit(config.url).hostname or "", mask):
            request = request_of(config, execution)
        answer = await self._ask(config, request, mask)
        result = answer.result(elapsed=time.monotonic() - began)
        wrong = await answer.wrong(config, self._context)
        if wrong is not None:
            raise answered_wrong(answer, wrong, self._context.now())
        return result

    async def _ask(self, config: HttpRequestConfig, request: httpx.Request, mask: Mask) -> Answer:
        policy = policy_of(config, self._context.settings or HttpSettings())
        trust = Trust(config.verify, config.ca_file, config.cert_file, config.key_file)
        for _ in range(MOST_REDIRECTS + 1):
            with explained(mask.text(urlsplit(str(request.url)).hostname or ""), mask):
                answer = await self._exchange(config, request, mask, policy, trust)
            if isinstance(answer, Answer):
                return answer
            if crosses(request.url, answer.url):
                # Who we are, and whom we believe without proof, is for the first origin alone.
                trust = Trust(ca_file=config.ca_file)
            request = answer
        raise Permanent(f"more than {MOST_REDIRECTS} redirects", error_class="redirects")

    async def _exchange(
        self,
        config: HttpRequestConfig,
        request: httpx.Request,
        mask: Mask,
        policy: Policy,
        trust: Trust,
    ) -> Answer | httpx.Request:
        """The answer to a request, or the request that it sends us on to."""
        if refused := policy.refuses(request.url.host):
            raise Forbidden(refused)
        context = await self._contexts.get(trust) if request.url.scheme == "https" else None
        async with self._pools.lease(policy, context) as pool:
            response = await PoolTransport(pool).handle_async_request(request)
            response.request = request
            try:
                following = redirected(config, request, response)
                if following is not None:
                    return following
                return await read_answer(response, config, mask, self._context.run_sync)
            finally:
                await response.aclose()

    def _tell_unverified(self, config: HttpRequestConfig) -> None:
        host = urlsplit(config.url).hostname or ""
        if not config.verify and host not in self._told_unverified:
            if len(self._told_unverified) >= MOST_TOLD:
                self._told_unverified.clear()
            self._told_unverified.add(host)
            self._context.logger.warning(
                "verify = false: whoever answers for %s is believed to be it", host
            )
