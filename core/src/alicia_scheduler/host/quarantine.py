"""For how long a plugin with too many faults is left alone, and who is left out at a start."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

from alicia_scheduler.host.known import is_first_party
from alicia_scheduler.host.loader import LeftOut, PluginStatus
from alicia_scheduler.host.remembered import FailedStarts, Quarantine

__all__ = [
    "ALL",
    "FAILED_STARTS",
    "STEADY",
    "Absence",
    "longer",
    "quarantine_sentence",
    "safe_mode_sentence",
]

FIRST = 300.0
"""Seconds of a first quarantine. Each further one is twice as long."""

LONGEST = 86_400.0
"""Seconds of a quarantine at the most."""

FAILED_STARTS = 3
"""Starts in a row, within one boot of the machine, that came to nothing; after them the next one is
in safe mode."""

STEADY = 60.0
"""Seconds that the schedule must have run for the start to count as good."""

ALL = "*"
"""Stands for every plugin that is not Alicia's own."""


def longer(before: Quarantine | None, reason: str, now: datetime) -> Quarantine:
    """The quarantine that follows ``before``: twice as long, unless the plugin has behaved for as
    long as that one was since its release."""
    times, seconds = 1, FIRST
    if before is not None:
        behaved = now.timestamp() - (before.released or now.timestamp())
        if behaved <= max(before.seconds, STEADY):
            times = before.times + 1
            seconds = min(LONGEST, before.seconds * 2)
    return Quarantine(now.timestamp(), seconds, times, reason)


def quarantine_sentence(quarantine: Quarantine, now: datetime) -> str:
    """Why a plugin is quarantined, and until when."""
    until = datetime.fromtimestamp(now.timestamp() + quarantine.left(now.timestamp()), UTC)
    return (
        f"too many faults ({quarantine.reason}); it is tried again at "
        f"{until.isoformat(sep=' ', timespec='seconds')}, or by: alicia plugins enable"
    )


def safe_mode_sentence(starts: FailedStarts) -> str | None:
    """Why the host starts in safe mode, or None when it does not.

    Args:
        starts: those before the one that begins.
    """
    if starts.count < FAILED_STARTS:
        return None
    culprits = set(starts.importing[-FAILED_STARTS:])
    during = ""
    if len(culprits) == 1 and (name := culprits.pop()):
        during = f", each while the plugin {name} was imported"
    return f"safe mode: the last {starts.count} starts of the host came to nothing{during}"


def culprit_of(starts: FailedStarts) -> str | None:
    """The plugin that was being imported when each of the last starts ended, if it is one."""
    last = starts.importing[-FAILED_STARTS:]
    return last[0] if len(last) == FAILED_STARTS and len(set(last)) == 1 and last[0] else None


class Absence:
    """Decides who is left out when a host starts, and says why.

    Args:
        disabled: names that were disabled by command.
        quarantined: quarantines by name.
        starts: the failed starts before this one.
        without: names given to ``--no-plugins``; :data:`ALL` for every plugin but Alicia's own.
        now: the instant (aware UTC).
    """

    def __init__(
        self,
        *,
        disabled: Collection[str] = (),
        quarantined: dict[str, Quarantine] | None = None,
        starts: FailedStarts | None = None,
        without: Collection[str] = (),
        now: datetime,
    ) -> None:
        self._disabled = disabled
        self._quarantined = quarantined or {}
        self._without = without
        self._now = now
        before = starts or FailedStarts()
        self.safe_mode = safe_mode_sentence(before)
        self._culprit = culprit_of(before)

    def __call__(self, name: str, distribution: str) -> LeftOut | None:
        stranger = not is_first_party(distribution)
        if name in self._without or (stranger and ALL in self._without):
            return LeftOut(PluginStatus.DISABLED, "it is left out by --no-plugins")
        if self.safe_mode is not None and self._left_out_for_safety(name, stranger):
            again = "restart the host to try it again"
            return LeftOut(PluginStatus.DISABLED, f"{self.safe_mode}; {again}")
        if name in self._disabled:
            enable = f"alicia plugins enable {name}"
            return LeftOut(PluginStatus.DISABLED, f"it was disabled by command; {enable}")
        quarantine = self._quarantined.get(name)
        if quarantine is not None and quarantine.left(self._now.timestamp()) > 0:
            sentence = quarantine_sentence(quarantine, self._now)
            return LeftOut(PluginStatus.QUARANTINED, f"{sentence} {name}")
        return None

    def _left_out_for_safety(self, name: str, stranger: bool) -> bool:
        """All plugins but Alicia's own; or the one alone that every failed start ended in."""
        return stranger if self._culprit is None else name == self._culprit
