"""Noticing that the time zone data changed: rules move by decree, sometimes within days.

Next slots are found from the rules; when these change, the slots are found anew. That happens at
start, compared with what was last used, and once a day while the host runs, because a system
updates its data without restarting anybody.
"""

from __future__ import annotations

import logging
import zoneinfo
from pathlib import Path

import trio

from alicia_scheduler.api.store import SaveFact
from alicia_scheduler.kernel.kernel import Kernel
from alicia_scheduler.kernel.replan import replan_calendars

__all__ = ["follow_zone_data", "zone_data_version"]

logger = logging.getLogger(__name__)

FACT = "zone_data"
LOOK_EVERY = 24 * 3600.0
"""Seconds between two looks at the files."""


def zone_data_version() -> str:
    """What identifies the zone data in use: the release where the system says it, else the date
    of its files, else the release of the package ``tzdata``."""
    for folder in map(Path, zoneinfo.TZPATH):
        for name in ("tzdata.zi", "+VERSION"):
            try:
                with (folder / name).open("rb") as file:
                    return file.readline(200).decode("ascii", "replace").strip("# \n")
            except OSError:
                continue
        if (folder / "UTC").exists():
            return f"files of {folder.stat().st_mtime:.0f}"
    try:
        import tzdata
    except ImportError:
        return "none"
    return f"package {tzdata.IANA_VERSION}"


async def follow_zone_data(kernel: Kernel) -> None:
    """Re-plan when the zone data is not what it was, now and from then on, until cancelled."""
    while True:
        version = await trio.to_thread.run_sync(zone_data_version)
        facts = await kernel.records.insist(kernel.store.facts)
        known = facts.get(FACT) if facts is not None else version
        if version != known:
            if known is not None:
                logger.warning("time zone data changed from %s to %s", known, version)
                zoneinfo.ZoneInfo.clear_cache()
                await replan_calendars(kernel, f"time zone data changed to {version}")
            await kernel.records.keep([SaveFact(FACT, version)])
        await trio.sleep(LOOK_EVERY)
