"""Taking out of what a server says what we told it in confidence: some servers echo it.

The host itself takes out the values of ``{ secret = "…" }``. This is for values that stand in the
configuration as they are, or were made by templates.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, quote, quote_plus, urlsplit

if TYPE_CHECKING:
    from alicia_action_http.config import HttpRequestConfig

__all__ = ["MASK", "Mask", "is_harmless", "is_secret_name", "mask_of"]

MASK = "***"

SHORTEST = 8
"""Characters from which a value is taken out. Shorter ones stand in too many innocent texts."""

HARMLESS = frozenset(
    {
        "accept",
        "accept-charset",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "content-language",
        "content-type",
        "date",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "prefer",
        "range",
        "user-agent",
    }
)
"""Headers whose values are no secrets."""

SECRET_NAME = re.compile(r"pass|secret|token|credential|key|sig|auth|code|session", re.IGNORECASE)
"""Names of parameters of a URL whose values are secrets."""


def is_harmless(name: str) -> bool:
    """True for a header whose value may be shown."""
    return name.lower() in HARMLESS


def is_secret_name(name: str) -> bool:
    """True for a parameter of a URL whose value must not be shown."""
    return SECRET_NAME.search(name) is not None


class Mask:
    """Replaces values, in whatever spelling they commonly come back.

    Attributes:
        longest: characters of the longest spelling.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        spellings = {
            spelling for value in values if len(value) >= SHORTEST for spelling in _spellings(value)
        }
        ordered = sorted(spellings, key=len, reverse=True)
        self.longest = len(ordered[0]) if ordered else 0
        self._pattern = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def text(self, text: str) -> str:
        """``text`` with :data:`MASK` in place of every value."""
        return text if self._pattern is None else self._pattern.sub(MASK, text)

    def excerpt(self, text: str, length: int, *, whole: bool = True) -> str:
        """The first ``length`` characters, none of them of a value that an end cuts through.

        Args:
            whole: whether the text ended where it ends, and was not cut before.
        """
        if self._pattern is None:
            return text[:length]
        head = text[: length + self.longest]
        kept = self.text(head)
        if not whole or len(head) < len(text):
            # What may be the beginning of a value lies in these.
            kept = kept[: -self.longest]
        return kept[:length]

    def data(self, value: Any) -> Any:
        """JSON-ready ``value`` with every value taken out, of keys too."""
        if self._pattern is None:
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(key): self.data(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.data(item) for item in value]
        if isinstance(value, int) and not isinstance(value, bool):
            return value if self.text(str(value)) == str(value) else MASK
        return value


def mask_of(config: HttpRequestConfig) -> Mask:
    """The mask for what a request says in confidence: the values of its headers, what they are
    made of, and those of its URL's parameters that are named like secrets."""
    parameters = [
        *parse_qsl(urlsplit(config.url).query),
        *((name, str(value)) for name, value in config.query.items()),
    ]
    return Mask(
        (
            *(
                part
                for name, value in config.headers.items()
                if not is_harmless(name)
                for part in _parts(name.lower(), value)
            ),
            *(value for name, value in parameters if is_secret_name(name)),
        )
    )


def _parts(name: str, value: str) -> Iterator[str]:
    """A header's value, and what servers take out of it: a token, a password, a cookie."""
    yield value
    if name == "cookie":
        for pair in value.split(";"):
            yield pair.partition("=")[2].strip(' "')
        return
    scheme, _, credentials = value.partition(" ")
    yield credentials.strip()
    if scheme.lower() == "basic":
        try:
            plain = base64.b64decode(credentials, validate=True).decode()
        except (binascii.Error, ValueError):
            return
        yield plain
        yield plain.partition(":")[2]


def _spellings(value: str) -> set[str]:
    """A value as it stands in text, in JSON, in a repr and in an address."""
    return {
        value,
        json.dumps(value)[1:-1],
        json.dumps(value)[1:-1].replace("/", "\\/"),
        repr(value)[1:-1],
        quote(value),
        quote(value, safe=""),
        quote_plus(value),
    }
