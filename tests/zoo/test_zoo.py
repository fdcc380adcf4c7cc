"""Every broken plugin in a real host: everything else works, and the host says what is wrong."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests.zoo.animals import ZOO
from tests.zoo.cage import BEAST, until

from alicia_scheduler.host import actions, services, sinks, supervision
from alicia_scheduler.host.loopwatch import Hold
from alicia_scheduler.kernel import overdue

PAGE = Path(__file__).parents[2] / "docs/explanation/plugin-faults.md"


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """A host that waits for nobody for long."""
    monkeypatch.setattr(actions, "OPEN_TIMEOUT", 5.0)
    monkeypatch.setattr(actions, "CLOSE_TIMEOUT", 2.0)
    monkeypatch.setattr(supervision, "CLOSE_TIMEOUT", 2.0)
    monkeypatch.setattr(services, "START_TIMEOUT", 0.3)
    monkeypatch.setattr(sinks, "OPEN_TIMEOUT", 0.3)
    monkeypatch.setattr(sinks, "FLUSH_TIMEOUT", 0.3)
    monkeypatch.setattr(overdue, "GRACE", 0.3)
    # Without back-off, a part that fails again and again does so at once.
    monkeypatch.setattr(supervision.Backoff, "next", lambda self: 0.01)


FAULTS = {
    *("run_raises_base", "run_cancels", "run_exits", "ignores_cancel", "leaks_a_task"),
    *("leaks_tasks", "sink_hangs", "close_hangs", "service_close_hangs", "service_crashes"),
    "holds_the_loop",
}
"""The animals that endanger others; the errors of all others concern themselves alone."""


def said_about(record, when):
    """The sentence that people read."""
    if record.reason is not None:
        return record.reason
    return record.last_error.message if record.last_error is not None else ""


def matches(pattern, text):
    return re.fullmatch(".*?".join(map(re.escape, pattern.split("…"))), text, re.DOTALL)


def settle_in(cage, animal):
    cage.install(
        animal.entry or animal.name,
        animal.source,
        module=animal.module,
        distribution=f"zoo-{animal.name}",
        group=animal.group,
        requires=animal.requires,
    )
    if animal.name == "same_name":
        cage.install(animal.name, animal.source, distribution=f"zoo-{animal.name}-too")


def record_of(cage, animal):
    return next(
        record
        for record in cage.host.plugins.registry.plugins
        if record.distribution == f"zoo-{animal.name}"
    )


@pytest.mark.parametrize("animal", ZOO, ids=lambda animal: animal.name)
async def test_a_broken_plugin_breaks_nothing_else_and_gets_its_sentence(cage, animal):
    settle_in(cage, animal)
    more = animal.more + (BEAST.format(name=animal.name) if animal.event else "")
    async with cage.running(more, patience=1.0 if "more than" in animal.says else 60.0):
        record = record_of(cage, animal)
        await cage.singing()
        if animal.when == "run":
            await until(lambda: matches(animal.says, said_about(record, animal.when)))
            await cage.singing()
        elif animal.when == "stop" and animal.event:
            await until(lambda: ran(cage, "beast"))
        if hasattr(sys.modules.get(animal.module), "LET_GO"):
            sys.modules[animal.module].LET_GO.set()
    assert matches(animal.says, said_about(record, animal.when)), said_about(record, animal.when)
    assert record.status == animal.status
    assert "\n" not in said_about(record, animal.when)
    assert cage.records["canary"].status == "active"
    assert bool(record.faults) == (animal.name in FAULTS)
    if animal.status == "active":
        assert record.errors >= 1
        assert record.first_error is not None
    elif animal.status != "quarantined":
        assert not record.loaded


def ran(cage, event_id):
    return any(
        item.event_type == "execution_completed" and item.event_data["event_id"] == event_id
        for item in cage.told
    )


async def test_who_holds_the_loop_is_notified_with_the_line(cage):
    (animal,) = (each for each in ZOO if each.name == "holds_the_loop")
    settle_in(cage, animal)
    async with cage.running(BEAST.format(name=animal.name)):
        await until(lambda: cage.errors("loop_held"))
        (told,) = cage.errors("loop_held")
    assert told["plugin"] == "holds_the_loop"
    assert told["seconds"] >= 1.0
    assert "context.run_sync" in told["message"]
    assert cage.records["holds_the_loop"].held == 1
    assert cage.records["holds_the_loop"].longest_hold >= 0.25


async def test_holding_the_loop_for_a_second_is_a_fault_and_many_are_told_once(cage):
    async with cage.running() as host:
        canary = cage.records["canary"]
        await cage.singing()
        hold = Hold(canary, "a task", 0.9, "canary.py:1 in sing")
        for seconds in (0.9, 1.0, 1.1):
            host.plugins._held(replace(hold, seconds=seconds))
        assert (canary.held, canary.errors, canary.faults) == (3, 3, 2)
        assert canary.longest_hold == 1.1
        await until(lambda: cage.errors("loop_held"))
    assert len(cage.errors("loop_held")) == 1


def test_the_zoo_is_large_and_its_animals_are_different():
    assert len(ZOO) >= 20
    assert len({animal.name for animal in ZOO}) == len(ZOO)
    assert len({animal.does for animal in ZOO}) == len(ZOO)


def row(animal):
    return f"| {animal.does} | {animal.status} | {animal.says} | {animal.host} |"


def test_the_page_about_faults_has_the_zoo_as_its_table():
    table = [line for line in PAGE.read_text().splitlines() if line.startswith("|")]
    assert table[2:] == [row(animal) for animal in ZOO]
