"""Time zones by name: IANA names and nothing else."""

from __future__ import annotations

import difflib
import re
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from alicia_scheduler.api.errors import ConfigError

__all__ = ["load_timezone"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*")
_ABBREVIATION = re.compile(r"[A-Z]{3,5}")
_OFFSET = re.compile(r"(UTC|GMT|Z)?[+-]?\d.*", re.IGNORECASE)

# Files beside the zones in /usr/share/zoneinfo: the machine's own zone under another name, and
# copies that count leap seconds.
_NOT_ZONES = ("localtime", "posixrules", "posix/", "right/")


def load_timezone(name: object) -> ZoneInfo:
    """The time zone with an IANA name, e.g. ``Europe/Berlin`` or ``UTC``.

    ``name`` is an ``object`` because it comes straight from a configuration.

    Raises:
        ConfigError: it is not text, or no zone has this name. So abbreviations (``CEST``),
            offsets (``UTC+2``) and paths are refused. The hint has the nearest name.
    """
    if not isinstance(name, str):
        raise ConfigError(
            f"a time zone is a name in quotes, not {_shown(name)}",
            hint='write timezone = "Europe/Berlin" (or yours)',
        )
    if _NAME.fullmatch(name) and not name.startswith(_NOT_ZONES):
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass  # zone files refuse a name in several ways; people get one error
    raise ConfigError(f"unknown time zone {_shown(name)}", hint=_hint(name))


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _hint(name: str) -> str:
    """What to write instead of a name that no zone has."""
    if _OFFSET.fullmatch(name):
        return "an offset is not a time zone: write the name of a place, such as 'Europe/Berlin'"
    if _ABBREVIATION.fullmatch(name):
        return "no such abbreviation: write the name of a place, such as 'Europe/Berlin'"
    near = _nearest(name)
    return f"did you mean {near!r}?" if near else "write an IANA name such as 'Europe/Berlin'"


def _nearest(name: str) -> str | None:
    """The known zone whose name, or whose place alone, is most like ``name``."""
    names_by_spelling: dict[str, str] = {}
    for known in sorted(available_timezones(), reverse=True):
        if not known.startswith(_NOT_ZONES):
            place = known.rpartition("/")[2]
            names_by_spelling[place.casefold()] = known
            names_by_spelling[known.casefold()] = known
    spelling = name[:64].casefold().replace(" ", "_")
    near = difflib.get_close_matches(spelling, names_by_spelling, n=1, cutoff=0.75)
    return names_by_spelling[near[0]] if near else None
