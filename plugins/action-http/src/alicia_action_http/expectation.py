"""What an answer's body must hold, and whether it does."""

from __future__ import annotations

import json
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from alicia_action_http.jsonpath import find, parse_path
from alicia_action_http.masking import Mask
from alicia_scheduler.api import ConfigError, Permanent

__all__ = ["BodyCheck", "JsonCheck", "body_wrong"]

JSON_LIMIT = 512 * 1024
"""Characters of a body that is read as JSON at the most. As objects it takes many times as much,
and reading it holds up everything else, in a thread too."""

REGEX_TIMEOUT = 1.0
"""Seconds that a regular expression may take: some need longer than the universe has."""


class JsonCheck(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A place in a JSON answer that must be there, and what must stand there.

    Attributes:
        path: keys and indices, as ``data.items[0].state``.
        equals: the value there; left out, any value will do.
    """

    path: str
    equals: Any = msgspec.UNSET

    def __post_init__(self) -> None:
        try:
            parse_path(self.path)
        except ValueError as error:
            raise ConfigError(str(error), path=("path",), hint="data.items[0].state") from None


class BodyCheck(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the answer's body must hold; all that are given must.

    Attributes:
        contains: a text that is part of it.
        matches: a regular expression that is found in it.
        json: a place in it, read as JSON; of 512 Ki characters at the most.
    """

    contains: str | None = None
    matches: Annotated[str, Meta(max_length=1000)] | None = None
    json: JsonCheck | None = None

    def __post_init__(self) -> None:
        if self.contains is None and self.matches is None and self.json is None:
            raise ConfigError(
                "nothing to look for", hint='write contains = "…", matches = "…" or json = { … }'
            )
        if self.matches is not None:
            import regex

            try:
                regex.compile(self.matches)
            except regex.error as error:
                raise ConfigError(
                    f"{self.matches!r} is no regular expression: {error}", path=("matches",)
                ) from None


def body_wrong(check: BodyCheck, text: str, mask: Mask) -> str | None:
    """Why a body is not as expected, or None when it is. It may take a second: run it in a thread.

    Raises:
        Permanent: that cannot be found out.
    """
    if check.contains is not None and check.contains not in text:
        return f"the body does not contain {check.contains!r}"
    if check.matches is not None and not _found(check.matches, text):
        return f"the body does not match {check.matches!r}"
    return None if check.json is None else _json_wrong(check.json, text, mask)


def _json_wrong(check: JsonCheck, text: str, mask: Mask) -> str | None:
    if len(text) > JSON_LIMIT:
        return f"the body has more than {JSON_LIMIT} characters, too many to be read as JSON"
    try:
        there = find(msgspec.json.decode(text), check.path)
    except (ValueError, RecursionError):
        return "the body is not JSON"
    except LookupError:
        return f"the body has nothing at {check.path!r}"
    wanted = check.equals
    if wanted is not msgspec.UNSET and (there != wanted or type(there) is not type(wanted)):
        return f"{check.path} is {_short(mask.data(there))}, not {_short(wanted)}"
    return None


def _found(pattern: str, text: str) -> bool:
    import regex

    try:
        return regex.search(pattern, text, timeout=REGEX_TIMEOUT, concurrent=True) is not None
    except TimeoutError:
        raise Permanent(
            f"the regular expression {pattern!r} took more than {REGEX_TIMEOUT:g} s",
            error_class="regex",
        ) from None


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else f"{text[:100]}…"
