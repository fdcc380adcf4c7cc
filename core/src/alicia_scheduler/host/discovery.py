"""Which plugins are installed: entry points, read without importing anything."""

from __future__ import annotations

import importlib
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata

from alicia_scheduler.host.pathfiles import follow_path_files

__all__ = ["GROUP", "Candidate", "find_candidates", "missing_requirements"]

GROUP = "alicia_scheduler.plugins"
"""The entry-point group. A plugin for another API major writes it with a suffix, ``….v2``, and one
that needs a certain minor with two, ``….v1.3``."""


@dataclass(frozen=True)
class Candidate:
    """An installed distribution's offer of a plugin.

    Attributes:
        api_major: the API major the plugin was written for, from its entry-point group.
        api_minor: the lowest minor of it that the plugin needs, likewise.
        fingerprint: of the list of its installed files; 0 where there is none.
        environment: a checksum of the names and versions of all that is installed beside it.
    """

    name: str
    distribution: str
    version: str
    api_major: int
    entry_point: metadata.EntryPoint
    api_minor: int = 0
    fingerprint: int = 0
    environment: int = 0


def find_candidates(
    distributions: Iterable[metadata.Distribution] | None = None,
) -> list[Candidate]:
    """Every candidate that is installed at this moment, ordered by name and then by distribution,
    so that no file system or order of installation decides anything.

    A distribution that is installed twice on the path counts once, as Python imports it: the
    first wins. Metadata that cannot be read is passed over.
    """
    if distributions is None:
        # What pip installed beside this process is not in Python's memory of its folders, and
        # where an editable install is, Python looks up only once.
        follow_path_files()
        importlib.invalidate_caches()
        distributions = metadata.distributions()
    found: dict[tuple[str, str], Candidate] = {}
    distributions = list(distributions)
    environment = zlib.crc32(repr([_folder(each) for each in distributions]).encode())
    for distribution in distributions:
        try:
            # Most are no plugins, and their metadata, which takes time to read, tells nothing.
            if GROUP not in (distribution.read_text("entry_points.txt") or GROUP):
                continue
            entry_points = distribution.entry_points
            if not any(entry_point.group.startswith(GROUP) for entry_point in entry_points):
                continue
            name, version = distribution.metadata["Name"], distribution.version
        except Exception:  # noqa: BLE001, S112 - a half-removed distribution raises anything
            continue
        for entry_point in entry_points:
            api = _api_version(entry_point.group)
            if name and api is not None and (entry_point.name, name) not in found:
                found[entry_point.name, name] = Candidate(
                    entry_point.name,
                    name,
                    version,
                    api[0],
                    entry_point,
                    api_minor=api[1],
                    fingerprint=_fingerprint(distribution),
                    environment=environment,
                )
    return [found[key] for key in sorted(found)]


def missing_requirements(distribution: str) -> list[str]:
    """The distributions that an installed one requires and that are not installed. Versions are
    pip's business, and what only an extra requires is left out."""
    try:
        required = metadata.requires(distribution) or []
    except Exception:  # noqa: BLE001 - a half-removed distribution raises anything
        return []
    missing = []
    for requirement in required:
        name = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", requirement)
        # A marker (another platform, an extra) may say that it is not wanted here.
        if name is None or ";" in requirement:
            continue
        try:
            metadata.distribution(name[1])
        except metadata.PackageNotFoundError:
            missing.append(name[1])
        except Exception:  # noqa: BLE001, S112 - it is there, in whatever state
            continue
    return missing


def _api_version(group: str) -> tuple[int, int] | None:
    if group == GROUP:
        return 1, 0
    match = re.fullmatch(re.escape(GROUP) + r"\.v([0-9]{1,3})(?:\.([0-9]{1,3}))?", group)
    return (int(match[1]), int(match[2] or 0)) if match else None


def _folder(distribution: metadata.Distribution) -> str:
    """Where its metadata is. The folder is called by its name and version."""
    return str(getattr(distribution, "_path", ""))


def _fingerprint(distribution: metadata.Distribution) -> int:
    try:
        return zlib.crc32((distribution.read_text("RECORD") or "").encode())
    except Exception:  # noqa: BLE001 - a half-removed distribution raises anything
        return 0
