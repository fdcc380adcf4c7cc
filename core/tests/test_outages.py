"""The tables of docs/explanation/outages.md, every cell played in virtual time."""

from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
import trio

from alicia_scheduler.api import Misfire, Status, to_epoch
from alicia_scheduler.kernel.definitions import save_event
from alicia_scheduler.kernel.steering import pause
from alicia_scheduler.store.sqlite import SqliteStore
from alicia_scheduler.testing.clock import START, VirtualClock
from alicia_scheduler.testing.kernel import make_event, running_kernel

PAGE = Path(__file__).parents[2] / "docs/explanation/outages.md"
MINUTE, HOUR, YEAR = 60, 3600, 365 * 86_400

HOURLY = {"schedule_type": "clock", "schedule_config": {"seconds": HOUR}}
ONCE = {"schedule_type": "at", "schedule_config": {"epochs": [to_epoch(START) + HOUR]}}

EVENTS = {
    "calendar, misfire latest": HOURLY,
    "calendar, misfire all": HOURLY | {"misfire": Misfire.ALL, "misfire_grace": 2.0 * YEAR},
    "calendar, misfire skip": HOURLY | {"misfire": Misfire.SKIP},
    "calendar, misfire latest, misfire_grace 300": HOURLY | {"misfire_grace": 300.0},
    "one-shot": ONCE,
    "interval, misfire latest": {"schedule_config": {"seconds": HOUR}},
    "paused": HOURLY,
}

OFF = {
    "off over 1 slot": 20 * MINUTE,
    "off over 5 slots": 4 * HOUR + 20 * MINUTE,
    "off for a year": YEAR + 20 * MINUTE,
}


def tables():
    """Each table of the page: headings and rows of cells."""
    rows = []
    for line in [*PAGE.read_text().splitlines(), ""]:
        if line.startswith("|"):
            rows.append([cell.strip() for cell in line.strip("|").split("|")])
        elif rows:
            yield rows[0], rows[2:]
            rows = []


OUTAGES, INTERRUPTIONS = tables()
CELLS = [
    (row[0], outage, cell)
    for row in OUTAGES[1]
    for outage, cell in zip(OUTAGES[0][1:], row[1:], strict=True)
]


def outcome(history):
    """What the page says about a history in which nothing else happened."""
    found = Counter()
    many = False
    for run in history:
        if run.status is Status.COMPLETED:
            found["late"] += run.lateness > 5
        elif run.reason == "coalesced":
            found["missed"] += run.result["count"] or 0
            many |= run.result["count"] is None
        else:
            found["paused" if run.reason == "paused" else "missed"] += 1
    words = [f"{found[word]} {word}" for word in ("late", "paused") if found[word]]
    if many:
        words.append("the rest missed" if words else "all missed")
    elif found["missed"]:
        words.append(f"{found['missed']} missed")
    return ", ".join(words) or "nothing missed"


@pytest.mark.parametrize(("event", "outage", "cell"), CELLS, ids=lambda value: value)
async def test_a_cell_of_the_table_of_outages(event, outage, cell, autojump_clock):
    clock = VirtualClock()
    async with SqliteStore.open(None) as store:
        async with running_kernel(store=store, clock=clock) as before:
            await save_event(before.kernel, make_event(**EVENTS[event]))
            if event == "paused":
                await pause(before.kernel, "event")
            await trio.sleep(50 * MINUTE)
            if outage in OFF:
                clock.lose_power(OFF[outage])
                await trio.sleep_forever()
            elif outage == "suspended over 5 slots":
                clock.suspend(4 * HOUR + 20 * MINUTE)
            elif outage == "clock set forward over 5 slots":
                clock.step(4 * HOUR + 20 * MINUTE)
            else:
                await trio.sleep(40 * MINUTE)
                clock.step(-HOUR)
            await trio.sleep(10 * MINUTE)
        if outage in OFF:
            async with running_kernel(store=store, clock=clock):
                await trio.sleep(10 * MINUTE)
        history = (await store.list_executions(limit=1000))[::-1]
    if outage == "clock set back 1 h":
        history = [run for run in history if run.reason != "paused"]
    slots = Counter(run.scheduled_time for run in history)
    assert set(slots.values()) <= {1}
    assert outcome(history) == cell


@pytest.mark.parametrize("row", INTERRUPTIONS[1], ids=lambda row: row[0])
async def test_a_cell_of_the_table_of_interruptions(row, autojump_clock):
    async def slow(config, execution):
        await trio.sleep(20 * MINUTE)

    policy, cell = row
    clock = VirtualClock()
    actions = {"slow": slow}
    event = make_event(**ONCE, action={"type": "slow"}, timeout=HOUR, on_interrupted=policy)
    async with SqliteStore.open(None) as store:
        async with running_kernel(store=store, clock=clock, actions=actions) as before:
            await save_event(before.kernel, event)
            await trio.sleep(70 * MINUTE)
            clock.lose_power(MINUTE)
            await trio.sleep_forever()
        async with running_kernel(store=store, clock=clock, actions=actions):
            await trio.sleep(HOUR)
        history = (await store.list_executions(limit=1000))[::-1]
    assert ", then ".join(run.status for run in history) == cell
    assert {run.scheduled_time for run in history} == {START + timedelta(hours=1)}
