"""Holding the calendar back while the machine does not know what day it is.

A board without a clock of its own boots in 1970, or where it was switched off, until NTP answers.
Intervals need no calendar and run; slots of the calendar wait at this gate, for a bounded time.
"""

from __future__ import annotations

import logging

import trio

from alicia_scheduler.api.store import Due
from alicia_scheduler.kernel.agenda import Agenda
from alicia_scheduler.kernel.clock import Clock
from alicia_scheduler.kernel.notifications import Notifier

__all__ = ["ClockGate"]

logger = logging.getLogger(__name__)

LOOK_EVERY = 1.0
"""Seconds between two looks whether the clock has become right; only while the gate holds."""


class ClockGate:
    """Holds due slots of the calendar until the clock is trusted or the wait is over."""

    def __init__(self, clock: Clock, notifier: Notifier) -> None:
        self.holding = False
        self._clock = clock
        self._notifier = notifier
        self._held: list[Due] = []
        self._scope = trio.CancelScope()

    def hold(self, due: Due) -> None:
        """Keep a due slot until the gate opens."""
        self._held.append(due)

    def close(self) -> None:
        """End :meth:`watch`; what is held stays in the store for the next start."""
        self._scope.cancel()

    async def watch(self, wait: float, agenda: Agenda) -> None:
        """Hold for up to ``wait`` seconds if the clock is not trusted, then put what was held on
        the agenda. Says what it waits for, and how that ended."""
        if wait <= 0 or self._clock.trusted():
            return
        self.holding = True
        self._tell(
            f"the clock is not synchronised; calendar events wait for it up to {wait:g} s, "
            "intervals run"
        )
        with self._scope:
            give_up = self._clock.elapsed() + wait
            # Nothing tells when the clock has become right, so this looks, for a bounded time.
            while not self._clock.trusted() and self._clock.elapsed() < give_up:  # noqa: ASYNC110
                await trio.sleep(LOOK_EVERY)
            self.holding = False
            if self._clock.trusted():
                self._tell("the clock is synchronised; calendar events run")
            else:
                self._tell(f"the clock is not synchronised after {wait:g} s; going on with it")
            for due in self._held:
                agenda.put(due)
            self._held.clear()

    def _tell(self, message: str) -> None:
        logger.warning("%s", message)
        self._notifier.emit("clock_waiting", {"message": message, "holding": self.holding})
