"""Taking secrets out of text and data: whatever was read once is replaced from then on."""

from __future__ import annotations

import base64
import json
import logging
import re
import sys
import traceback
from collections import OrderedDict
from collections.abc import Iterable
from types import TracebackType
from typing import Any
from urllib.parse import quote, quote_plus

__all__ = ["MASK", "RedactingFormatter", "Redactor", "keep_secrets_out"]

MASK = "***"

SHORTEST = 4
"""Characters below which a value is not taken out: it would blacken half of every text."""

HEAD = 16
"""Characters of a value by which it is recognised, also when its end or its beginning was cut
off."""

MANY = 2000
"""Spellings remembered at the most; then those learned first are forgotten."""

LINE = 16
"""Characters from which a single line of a value of many lines is taken out, too."""


class Redactor:
    """Knows every secret value that was read in this process, also those that were replaced
    since: what is old may still stand in what is about to be told."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, None] = OrderedDict()
        self._by_head: dict[str, list[str]] = {}
        self._by_tail: dict[str, list[str]] = {}
        self._heads: re.Pattern[str] | None = None
        self._tails: re.Pattern[str] | None = None

    def learn(self, value: str) -> None:
        """Replace ``value`` from now on, in every spelling in which it commonly appears. Values
        of fewer than :data:`SHORTEST` characters are left alone."""
        if value in self._known or len(value) < SHORTEST:
            return
        for text in (value, *(line for line in value.splitlines() if len(line) >= LINE)):
            self._known.update(dict.fromkeys(_spellings(text)))
        while len(self._known) > MANY:
            self._known.popitem(last=False)
        self._by_head, self._by_tail = {}, {}
        for text in self._known:
            self._by_head.setdefault(text[:HEAD], []).append(text)
            if len(text) > HEAD:
                self._by_tail.setdefault(text[-HEAD:], []).append(text)
        self._heads, self._tails = _any_of(self._by_head), _any_of(self._by_tail)

    def text(self, text: str) -> str:
        """``text`` with :data:`MASK` in place of every known value."""
        if self._heads is None:
            return text
        return self._without_tails(self._without_heads(text))

    def data(self, value: Any) -> Any:
        """JSON-ready ``value`` with every known value taken out of its texts, keys included."""
        if self._heads is None:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {
                self.text(key) if isinstance(key, str) else key: self.data(item)
                for key, item in value.items()
            }
        if isinstance(value, (list, tuple)):
            return [self.data(item) for item in value]
        if isinstance(value, int) and not isinstance(value, bool):
            return MASK if self.text(str(value)) == MASK else value
        return value

    def _without_heads(self, text: str) -> str:
        """Without the values that stand there whole, or without their ends."""
        parts: list[str] = []
        position = 0
        while self._heads and (match := self._heads.search(text, position)) is not None:
            end = max(_end(known, text, match.start()) for known in self._by_head[match.group()])
            parts += (text[position : match.start()], MASK)
            position = max(end, match.end())
        return "".join((*parts, text[position:])) if parts else text

    def _without_tails(self, text: str) -> str:
        """Without what is left of values whose beginnings were cut off."""
        parts: list[str] = []
        position = 0
        while self._tails and (match := self._tails.search(text, position)) is not None:
            begin = min(_begin(known, text, match.end()) for known in self._by_tail[match.group()])
            parts += (text[position : max(begin, position)], MASK)
            position = match.end()
        return "".join((*parts, text[position:])) if parts else text


class RedactingFormatter(logging.Formatter):
    """Formats a record as another formatter does, then takes the secrets out: also those in its
    arguments and tracebacks."""

    def __init__(self, inner: logging.Formatter, redactor: Redactor) -> None:
        super().__init__()
        self._inner = inner
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        return self._redactor.text(self._inner.format(record))


def keep_secrets_out(redactor: Redactor) -> None:
    """Take secrets out of what this process logs, and of its last words when it breaks."""
    for handler in logging.getLogger().handlers:
        inner = handler.formatter or logging.Formatter()
        handler.setFormatter(RedactingFormatter(inner, redactor))

    def excepthook(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        lines = traceback.format_exception(kind, error, trace)
        sys.stderr.write(redactor.text("".join(lines)))

    sys.excepthook = excepthook


def _spellings(value: str) -> list[str]:
    """A value as it stands in text, in JSON, in a repr, in an address, and as base64."""
    encoded = value.encode(errors="surrogatepass")
    found = [
        value,
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
        repr(value)[1:-1],
        quote(encoded),
        quote(encoded, safe=""),
        quote_plus(encoded),
        base64.b64encode(encoded).decode(),
        base64.urlsafe_b64encode(encoded).decode(),
    ]
    return [text for text in dict.fromkeys(found) if len(text) >= SHORTEST]


def _any_of(texts: Iterable[str]) -> re.Pattern[str] | None:
    """What finds one of these, the longer first; None when there are none."""
    ordered = sorted(texts, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, ordered))) if ordered else None


def _end(known: str, text: str, start: int) -> int:
    """Where the part of ``known`` ends that stands in ``text`` at ``start``."""
    if text.startswith(known, start):
        return start + len(known)
    shared = 0
    for ours, theirs in zip(known, text[start : start + len(known)], strict=False):
        if ours != theirs:
            break
        shared += 1
    return start + shared


def _begin(known: str, text: str, end: int) -> int:
    """Where the part of ``known`` begins that stands in ``text`` before ``end``."""
    before = text[max(0, end - len(known)) : end]
    shared = 0
    for ours, theirs in zip(reversed(known), reversed(before), strict=False):
        if ours != theirs:
            break
        shared += 1
    return end - shared
