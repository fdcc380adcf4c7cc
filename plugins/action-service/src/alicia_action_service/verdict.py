"""What an answer on the bus means: it worked, or it failed and whether trying again may help."""

from __future__ import annotations

from typing import Any

import msgspec

from alicia_action_service.config import SuccessCheck
from alicia_action_service.envelope import lookup
from alicia_action_service.places import find
from alicia_scheduler.api import Permanent, Retryable

__all__ = ["failure_of"]

FAILED = frozenset({"error", "failed", "failure"})
"""Values of ``status`` that say that it did not work."""

FINAL = frozenset(
    (
        *("invalid_format", "invalid_request", "not_allowed", "not_found", "not_supported"),
        *("unauthorized", "unknown_command", "unknown_verb"),
    )
)
"""Codes of errors that trying again does not mend."""

LONGEST = 500


def failure_of(
    layers: list[dict[str, Any]] | None, check: SuccessCheck | None, *, on_error_topic: bool
) -> Retryable | Permanent | None:
    """The failure that an answer tells, or None when it tells success.

    A service that failed has answered, so trying again cannot do a thing twice: it is retryable,
    unless the answer says that it is not.

    Args:
        layers: the objects of the answer, innermost first; None when it is no JSON object.
        check: what must hold; None for the words that most services use.
        on_error_topic: it came where only failures come.
    """
    if layers is None:
        if on_error_topic:
            return Retryable("the service answered with an error", error_class="service_error")
        if check is None:
            return None
        return Permanent("the answer is no JSON object", error_class="unexpected_answer")
    if on_error_topic or _says_failure(layers):
        return _told(layers)
    if check is None or _holds(layers, check):
        return None
    if _says_why(layers):
        return _told(layers)
    return Permanent(f"the answer does not hold {_words(check)}", error_class="unexpected_answer")


def _says_failure(layers: list[dict[str, Any]]) -> bool:
    status = lookup(layers, "status")
    return lookup(layers, "success") is False or (isinstance(status, str) and status in FAILED)


def _says_why(layers: list[dict[str, Any]]) -> bool:
    return lookup(layers, "error") not in (msgspec.UNSET, None, "", {})


def _holds(layers: list[dict[str, Any]], check: SuccessCheck) -> bool:
    for layer in layers:
        try:
            value = find(layer, check.path)
        except LookupError:
            continue
        return check.equals is msgspec.UNSET or _same(value, check.equals)
    return False


def _same(value: Any, wanted: Any) -> bool:
    # In Python 1 == True, in JSON not.
    return isinstance(value, bool) is isinstance(wanted, bool) and bool(value == wanted)


def _told(layers: list[dict[str, Any]]) -> Retryable | Permanent:
    error = lookup(layers, "error")
    code, said, retryable = "service_error", error, True
    if isinstance(error, dict):
        given = error.get("code")
        if isinstance(given, str) and given:
            code = given
        said = error.get("message", code)
        retryable = error.get("retryable", code not in FINAL) is not False
    if not isinstance(said, str) or not said:
        said = lookup(layers, "message")
    words = f": {said[:LONGEST]}" if isinstance(said, str) and said else ""
    message = f"the service answered with an error{words}"
    kind = Retryable if retryable else Permanent
    return kind(message, error_class=code[:100])


def _words(check: SuccessCheck) -> str:
    if check.equals is msgspec.UNSET:
        return check.path
    return f"{check.path} = {msgspec.json.encode(check.equals).decode()[:100]}"
