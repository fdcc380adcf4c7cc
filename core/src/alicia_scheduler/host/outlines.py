"""What each installed plugin offered when it was last imported, so that a start imports only what
is needed: ``outlines.json`` in the state directory.

An outline counts for exactly what is installed: when any distribution was installed, upgraded or
removed, when a file of the plugin is another one, or Python or this host is, the plugin is
imported once more at the next start. Only what is sound is remembered, so a plugin that is broken
is found to be so at every start.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from alicia_scheduler.api import API_VERSION
from alicia_scheduler.api.errors import ConfigError
from alicia_scheduler.config.convert import convert
from alicia_scheduler.host.discovery import Candidate
from alicia_scheduler.host.record import Outline, PluginRecord, PluginStatus, contract_name

__all__ = ["FILE", "Outlines"]

logger = logging.getLogger(__name__)

FILE = "outlines.json"

SIZE_LIMIT = 1024 * 1024
"""Bytes of the file; a larger one is none of ours."""

FILES_LIMIT = 1000
"""Files of a plugin that are looked at; one with more is always imported."""


class _Known(msgspec.Struct):
    """An outline and what it counts for."""

    state: str
    outline: Outline


class Outlines:
    """The content of the file.

    Args:
        state_dir: None knows nothing, so that every plugin is imported.
    """

    def __init__(self, state_dir: Path | None = None) -> None:
        self._path = None if state_dir is None else state_dir / FILE
        self._known = self._read()
        self._states: dict[str, str | None] = {}
        self._saved = dict(self._known)

    def of(self, candidate: Candidate) -> Outline | None:
        """What a plugin offers, if that is known of exactly what is installed."""
        known = self._known.get(_key(candidate))
        if known is None or known.state != self._state(candidate):
            return None
        return known.outline

    def learn(self, candidate: Candidate, record: PluginRecord) -> None:
        """Take down what a plugin offers that was just imported, or that nothing is known about it
        when it is not sound, or must be imported at each start."""
        outline, state = _outline(record), self._state(candidate)
        if outline is None or state is None:
            self._known.pop(_key(candidate), None)
        else:
            self._known[_key(candidate)] = _Known(state, outline)

    def save(self) -> None:
        """Write the file if anything has changed. Without it, or after a power cut, the next start
        imports everything; so nothing is forced to the disk."""
        if self._path is None:
            return
        # What was not asked for is not installed any more.
        self._known = {key: known for key, known in self._known.items() if key in self._states}
        if self._known == self._saved:
            return
        new = self._path.with_name(f"{FILE}.new")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            handle = os.open(new, flags, 0o600)
            with os.fdopen(handle, "wb") as stream:
                stream.write(msgspec.json.encode(self._known))
            new.replace(self._path)
        except OSError as error:
            logger.debug("%s cannot be written: %s", self._path, error)
        else:
            self._saved = dict(self._known)

    def _read(self) -> dict[str, _Known]:
        if self._path is None:
            return {}
        try:
            with self._path.open("rb") as stream:
                raw = stream.read(SIZE_LIMIT + 1)
            return msgspec.json.decode(raw, type=dict[str, _Known])
        except (OSError, msgspec.MsgspecError, ValueError, RecursionError):
            return {}

    def _state(self, candidate: Candidate) -> str | None:
        if self._path is None:
            return None
        key = _key(candidate)
        if key not in self._states:
            files = _files(candidate)
            parts = (sys.version, API_VERSION, candidate.environment, candidate.fingerprint, files)
            self._states[key] = None if files is None else f"{zlib.crc32(repr(parts).encode()):08x}"
        return self._states[key]


def _key(candidate: Candidate) -> str:
    return f"{candidate.name} {candidate.distribution} {candidate.version}"


def _outline(record: PluginRecord) -> Outline | None:
    if record.status is not PluginStatus.ACTIVE or not record.loaded or record.warnings:
        return None
    offered = record.contributions
    if offered.settings is not None:
        with suppress(ConfigError):
            convert({}, offered.settings)
            return _named(record)
        return None  # it insists on settings: somebody must be told
    return _named(record)


def _named(record: PluginRecord) -> Outline:
    contracts = (service.provides for service in record.contributions.services)
    return Outline(
        names=record.offered(),
        provides=[contract_name(contract) for contract in contracts if contract is not None],
        settings=record.contributions.settings is not None,
    )


def _files(candidate: Candidate) -> int | None:
    """A checksum of the names, sizes and times of a plugin's own files; None where these cannot
    be told. Also an editable installation is another one when its code was changed."""
    package = candidate.entry_point.value.partition(":")[0].split(".")[0].strip()
    try:
        spec = importlib.util.find_spec(package)
        if spec is None:
            return None
        folders = spec.submodule_search_locations
        paths = [Path(spec.origin or "")] if folders is None else [*_walk(folders)]
        found = [(str(path), (stat := path.stat()).st_size, stat.st_mtime_ns) for path in paths]
    except (ImportError, ValueError, OSError):
        return None
    return zlib.crc32(repr(sorted(found)).encode()) if len(found) < FILES_LIMIT else None


def _walk(folders: Iterable[str]) -> Iterator[Path]:
    left = FILES_LIMIT
    for folder in folders:
        for place, inner, names in os.walk(folder):
            inner[:] = [name for name in inner if name != "__pycache__"]
            for name in names:
                yield Path(place, name)
                left -= 1
                if left <= 0:
                    return
