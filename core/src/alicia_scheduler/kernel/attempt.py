"""One attempt of an execution: run the action under its deadline and classify how it ended."""

from __future__ import annotations

import logging
import random
import traceback
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import trio

from alicia_scheduler.api.errors import Permanent, Retryable
from alicia_scheduler.api.model import EventExecution, ScheduledEvent, Status
from alicia_scheduler.kernel.prepared import Prepared, Types

__all__ = ["Outcome", "attempt", "retry_delay"]

logger = logging.getLogger(__name__)

RESULT_LIMIT = 64 * 1024
"""Bytes of JSON that a result may have in the history (reliability.md R52, R56)."""

ERROR_LIMIT = 4000
"""Characters of an error message that the history keeps."""

OUR_CODE = str(Path(__file__).parent.parent)


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended.

    Attributes:
        status: completed, failed or cancelled.
        retryable: whether another attempt may help.
        after: seconds that the far side asked to wait, if it did.
    """

    status: Status
    result: dict[str, Any] | None = None
    error: str | None = None
    reason: str | None = None
    retryable: bool = False
    after: float | None = None


async def attempt(
    types: Types,
    event: ScheduledEvent,
    prepared: Prepared,
    execution: EventExecution,
    scope: trio.CancelScope,
) -> Outcome:
    """Run the action once, inside ``scope``, whose deadline becomes the event's ``timeout``.

    Never raises, except for ``trio.Cancelled`` of a scope further out, ``KeyboardInterrupt`` and
    the like. The caller tells a time-out from a cancellation by what it did itself.
    """
    outcome = Outcome(Status.CANCELLED)
    deadline = trio.current_time() + event.timeout
    scope.deadline = deadline
    with scope:
        try:
            result = await types.run_action(prepared, execution)
            outcome = Outcome(Status.COMPLETED, result=_kept(result))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - it is the outcome
            outcome = _failure(error)
    outcome = replace(
        outcome, result=types.redact(outcome.result), error=types.redact(outcome.error)
    )
    if scope.cancelled_caught and trio.current_time() >= deadline:
        return Outcome(
            Status.FAILED,
            error=f"timed out after {event.timeout:g} s",
            reason="timeout",
            retryable=True,
        )
    return outcome


def retry_delay(event: ScheduledEvent, retry_count: int, after: float | None) -> float:
    """Seconds until the next attempt, ``retry_count`` retries having been made.

    min(retry_max_delay, retry_delay · retry_backoff^n), then ± the jitter fraction. A delay that
    the far side asked for stands in for it.
    """
    if after is not None:
        return max(0.0, after)
    try:
        delay = event.retry_delay * event.retry_backoff**retry_count
    except OverflowError:
        delay = event.retry_max_delay
    delay = min(event.retry_max_delay, delay)
    return max(0.0, delay * (1 + event.retry_jitter * random.uniform(-1, 1)))


def _failure(error: BaseException) -> Outcome:
    match error:
        case Retryable():
            return Outcome(
                Status.FAILED, error=_text(error), reason="error", retryable=True, after=error.after
            )
        case Permanent():
            return Outcome(Status.FAILED, error=_text(error), reason="permanent")
        case _:
            return Outcome(Status.FAILED, error=_trimmed(error), reason="exception", retryable=True)


def _text(error: BaseException) -> str:
    return (str(error) or type(error).__name__)[:ERROR_LIMIT]


def _trimmed(error: BaseException) -> str:
    """What was raised and where in the plugin, without the host's own frames."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(OUR_CODE)]
    summary = "".join(traceback.format_exception_only(error)).strip()
    place = "".join(traceback.format_list(own[-3:])).rstrip()
    return (f"{summary}\n{place}" if place else summary)[:ERROR_LIMIT]


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
