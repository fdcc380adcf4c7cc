"""What came back: read up to a limit, and kept in short."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpcore
import httpx
import msgspec
import trio

from alicia_action_http.charsets import decoded
from alicia_action_http.config import HttpRequestConfig
from alicia_action_http.expectation import body_wrong
from alicia_action_http.masking import Mask
from alicia_action_http.network import BoundedStream, TooLarge
from alicia_action_http.unpacking import packed_by, unpacked
from alicia_scheduler.api import ActionContext

__all__ = ["Answer", "read_answer", "without_secrets"]

KEPT = 16 * 1024
"""Characters of the body that the result keeps."""

KEPT_JSON = 32 * 1024
"""Bytes that they may have in JSON, where one can take six. The host cuts results at 64 KiB."""

KEPT_URL = 2000
KEPT_HEADERS = frozenset(
    {"content-type", "content-length", "date", "etag", "last-modified", "location", "retry-after"}
)
"""Headers that the result keeps. Others may hold secrets (Set-Cookie)."""

HEADER_LENGTH = 500
FRAMING = 256 * 1024
"""Bytes that an answer may have on the wire besides its body."""

ERROR_BODY = 4 * 1024
"""Bytes that are read of the body of an answer that is an error by its status."""

ERROR_TIME = 2.0
"""Seconds that reading them may take. What counts is known already."""

QUICK = 64 * 1024
"""Bytes of a body up to which it is looked through at once, and not in a thread."""


@dataclass(frozen=True)
class Answer:
    """An answer, read.

    Attributes:
        url: what was asked last, without user, password and query.
        mask: takes out what we told the server in confidence.
        whole: whether the body is all there is of it.
    """

    status: int
    reason: str
    url: str
    headers: httpx.Headers = field(repr=False)
    body: bytes = field(repr=False)
    mask: Mask = field(repr=False)
    whole: bool = True

    def text(self) -> str:
        """The body as text, whatever it is."""
        return decoded(self.body, self.headers.get("content-type", ""))

    def excerpt(self, length: int) -> tuple[str, bool]:
        """The body's first characters, with nothing in them that must not be shown, and whether
        anything is left out."""
        # No encoding of text takes more than four bytes for a character.
        head = self.body[: 4 * (length + self.mask.longest)]
        text = decoded(head, self.headers.get("content-type", ""))
        whole = self.whole and len(head) == len(self.body)
        return self.mask.excerpt(text, length, whole=whole), not whole or len(text) > length

    def result(self, elapsed: float) -> dict[str, Any]:
        """What the history keeps: far less than 64 KiB of JSON, whatever came."""
        kept: dict[str, Any] = {
            "status": self.status,
            "url": self.url,
            "elapsed": round(elapsed, 6),
            "size": len(self.body),
            "headers": {
                name: self.mask.excerpt(shown, HEADER_LENGTH)
                for name, value in self.headers.items()
                if name in KEPT_HEADERS
                and (shown := without_secrets(value) if name == "location" else value)
            },
        }
        parsed = self._json()
        if parsed is not msgspec.UNSET:
            kept["json"] = parsed
        elif self.body:
            text, cut = self.excerpt(KEPT)
            kept["body"] = fitting(text, KEPT_JSON)
            if cut or len(kept["body"]) < len(text):
                kept["cut"] = True
        return kept

    async def wrong(self, config: HttpRequestConfig, context: ActionContext) -> str | None:
        """Why this is not the answer that was expected, or None when it is."""
        check = config.expect_body
        if not config.expects(self.status):
            return f"status {self.status} {self.mask.text(self.reason)[:100]}".rstrip()
        if check is None:
            return None
        if check.matches is None and len(self.body) <= QUICK:
            return body_wrong(check, self.text(), self.mask)
        return await context.run_sync(lambda: body_wrong(check, self.text(), self.mask))

    def _json(self) -> Any:
        """The body as JSON, as far as it is some that can be kept whole; else UNSET."""
        small = 0 < len(self.body) <= KEPT and self.whole
        if not small or "json" not in self.headers.get("content-type", ""):
            return msgspec.UNSET
        try:
            parsed = self.mask.data(msgspec.json.decode(self.body))
            encoded = msgspec.json.encode(parsed)
        except (ValueError, RecursionError, OverflowError):
            return msgspec.UNSET
        return parsed if len(encoded) <= KEPT_JSON else msgspec.UNSET


async def read_answer(
    response: httpx.Response,
    config: HttpRequestConfig,
    mask: Mask,
    run_sync: Callable[..., Awaitable[bytes]],
) -> Answer:
    """Read an answer's body, unpacked. When the status is an error already, only a little of it,
    and not for long: the status is the answer.

    Raises:
        TooLarge: it has more than ``max_response`` bytes.
        NotUnpacked: it is packed, and broken.
    """
    expected = config.expects(response.status_code)
    if expected:
        limit = config.max_response
        packed, whole = await _all_of(response, limit), True
    else:
        limit = min(ERROR_BODY, config.max_response)
        packed, whole = await _some_of(response, limit)
    body = packed
    if packed_by(response.headers.get("content-encoding", "")) is not None:
        body = await run_sync(lambda: unpacked(packed, limit, whole=expected))
    if len(body) > limit:
        if expected:
            raise TooLarge
        body, whole = body[:limit], False
    return Answer(
        status=response.status_code,
        reason=response.reason_phrase,
        url=mask.excerpt(without_secrets(str(response.request.url)), KEPT_URL),
        headers=response.headers,
        body=body,
        mask=mask,
        whole=whole,
    )


async def _all_of(response: httpx.Response, limit: int) -> bytes:
    _allow(response, limit + FRAMING)
    return b"".join([chunk async for chunk in response.aiter_raw()])


async def _some_of(response: httpx.Response, limit: int) -> tuple[bytes, bool]:
    """The beginning of a body, and whether it is all of it. Nothing that goes wrong matters."""
    _allow(response, limit)
    chunks: list[bytes] = []
    whole = False
    try:
        with trio.move_on_after(ERROR_TIME):
            async for chunk in response.aiter_raw():
                chunks.append(chunk)  # noqa: PERF401 - what came before a fault is kept
            whole = True
    except (TooLarge, httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException):
        pass
    body = b"".join(chunks)
    return body[:limit], whole and len(body) <= limit


def _allow(response: httpx.Response, size: int) -> None:
    """Let the connection take ``size`` bytes more, and break then."""
    stream = response.extensions.get("network_stream")
    if isinstance(stream, BoundedStream):
        stream.allow(size)


def without_secrets(url: str) -> str:
    """A URL without user, password, query and fragment; empty when it is none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, place, parts.path, "", ""))


def fitting(text: str, limit: int) -> str:
    """As much of the beginning of a text as has at most ``limit`` bytes in JSON."""
    if len(msgspec.json.encode(text)) <= limit:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (
            (middle, high)
            if len(msgspec.json.encode(text[:middle])) <= limit
            else (low, middle - 1)
        )
    return text[:low]
