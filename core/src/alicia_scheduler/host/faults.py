"""What goes wrong in plugins: taken down on their records, and counted when it endangers others.

An *error* is something that concerns the plugin alone: an action that raised, a service that could
not be opened. A *fault* endangers the host or the other plugins: it held the loop, ignored its
cancellation, would not open or close, raised what nobody may raise, left tasks behind, or is a bug
of a part that should run all the time. A plugin with too many faults in a short time is quarantined
(:mod:`.quarantine`). A broker that is away is neither's business: parts are opened again with
back-off for as long as it takes.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime

import trio

from alicia_scheduler.host.record import PluginError, PluginRecord, one_line

__all__ = ["FAULT_LIMIT", "FAULT_WINDOW", "Faults", "PluginCrash", "is_bug", "is_foreign"]

logger = logging.getLogger(__name__)

FAULT_LIMIT = 5
"""Faults within :data:`FAULT_WINDOW` with which a plugin is quarantined."""

FAULT_WINDOW = 600.0
"""Seconds."""

_BUGS = (
    *(TypeError, AttributeError, NameError, LookupError, AssertionError, ArithmeticError),
    *(ImportError, NotImplementedError, RecursionError, StopIteration, StopAsyncIteration),
)
"""What only a mistake in a program raises, whatever the world outside is like."""


class PluginCrash(Exception):
    """Stands for something that a plugin raised and that is no ``Exception``, so that it ends
    there and not the host."""


def is_foreign(error: BaseException) -> bool:
    """True for what a plugin must not raise and the host must not let through: neither an
    ``Exception`` nor trio's cancellation nor the user's Ctrl-C, alone or in a group."""
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup((trio.Cancelled, KeyboardInterrupt)) is None and not isinstance(
            error, ExceptionGroup
        )
    return not isinstance(error, (Exception, trio.Cancelled, KeyboardInterrupt))


def is_bug(error: BaseException) -> bool:
    """True for an error that the plugin's own code is to blame for, whatever the world is like."""
    if isinstance(error, BaseExceptionGroup):
        return any(map(is_bug, error.exceptions))
    return isinstance(error, (*_BUGS, PluginCrash)) or is_foreign(error)


class Faults:
    """Keeps the accounts of plugins.

    Args:
        now: dates what goes wrong (aware UTC).
        elapsed: seconds that no setting of a clock changes; measures the window.

    Attributes:
        too_many: called with a plugin that has too many faults, and a sentence about the last one.
    """

    def __init__(
        self,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        elapsed: Callable[[], float] = trio.current_time,
    ) -> None:
        self.too_many: Callable[[PluginRecord, str], None] = lambda _plugin, _sentence: None
        self._now = now
        self._elapsed = elapsed
        self._limits: dict[str, int] = {}
        self._recent: dict[str, deque[float]] = {}

    def error(self, plugin: PluginRecord, kind: str, message: str) -> None:
        """Something of the plugin failed."""
        plugin.note(PluginError(self._now(), kind, one_line(message)))

    def fault(self, plugin: PluginRecord, kind: str, message: str) -> None:
        """The plugin did what endangers others."""
        self.error(plugin, kind, message)
        plugin.faults += 1
        now = self._elapsed()
        recent = self._recent.setdefault(plugin.name, deque(maxlen=FAULT_LIMIT))
        recent.append(now)
        limit = self._limits.get(plugin.name, FAULT_LIMIT)
        if sum(at > now - FAULT_WINDOW for at in recent) >= limit:
            recent.clear()
            logger.error("plugin %s: %d faults within %g s", plugin.name, limit, FAULT_WINDOW)
            self.too_many(plugin, one_line(message))

    def failed(self, plugin: PluginRecord, kind: str, error: BaseException, message: str) -> None:
        """A part that should run all the time failed with ``error``."""
        if is_bug(error):
            self.fault(plugin, kind, message)
        else:
            self.error(plugin, kind, message)

    def be_strict(self, name: str) -> None:
        """A plugin is back on probation: one fault is too many."""
        self._limits[name] = 1

    def be_lenient(self, name: str) -> None:
        """Its probation is over."""
        self._limits.pop(name, None)
