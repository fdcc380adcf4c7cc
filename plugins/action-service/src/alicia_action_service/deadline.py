"""How long an attempt may wait for an answer, so that it can still say itself that none came."""

from __future__ import annotations

import trio

__all__ = ["answer_deadline"]

LAST_WORD = 0.5
"""Seconds before the end of the attempt at which it stops to wait, or a tenth of what is left."""


def answer_deadline(timeout: float) -> float:
    """The instant, on trio's clock, until which to wait: after ``timeout`` seconds, but a little
    before the attempt is cancelled. Who is cancelled cannot say what is known about the call, and
    the host would take it for one that may be repeated."""
    now = trio.current_time()
    left = trio.current_effective_deadline() - now
    return now + max(0.0, min(timeout, left - min(LAST_WORD, left * 0.1)))
