"""Trimming the history: by age, count and size, in bites, and never what is rare or unfinished."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
import trio
from msgspec.structs import replace

from alicia_scheduler.api import EventExecution, Status, Trigger
from alicia_scheduler.api.store import SaveExecution, SlotTaken
from alicia_scheduler.store import STORE_FILE, MemoryStore, SqliteStore

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def at(seconds):
    return NOON + timedelta(seconds=seconds)


def run(number, event_id="event", status=Status.COMPLETED, **fields):
    return EventExecution(
        execution_id=f"{event_id}-{number}",
        event_id=event_id,
        revision=1,
        scheduled_time=at(number),
        status=status,
        **fields,
    )


@pytest.fixture(params=["file", "SQLite in memory", "memory"])
async def store(request, tmp_path):
    opening = {
        "file": lambda: SqliteStore.open(tmp_path / STORE_FILE),
        "SQLite in memory": lambda: SqliteStore.open(None),
        "memory": MemoryStore.open,
    }
    async with opening[request.param]() as opened:
        yield opened


async def save(store, *executions):
    await store.commit([SaveExecution(execution) for execution in executions])


async def trim(store, **rules):
    """Trim until nothing more goes; gives how many each call deleted."""
    counts = []
    while count := await store.trim(**rules):
        counts.append(count)
    return counts


async def left(store):
    return [run.execution_id for run in await store.list_executions(limit=100_000)][::-1]


async def test_executions_of_older_slots_go(store):
    await save(store, *(run(number) for number in range(5)))
    assert await trim(store, older_than=at(3)) == [3]
    assert await left(store) == ["event-3", "event-4"]


async def test_without_a_rule_everything_stays(store):
    await save(store, *(run(number) for number in range(5)))
    assert await trim(store) == []


async def test_beyond_the_newest_of_each_event_executions_go(store):
    await save(store, *(run(number, event_id) for event_id in "ab" for number in range(4)))
    await save(store, run(9, "c"))
    assert sum(await trim(store, per_event=2)) == 4
    assert await left(store) == ["a-2", "b-2", "a-3", "b-3", "c-9"]


async def test_the_newest_of_each_final_status_stay(store):
    statuses = [Status.FAILED, Status.FAILED, Status.MISSED] + [Status.COMPLETED] * 5
    await save(store, *(run(number, status=status) for number, status in enumerate(statuses)))
    await trim(store, older_than=at(100), per_event=1, keep_per_status=1)
    assert await left(store) == ["event-1", "event-2", "event-7"]


async def test_unfinished_executions_stay(store):
    await save(store, run(0, status=Status.PENDING), run(1, status=Status.RUNNING), run(2))
    await trim(store, older_than=at(100), per_event=0, size_limit=0, keep_per_status=0)
    assert await left(store) == ["event-0", "event-1"]


async def test_a_call_deletes_no_more_than_its_limit(store):
    await save(store, *(run(number) for number in range(10)))
    assert await trim(store, older_than=at(9), limit=4) == [4, 4, 1]


async def test_the_oldest_go_until_the_size_is_kept(tmp_path):
    path = tmp_path / STORE_FILE
    async with SqliteStore.open(path) as store:
        await save(store, *(run(number, error_message="x" * 2000) for number in range(2000)))
        assert sum(await trim(store, size_limit=2_000_000, limit=50)) > 1000
        kept = await left(store)
    assert kept == [f"event-{number}" for number in range(2000 - len(kept), 2000)]
    # A row of this size takes a page of 4096 bytes.
    assert 400 < len(kept) < 2_000_000 / 4096
    assert path.stat().st_size < 3_200_000


async def test_in_memory_the_oldest_go_until_their_json_is_small_enough():
    async with MemoryStore.open() as store:
        await save(store, *(run(number, error_message="x" * 2000) for number in range(200)))
        assert sum(await trim(store, size_limit=200_000, limit=50)) > 100
        kept = await left(store)
    assert kept == [f"event-{number}" for number in range(200 - len(kept), 200)]
    assert 50 < len(kept) < 100


async def test_a_size_that_cannot_be_kept_ends_with_what_is_protected(store):
    await save(store, *(run(number, event_id) for event_id in "ab" for number in range(30)))
    await trim(store, size_limit=0, keep_per_status=2)
    assert await left(store) == ["a-28", "b-28", "a-29", "b-29"]


async def test_more_protected_executions_than_a_bite_do_not_hide_what_follows(store):
    await save(store, *(run(0, f"event{number}") for number in range(2500)))
    await save(store, run(1, "x"), run(2, "x"))
    assert await trim(store, older_than=at(100)) == [1]


async def test_a_rule_that_moves_on_between_calls_is_followed(store):
    await save(store, *(run(number) for number in range(10)))
    assert await store.trim(older_than=at(3), limit=2) == 2
    assert await store.trim(older_than=at(5), limit=2) == 2
    assert await trim(store, older_than=at(9)) == [5]


async def test_other_rules_are_followed_from_the_start(store):
    await save(store, *(run(number, event_id) for event_id in "abc" for number in range(6)))
    assert await store.trim(per_event=4, limit=2) == 2
    assert await trim(store, older_than=at(4)) == [10]
    assert await left(store) == ["a-4", "b-4", "c-4", "a-5", "b-5", "c-5"]


async def test_space_is_given_back_to_the_file_system(tmp_path):
    path = tmp_path / STORE_FILE
    async with SqliteStore.open(path) as store:
        await save(store, *(run(number, error_message="x" * 4000) for number in range(2000)))
    before = path.stat().st_size
    async with SqliteStore.open(path) as store:
        await trim(store, older_than=at(1990))
    assert path.stat().st_size < before / 4
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


async def test_a_slot_whose_execution_is_kept_still_counts_as_run(store):
    await save(store, *(run(number) for number in range(5)))
    await trim(store, older_than=at(100))
    again = replace(run(4), execution_id="again", trigger=Trigger.CATCHUP)
    with pytest.raises(SlotTaken):
        await save(store, again)


async def test_commits_and_reads_go_on_while_history_is_trimmed(tmp_path):
    async with SqliteStore.open(tmp_path / STORE_FILE) as store:
        await save(store, *(run(number) for number in range(3000)))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: trim(store, older_than=at(3000), limit=100))
            for number in range(3000, 3050):
                await save(store, run(number))
                assert await store.execution(f"event-{number}") is not None
        kept = await left(store)
    # The newest is protected, and which one that is changes on the way.
    assert kept[-50:] == [f"event-{number}" for number in range(3000, 3050)]
    assert len(kept) <= 51
