"""Which plugins are installed: entry points, read without importing anything."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata

__all__ = ["GROUP", "Candidate", "find_candidates"]

GROUP = "alicia_scheduler.plugins"
"""The entry-point group. A plugin for another API major writes it with a suffix: ``….v2``."""


@dataclass(frozen=True)
class Candidate:
    """An installed distribution's offer of a plugin.

    Attributes:
        api_major: the API major the plugin was written for, from its entry-point group.
    """

    name: str
    distribution: str
    version: str
    api_major: int
    entry_point: metadata.EntryPoint


def find_candidates(
    distributions: Iterable[metadata.Distribution] | None = None,
) -> list[Candidate]:
    """Every candidate that is installed, ordered by name and then by distribution, so that no
    file system or order of installation decides anything.

    A distribution that is installed twice on the path counts once, as Python imports it: the
    first wins. Metadata that cannot be read is passed over.
    """
    found: dict[tuple[str, str], Candidate] = {}
    for distribution in distributions if distributions is not None else metadata.distributions():
        try:
            name, version = distribution.metadata["Name"], distribution.version
            entry_points = distribution.entry_points
        except Exception:  # noqa: BLE001, S112 - a half-removed distribution raises anything
            continue
        for entry_point in entry_points:
            major = _api_major(entry_point.group)
            if name and major is not None:
                candidate = Candidate(entry_point.name, name, version, major, entry_point)
                found.setdefault((entry_point.name, name), candidate)
    return [found[key] for key in sorted(found)]


def _api_major(group: str) -> int | None:
    if group == GROUP:
        return 1
    match = re.fullmatch(re.escape(GROUP) + r"\.v([0-9]{1,3})", group)
    return int(match[1]) if match else None
