"""How long to wait before the next attempt to connect."""

from __future__ import annotations

import random

__all__ = ["Backoff"]

FIRST = 1.0
LONGEST = 60.0
STABLE_AFTER = 60.0
"""Seconds a connection has to hold until the past is forgotten."""


class Backoff:
    """Full jitter: each delay is uniform in [0, min(60 s, 1 s · 2^n)).

    A whole house that comes back after a power cut thus does not knock at one instant. (AWS
    Architecture Blog, "Exponential Backoff and Jitter".)
    """

    def __init__(self, rng: random.Random | None = None) -> None:
        self._rng = rng or random.Random()
        self._failures = 0

    def delay(self) -> float:
        """Seconds to wait now; each call counts one failure more."""
        # 2^6 s is beyond the longest already; a larger exponent would only overflow one day.
        ceiling = min(LONGEST, FIRST * 2.0 ** min(self._failures, 6))
        self._failures += 1
        return self._rng.uniform(0.0, ceiling)

    def held(self, seconds: float) -> None:
        """Note that a connection lasted ``seconds``; a stable one forgets the failures."""
        if seconds >= STABLE_AFTER:
            self._failures = 0
