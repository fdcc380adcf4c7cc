"""What came back: read up to a limit, kept in short, and held against what was expected."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec

from alicia_action_http.config import BodyCheck, HttpRequestConfig
from alicia_action_http.jsonpath import find
from alicia_action_http.network import TooLarge
from alicia_scheduler.api import ActionContext, Permanent

__all__ = ["Answer", "read_answer"]

KEPT = 16 * 1024
"""Bytes of the body that the result keeps."""

KEPT_HEADERS = frozenset(
    {"content-type", "content-length", "date", "etag", "last-modified", "location", "retry-after"}
)
"""Headers that the result keeps. Others may hold secrets (Set-Cookie)."""

HEADER_LENGTH = 500
REGEX_TIMEOUT = 1.0
"""Seconds that a regular expression may take: some need longer than the universe has."""


@dataclass(frozen=True)
class Answer:
    """An answer, read.

    Attributes:
        url: what was asked last, without user, password and query.
        size: bytes of the body, unpacked.
    """

    status: int
    reason: str
    url: str
    headers: httpx.Headers = field(repr=False)
    body: bytes = field(repr=False)
    size: int = 0

    def text(self) -> str:
        """The body as text, whatever it is."""
        return self.body.decode(_charset(self.headers), errors="replace")

    def result(self, elapsed: float) -> dict[str, Any]:
        """What the history keeps."""
        kept: dict[str, Any] = {
            "status": self.status,
            "url": self.url,
            "elapsed": round(elapsed, 6),
            "size": self.size,
            "headers": {
                name: value[:HEADER_LENGTH]
                for name, value in self.headers.items()
                if name in KEPT_HEADERS
            },
        }
        if len(self.body) > KEPT:
            kept["body"] = self.body[:KEPT].decode(_charset(self.headers), errors="replace")
            kept["cut"] = True
        elif self.body and (parsed := self._json()) is not msgspec.UNSET:
            kept["json"] = parsed
        elif self.body:
            kept["body"] = self.text()
        return kept

    async def wrong(self, config: HttpRequestConfig, context: ActionContext) -> str | None:
        """Why this is not the answer that was expected, or None when it is."""
        if not config.expects(self.status):
            return f"status {self.status} {self.reason}".rstrip()
        if config.expect_body is None:
            return None
        return await self._body_wrong(config.expect_body, context)

    async def _body_wrong(self, check: BodyCheck, context: ActionContext) -> str | None:
        text = self.text()
        if check.contains is not None and check.contains not in text:
            return f"the body does not contain {check.contains!r}"
        if check.matches is not None:
            found = await context.run_sync(_search, check.matches, text)
            if not found:
                return f"the body does not match {check.matches!r}"
        if check.json is None:
            return None
        try:
            there = find(json.loads(text), check.json.path)
        except (ValueError, RecursionError):
            return "the body is not JSON"
        except LookupError:
            return f"the body has nothing at {check.json.path!r}"
        wanted = check.json.equals
        if wanted is not msgspec.UNSET and (there != wanted or type(there) is not type(wanted)):
            return f"{check.json.path} is {_short(there)}, not {_short(wanted)}"
        return None

    def _json(self) -> Any:
        if "json" not in self.headers.get("content-type", ""):
            return msgspec.UNSET
        try:
            return msgspec.json.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return msgspec.UNSET


async def read_answer(response: httpx.Response, limit: int) -> Answer:
    """Read an answer's body, unpacked, up to ``limit`` bytes.

    Raises:
        TooLarge: it is longer.
    """
    packed = b"".join([chunk async for chunk in response.aiter_raw()])
    body = unpacked(packed, response.headers.get("content-encoding", ""), limit)
    if body is None:
        raise TooLarge
    url = response.request.url
    return Answer(
        status=response.status_code,
        reason=response.reason_phrase,
        url=str(url.copy_with(userinfo=b"", query=None, fragment=None)),
        headers=response.headers,
        body=body,
        size=len(body),
    )


def unpacked(packed: bytes, encoding: str, limit: int) -> bytes | None:
    """A body without its compression; what cannot be unpacked stays as it is. None when that has
    more than ``limit`` bytes, however few they were on the way."""
    body = packed
    if encoding.strip().lower() in ("gzip", "x-gzip", "deflate"):
        # 32 finds out by itself whether it is gzip or zlib; -15 is deflate as some send it.
        for bits in (32 + zlib.MAX_WBITS, -zlib.MAX_WBITS):
            try:
                body = zlib.decompressobj(bits).decompress(packed, limit + 1)
            except zlib.error:
                continue
            break
    return body if len(body) <= limit else None


def _search(pattern: str, text: str) -> bool:
    import regex

    try:
        return regex.search(pattern, text, timeout=REGEX_TIMEOUT, concurrent=True) is not None
    except TimeoutError:
        raise Permanent(
            f"the regular expression {pattern!r} took more than {REGEX_TIMEOUT:g} s",
            error_class="regex",
        ) from None


def _charset(headers: httpx.Headers) -> str:
    named = headers.encoding if "charset" in headers.get("content-type", "") else "utf-8"
    _, _, charset = headers.get("content-type", "").partition("charset=")
    candidate = charset.split(";")[0].strip(" \"'") or named
    try:
        "".encode(candidate)
    except LookupError:
        return "utf-8"
    return candidate


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else f"{text[:100]}…"
