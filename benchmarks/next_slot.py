"""Next slot: how long it takes to find the next slot of a crontab expression.

Twenty expressions in four zones whose clocks change, each walked over some hundreds of slots, so
over a change of the clock wherever that is on the way. Every peer gets the expression in its own
spelling and the zone in its own way; croniter and cronsim are walked by their own iterators. The
processor's time is measured, as nothing here waits.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from benchmarks.measurement import Figures, measurement

if TYPE_CHECKING:
    from alicia_scheduler.api import Schedule

EXPRESSIONS = (
    "* * * * *",
    "*/5 * * * *",
    "*/15 8-18 * * mon-fri",
    "0 * * * *",
    "5,35 */2 * * *",
    "30 6 * * *",
    "30 6 * * mon-fri",
    "15 2 * * *",
    "30 2 * * 0",
    "0 0 * * 0",
    "0 0 1 * *",
    "0 12 1,15 * *",
    "0 0 1 1 *",
    "0 3 L * *",
    "0 9 * * 1#1",
    "0 9 * * L5",
    "0 0 13 * 5",
    "0 6 1-7 * 1",
    "45 23 * 3,10 *",
    "0 0 29 2 *",
)
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Beirut")
START = datetime(2026, 3, 1, tzinfo=UTC)
SLOTS = 200
RARE = ("0 0 1 1 *", "0 0 29 2 *")
"""Of these so many slots would lead out of the years that zone data know one by one."""

NASTY = (
    "0 0 29 2 1",
    "0 0 31 */2 *",
    "0 0 29 2 *",
    "0 0 31 1,3 5#5",
    "59 59 23 31 12 5",
    "0 0 LW 2 7",
    "1 1 1 1 1",
    "30 2 28-31 3 0",
)
SHARING = 10_000
"""Events with the same expression that are planned at the same instant."""

Walk = Callable[[str, str], Iterator[datetime]]


def _microseconds_a_slot(walk: Walk) -> Figures:
    """The mean over all expressions and zones: each counts the same, the rare as the frequent."""
    spent = 0.0
    for expression in EXPRESSIONS:
        count = 20 if expression in RARE else SLOTS
        for zone in ZONES:
            slots = walk(expression, zone)
            next(slots)
            began = time.process_time()
            for _ in range(count):
                next(slots)
            spent += (time.process_time() - began) / count
    return {"us": spent / len(EXPRESSIONS) / len(ZONES) * 1e6}


def _walk(expression: str, zone: str) -> Iterator[datetime]:
    schedule = _schedule(expression, zone)
    slot: datetime | None = START
    while slot is not None and (slot := schedule.next_after(slot)) is not None:
        yield slot


def _schedule(expression: str, zone: str) -> Schedule:
    from alicia_schedule_cron.config import CronConfig
    from alicia_schedule_cron.schedule import CronSchedule
    from alicia_scheduler.api import ScheduleContext

    context = ScheduleContext(timezone=ZoneInfo(zone), anchor=START)
    return CronSchedule.build(CronConfig(expression=expression), context)


@measurement()
def cron() -> Figures:
    """Ours."""
    return _microseconds_a_slot(_walk)


@measurement(peer="cron")
def cronsim() -> Figures:
    """cronsim, which knows Debian's rules for clock changes."""
    from cronsim import CronSim

    def walk(expression: str, zone: str) -> Iterator[datetime]:
        yield from CronSim(expression.replace("L5", "5L"), START.astimezone(ZoneInfo(zone)))

    return _microseconds_a_slot(walk)


@measurement(peer="cron")
def croniter() -> Figures:
    """croniter, given the zone."""
    from croniter import croniter as engine

    def walk(expression: str, zone: str) -> Iterator[datetime]:
        yield from engine(expression, START.astimezone(ZoneInfo(zone)), ret_type=datetime)

    return _microseconds_a_slot(walk)


@measurement()
def nasty() -> Figures:
    """The longest single answer to expressions that match seldom or never, building included."""
    from alicia_scheduler.api import ConfigError

    _schedule("* * * * *", "Europe/Berlin").next_after(START)
    worst = 0.0
    for expression in (*NASTY, "0 0 30 2 *", "0 0 31 2,4,6,9,11 *"):
        began = time.process_time()
        try:
            schedule = _schedule(expression, "Europe/Berlin")
        except ConfigError:
            worst = max(worst, time.process_time() - began)
            continue
        slot: datetime | None = START
        for _ in range(12):
            if slot is not None:
                slot = schedule.next_after(slot)
            worst = max(worst, time.process_time() - began)
            began = time.process_time()
    return {"worst_ms": worst * 1e3}


@measurement()
def shared() -> Figures:
    """Events that share an expression: microseconds to make one and find its next slot."""
    _schedule("* * * * *", "Europe/Berlin").next_after(START)
    began = time.process_time()
    for _ in range(SHARING):
        _schedule("*/15 8-18 * * mon-fri", "Europe/Berlin").next_after(START)
    return {"us": (time.process_time() - began) / SHARING * 1e6}
