"""Verbs that plugins bring by the hook ``alicia_commands``.

They are looked for when a verb is none of Alicia's own, for ``alicia --help``, and for a shell's
completion. Only plugins whose code mentions the hook are imported for that: all others cost
nothing, and none can stand in the way of a verb of Alicia's.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from alicia_scheduler.host.discovery import Candidate, find_candidates

__all__ = ["Verb", "Verbs", "plugin_verbs"]

HOOK = b"alicia_commands"
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")

FILES = 500
"""Files of a plugin that are searched for the hook; one that has more is asked for its verbs."""


@dataclass(frozen=True)
class Verb:
    """A verb and the plugin that brings it."""

    command: click.Command
    plugin: str


@dataclass(frozen=True)
class Verbs:
    """What the installed plugins bring.

    Attributes:
        found: the verbs by name.
        refused: a sentence for each that is left out, because its name is another's or is none.
        absent: a sentence for each plugin with verbs that cannot be used.
    """

    found: dict[str, Verb]
    refused: list[str]
    absent: list[str]


@functools.cache
def plugin_verbs(own: Collection[str]) -> Verbs:
    """The verbs of the plugins that are installed and not left alone in the state directory.

    Args:
        own: names that are Alicia's and stay so.
    """
    verbs = Verbs({}, [], [])
    asked = [candidate for candidate in _strangers() if _mentions_hook(candidate)]
    if not asked:
        return verbs
    from datetime import UTC, datetime

    from alicia_scheduler.host.loader import load_plugins
    from alicia_scheduler.host.quarantine import Absence
    from alicia_scheduler.host.remembered import Remembered

    remembered = Remembered(Path(os.environ.get("ALICIA_STATE_DIR") or "state"))
    absence = Absence(
        disabled=remembered.disabled, quarantined=remembered.quarantined, now=datetime.now(UTC)
    )
    for record in load_plugins(asked, left_out=absence):
        if not record.in_use:
            verbs.absent.append(f"plugin {record.name} is {record.status.value}: {record.reason}")
        for command in record.contributions.commands:
            problem = _problem(command.name, own, verbs.found)
            if problem is not None:
                verbs.refused.append(f"plugin {record.name}: {problem}")
            elif command.name is not None:
                verbs.found[command.name] = Verb(command, record.name)
    return verbs


def _strangers() -> list[Candidate]:
    """The installed plugins but Alicia's own, which bring no verbs. Where there are none, which is
    the usual case, the other distributions are not even looked at."""
    from importlib import metadata

    from alicia_scheduler.host.discovery import GROUP
    from alicia_scheduler.host.known import is_first_party

    try:
        points = metadata.entry_points()
        offers = [
            point
            for group in points.groups
            if group.startswith(GROUP)
            for point in points.select(group=group)
        ]
        if all(point.dist is not None and is_first_party(point.dist.name) for point in offers):
            return []
    except Exception:  # noqa: BLE001, S110 - a half-removed distribution raises anything
        pass
    return [each for each in find_candidates() if not is_first_party(each.distribution)]


def _problem(name: str | None, own: Collection[str], found: dict[str, Verb]) -> str | None:
    """Why a plugin's verb cannot be called so, if it cannot."""
    if name is None or NAME.fullmatch(name) is None:
        return f"{name!r} cannot be a verb: lower-case letters, digits and -, from a letter on"
    if name in own:
        return f"the verb {name!r} is Alicia's own"
    if name in found:
        return f"the verb {name!r} is already that of plugin {found[name].plugin}"
    return None


def _mentions_hook(candidate: Candidate) -> bool:
    """Whether a plugin may bring verbs, found without importing it: True also where its code cannot
    be read."""
    from importlib.util import find_spec

    try:
        spec = find_spec(candidate.entry_point.module.partition(".")[0])
        if spec is None:
            return True
        places = spec.submodule_search_locations or [spec.origin or ""]
        return any(HOOK in path.read_bytes() for path in _files(places))
    except Exception:  # noqa: BLE001 - importing it will say what is wrong
        return True


def _files(places: Collection[str]) -> Iterator[Path]:
    count = 0
    for place in map(Path, places):
        for path in place.rglob("*.py") if place.is_dir() else [place]:
            count += 1
            if count > FILES:
                raise LookupError("too many files")
            yield path
