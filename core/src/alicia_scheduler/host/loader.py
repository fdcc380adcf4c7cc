"""Loading plugins, each for itself: a record with a status and one plain sentence per plugin.

Pluggy's own entry-point loader stops at the first import error and skips a second distribution of
the same name in silence; this one does neither. All or nothing: a plugin either contributes
everything it offers or nothing at all.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from importlib import metadata

from alicia_scheduler.api import API_VERSION
from alicia_scheduler.api.descriptors import HostInfo
from alicia_scheduler.config.convert import convert
from alicia_scheduler.host.discovery import Candidate
from alicia_scheduler.host.known import is_first_party
from alicia_scheduler.host.loading import PATIENCE, load
from alicia_scheduler.host.outlines import Outlines
from alicia_scheduler.host.record import (
    Contributions,
    PluginError,
    PluginRecord,
    PluginStatus,
)

__all__ = [
    "Contributions",
    "LeftOut",
    "PluginError",
    "PluginRecord",
    "PluginStatus",
    "find_conflicts",
    "host_info",
    "load_plugin",
    "load_plugins",
]

Watch = Callable[[str | None], None]
"""Told the name of the plugin that is being imported, and None when none is any more."""


@dataclass(frozen=True)
class LeftOut:
    """Why a plugin is not even imported.

    Attributes:
        status: ``disabled`` or ``quarantined``.
        reason: one plain sentence.
    """

    status: PluginStatus
    reason: str


@cache
def host_info() -> HostInfo:
    """What hooks are told about this host."""
    return HostInfo(version=metadata.version("alicia-scheduler"), api_version=API_VERSION)


def load_plugins(
    candidates: Iterable[Candidate],
    *,
    disabled: Collection[str] = (),
    left_out: Callable[[str, str], LeftOut | None] = lambda _name, _distribution: None,
    patience: float = PATIENCE,
    watch: Watch = lambda _name: None,
    outlines: Outlines | None = None,
) -> list[PluginRecord]:
    """Load every candidate that may be loaded; never raises for what a plugin does.

    Args:
        disabled: names that the configuration switches off.
        left_out: says of a plugin, by name and distribution, why it is not to be imported.
        patience: seconds that importing one plugin and asking its hooks may take.
        watch: told what is being imported.
        outlines: what is known of plugins; one that is known is imported when something needs it.
            None imports all of them now.
    """
    candidates = list(candidates)
    conflicts = find_conflicts(candidates)
    off = LeftOut(PluginStatus.DISABLED, "it is disabled in the configuration")
    return [
        load_plugin(
            each,
            left_out=off if each.name in disabled else left_out(each.name, each.distribution),
            conflict=conflicts.get((each.name, each.distribution)),
            patience=patience,
            watch=watch,
            outlines=outlines,
        )
        for each in candidates
    ]


def find_conflicts(candidates: Iterable[Candidate]) -> dict[tuple[str, str], str]:
    """A sentence for each candidate, by name and distribution, whose name another claims too.

    Nobody can say which of them is meant, so none is loaded; except that Alicia's own
    distributions always win, as no stranger may take a name from them.
    """
    claims: dict[str, list[Candidate]] = defaultdict(list)
    for candidate in candidates:
        claims[candidate.name].append(candidate)
    conflicts = {}
    for name, claimants in claims.items():
        own = [each.distribution for each in claimants if is_first_party(each.distribution)]
        for candidate in claimants:
            others = sorted(each.distribution for each in claimants if each is not candidate)
            if not others or own == [candidate.distribution]:
                continue
            if own:
                sentence = f"the name {name!r} belongs to {own[0]}: uninstall this one"
            else:
                sentence = f"{' and '.join(others)} claims the name {name!r} too: uninstall one"
            conflicts[name, candidate.distribution] = sentence
    return conflicts


def load_plugin(
    candidate: Candidate,
    *,
    left_out: LeftOut | None = None,
    conflict: str | None = None,
    patience: float = PATIENCE,
    watch: Watch = lambda _name: None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    outlines: Outlines | None = None,
) -> PluginRecord:
    """Load one candidate, if it may be loaded; never raises for what the plugin does. Blocking.

    Args:
        left_out: why it is not to be imported, if it is not.
        conflict: why its name cannot be given to it, if it cannot.
        now: dates what goes wrong.
    """
    record = PluginRecord(
        candidate.name,
        candidate.distribution,
        candidate.version,
        package=candidate.entry_point.value.partition(":")[0].split(".")[0].strip(),
        fingerprint=candidate.fingerprint,
    )
    needs, here = (candidate.api_major, candidate.api_minor), API_VERSION
    if left_out is not None:
        record.stand(left_out.status, left_out.reason)
    elif needs[0] != here[0]:
        record.stand(
            PluginStatus.INCOMPATIBLE,
            f"it is written for API {needs[0]}; this host has API {here[0]}.{here[1]}: "
            + _other_version(needs[0] > here[0]),
        )
    elif needs > here:
        record.stand(
            PluginStatus.INCOMPATIBLE,
            f"it needs API {needs[0]}.{needs[1]}; this host has API {here[0]}.{here[1]}: "
            + _other_version(True),
        )
    elif conflict is not None:
        record.stand(PluginStatus.CONFLICT, conflict)
    else:
        record.importing = partial(_import, candidate, record, patience, watch, now, outlines)
        record.outline = outlines.of(candidate) if outlines is not None else None
        if record.outline is None:
            record.importing()
    return record


def _import(
    candidate: Candidate,
    record: PluginRecord,
    patience: float,
    watch: Watch,
    now: Callable[[], datetime],
    outlines: Outlines | None,
) -> None:
    waited = record.outline is not None
    watch(candidate.name)
    load(candidate, record, host_info(), patience=patience, now=now)
    watch(None)
    record.outline = record.importing = None
    if waited and record.contributions.settings is not None:
        # None are given, or it had been imported to check them.
        record.settings = convert({}, record.contributions.settings)
    if outlines is not None:
        outlines.learn(candidate, record)


def _other_version(newer: bool) -> str:
    if newer:
        return "pip install --upgrade alicia-scheduler"
    return "ask for a version of it that is written for this host"
