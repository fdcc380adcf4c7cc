"""What a host promises while its store cannot be written, and afterwards."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.witness.process import Host, Tail, until

__all__ = [
    "TICKS",
    "fill",
    "goes_on_from_memory",
    "moved_aside",
    "recovers_by_itself",
    "ticks_on",
    "told_of_the_store",
]

TICKS = """
[events.tick]
schedule_type = "cron"
schedule_config = { expression = "* * * * * *" }
action = { {act} }
[events.careful]
schedule_type = "cron"
schedule_config = { expression = "* * * * * *" }
on_interrupted = "fail"
action = { {act} }
"""
"""An event that may run without a record of its start, and one that must not."""

LOUD = 20
"""Lines about the store that a log may have for one trouble, however long it lasts."""


def ticks_on(host: Host, event_id: str = "tick", count: int = 3) -> list[dict[str, Any]]:
    """Wait for so many more effects of an event, and give them."""
    tail = Tail(host.ledger)
    tail.new()
    found: list[dict[str, Any]] = []

    def enough() -> bool:
        assert host.process is not None
        assert host.process.poll() is None, f"the host ended: {host.log.read_text()[-5000:]}"
        found.extend(effect for effect in tail.new() if effect["event_id"] == event_id)
        return len(found) >= count

    until(enough, f"{count} effects of {event_id}")
    return found


def goes_on_from_memory(host: Host, break_it: Callable[[], object], patience: float = 60) -> None:
    """Break the store's disk under a host that runs: it says so, and the schedule goes on."""
    ticks_on(host, "careful", 1)
    break_it()
    until(lambda: told_of_the_store(host), "trouble with the store to be told", patience)
    assert "going on from memory" in host.log.read_text()
    during = ticks_on(host, count=7)
    slots = [effect["slot"] for effect in during]
    assert slots == [slots[0] + number for number in range(len(slots))], "a slot was left out"
    unrecorded = [line for line in host.heard() if line.get("reason") == "unrecorded"]
    assert unrecorded, "an event that must not run without a record is told not to have run"
    assert "careful" in {line["event_id"] for line in unrecorded}
    assert len(told_of_the_store(host)) == 1, "trouble is told once"
    loud = [line for line in host.log.read_text().splitlines() if "store" in line]
    assert len(loud) < LOUD, loud


def recovers_by_itself(host: Host, mend_it: Callable[[], object]) -> None:
    """Mend the disk: the host notices, tells, writes what it kept, and the accounts are whole."""
    mend_it()
    until(lambda: host.heard("store_recovered"), "the end of the trouble to be told")
    ticks_on(host, "careful", 2)
    assert host.stop() == 0
    kept = host.kept()
    assert kept.problems == ()
    rows = {row["execution_id"]: row for row in kept.executions}
    for effect in host.effects():
        assert rows[effect["execution_id"]]["status"] == "completed"
    for event_id in ("tick", "careful"):
        slots = [row["scheduled_time"] for row in kept.executions if row["event_id"] == event_id]
        first = min(slots)
        assert sorted(slots) == [first + number for number in range(len(slots))]
    unrecorded = [row for row in kept.executions if row["reason"] == "unrecorded"]
    assert {row["event_id"] for row in unrecorded} == {"careful"}
    assert {row["status"] for row in unrecorded} == {"skipped"}
    numbers = [line["sequence"] for line in host.heard()]
    assert numbers == list(range(1, len(numbers) + 1)), "numbers of notifications have no holes"


def fill(directory: Path) -> None:
    """Take all the space there is, with a file named ``ballast``."""
    with (directory / "ballast").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


def moved_aside(host: Host) -> list[Path]:
    """The stores that were kept because they were damaged, without their logs."""
    return [
        file
        for file in host.state.glob("alicia.db.damaged-*")
        if not file.name.endswith(("-journal", "-wal", "-shm"))
    ]


def told_of_the_store(host: Host) -> list[dict[str, Any]]:
    """The notifications that say that something is wrong with the store."""
    return [line for line in host.heard("error") if line["class"] == "store"]
