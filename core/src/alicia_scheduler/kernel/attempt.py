"""One attempt of an execution: run the action under its deadline and classify how it ended."""

from __future__ import annotations

import logging
import math
import random
import traceback
from pathlib import Path
from typing import Any

import msgspec
import trio
from msgspec.structs import replace

from alicia_scheduler.api.errors import CalledOff, Permanent, Retryable
from alicia_scheduler.api.model import EventExecution, ScheduledEvent, Status
from alicia_scheduler.kernel.prepared import Prepared, Types

__all__ = ["AFTER_LIMIT", "Outcome", "attempt", "retry_delay", "time_limit"]

logger = logging.getLogger(__name__)

RESULT_LIMIT = 64 * 1024
"""Bytes of JSON that a result may have in the history (reliability.md R52, R56)."""

AFTER_LIMIT = 7 * 86_400.0
"""Seconds that a far side may ask to wait for at the most; a longer wait counts as this one."""

ERROR_LIMIT = 4000
"""Characters of an error message that the history keeps."""

CLASS_LIMIT = 100
"""Characters of an error's class."""

_NOT_OURS = (trio.Cancelled, KeyboardInterrupt)
"""What must travel on: it is meant for somebody further out."""

OUR_CODE = str(Path(__file__).parent.parent)


class Outcome(msgspec.Struct, frozen=True):
    """How an attempt ended.

    Attributes:
        status: completed, failed or cancelled.
        retryable: whether another attempt may help.
        after: seconds that the far side asked to wait, if it did.
        error_class: a stable word for the kind of failure: what the action gave, ``timeout``,
            ``stuck``, or the name of the exception's class.
    """

    status: Status
    result: dict[str, Any] | None = None
    error: str | None = None
    reason: str | None = None
    retryable: bool = False
    after: float | None = None
    error_class: str | None = None


def time_limit(event: ScheduledEvent) -> trio.CancelScope:
    """The scope for an attempt that begins now; its deadline is that of the event's ``timeout``."""
    return trio.CancelScope(deadline=trio.current_time() + event.timeout)


async def attempt(
    types: Types,
    event: ScheduledEvent,
    prepared: Prepared,
    execution: EventExecution,
    scope: trio.CancelScope,
) -> Outcome:
    """Run the action once, inside ``scope``, which is :func:`time_limit`'s.

    Never raises, except for ``trio.Cancelled`` of a scope further out, ``KeyboardInterrupt`` and
    the like. The caller tells a time-out from a cancellation by what it did itself.
    """
    outcome = Outcome(Status.CANCELLED)
    try:
        with scope:
            try:
                result = await types.run_action(prepared, execution)
                outcome = Outcome(Status.COMPLETED, result=_kept(result))
            except (Exception, SystemExit) as error:  # noqa: BLE001 - it is the outcome
                outcome = _failure(error)
    except BaseException as error:
        # What a nursery of the action's own raised beside the cancellation that the scope caught.
        if not isinstance(error, BaseExceptionGroup) or error.subgroup(_NOT_OURS):
            raise
        outcome = _failure(error)
    if outcome.result is not None or outcome.error is not None:
        outcome = replace(
            outcome,
            result=types.redact(outcome.result),
            error=_cut(types.redact(outcome.error)),
            error_class=types.redact(outcome.error_class),
        )
    if outcome.status is Status.COMPLETED or trio.current_time() < scope.deadline:
        return outcome
    said = f": {outcome.error}" if outcome.error else ""
    return Outcome(
        Status.FAILED,
        error=f"timed out after {event.timeout:g} s{said}"[:ERROR_LIMIT],
        reason="timeout",
        error_class="timeout",
        retryable=True,
    )


def retry_delay(event: ScheduledEvent, retry_count: int, after: float | None) -> float:
    """Seconds until the next attempt, ``retry_count`` retries having been made.

    min(retry_max_delay, retry_delay · retry_backoff^n), then ± the jitter fraction. A delay that
    the far side asked for stands in for it, up to :data:`AFTER_LIMIT`.
    """
    if after is not None and not math.isnan(after):
        return min(max(0.0, after), AFTER_LIMIT)
    try:
        delay = event.retry_delay * event.retry_backoff**retry_count
    except OverflowError:
        delay = event.retry_max_delay
    delay = min(event.retry_max_delay, delay)
    return max(0.0, delay * (1 + event.retry_jitter * random.uniform(-1, 1)))


def _failure(error: BaseException) -> Outcome:
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        # What a nursery of the action's own has wrapped.
        error = error.exceptions[0]
    match error:
        case Retryable():
            return Outcome(
                Status.FAILED,
                error=_text(error),
                reason="error",
                error_class=_class_of(error),
                retryable=True,
                after=_seconds(getattr(error, "after", None)),
                result=_kept(getattr(error, "result", None)),
            )
        case Permanent():
            return Outcome(
                Status.FAILED,
                error=_text(error),
                reason="permanent",
                error_class=_class_of(error),
                result=_kept(getattr(error, "result", None)),
            )
        case CalledOff():
            return Outcome(
                Status.CANCELLED,
                error=_text(error),
                reason="called_off",
                result=_kept(getattr(error, "result", None)),
            )
        case _:
            return Outcome(
                Status.FAILED,
                error=_storable(_trimmed(error))[: 2 * ERROR_LIMIT],
                reason="exception",
                error_class=_storable(type(error).__name__)[:CLASS_LIMIT],
                retryable=True,
            )


def _class_of(error: Retryable | Permanent) -> str:
    """The class that a plugin gave, whatever it gave: a subclass may have forgotten ours."""
    return _storable(getattr(error, "error_class", type(error).__name__))[:CLASS_LIMIT]


def _seconds(value: object) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None


def _text(error: BaseException) -> str:
    return (_storable(error) or type(error).__name__)[: 2 * ERROR_LIMIT]


def _cut(error: str | None) -> str | None:
    """An error message as the history keeps it. It has had no secrets before it is cut: a part of
    one may not be recognised."""
    return None if error is None else error[:ERROR_LIMIT]


def _storable(value: object) -> str:
    """``str(value)`` as text that every store takes."""
    try:
        text = str(value)
    except Exception:  # noqa: BLE001 - a plugin's __str__ may raise anything
        text = f"a {type(value).__name__} that has no text"
    return text.encode(errors="replace").decode()


def _trimmed(error: BaseException) -> str:
    """What was raised and where in the plugin, without the host's own frames."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(OUR_CODE)]
    summary = "".join(traceback.format_exception_only(error)).strip()
    place = "".join(traceback.format_list(own[-3:])).rstrip()
    return f"{summary}\n{place}" if place else summary


def _kept(result: object | None) -> dict[str, Any] | None:
    """The result as the history keeps it: a JSON object of bounded size."""
    if result is None:
        return None
    try:
        encoded = msgspec.json.encode(result)
    except Exception as error:  # noqa: BLE001 - a plugin's __repr__ or enc hook may raise anything
        return {"note": f"the result has no JSON form: {error}"[:ERROR_LIMIT]}
    if len(encoded) > RESULT_LIMIT:
        return {
            "note": f"the result had {len(encoded)} bytes and was cut",
            "head": encoded[: RESULT_LIMIT // 2].decode(errors="replace"),
        }
    decoded = msgspec.json.decode(encoded)
    return decoded if isinstance(decoded, dict) else {"value": decoded}
