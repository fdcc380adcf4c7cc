"""What was acknowledged is there after leaving, after reopening and after a kill."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
import trio
import trio.testing

from alicia_scheduler.api import EventExecution, EventState
from alicia_scheduler.api.store import SaveEvent, SaveExecution
from alicia_scheduler.store import STORE_FILE, SqliteStore
from alicia_scheduler.testing.kernel import make_event

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)

# Twenty tasks insert and finish executions; a line on stdout follows each commit that returned.
WORKER = """
import os, sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
import trio
import trio.testing
from msgspec.structs import replace
from alicia_scheduler.api import EventExecution, EventState, Status
from alicia_scheduler.api.store import SaveExecution, SaveState
from alicia_scheduler.store import SqliteStore

PREFIX = sys.argv[2]
START = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=int(PREFIX))

async def work(store, task):
    number = task
    while True:
        run = EventExecution(
            execution_id=f"{PREFIX}-{number}",
            event_id="event",
            revision=1,
            scheduled_time=START + timedelta(seconds=number),
            status=Status.RUNNING,
        )
        state = EventState(next_due=run.scheduled_time, run_count=number)
        await store.commit([SaveExecution(run), SaveState("event", state)])
        os.write(1, f"running {run.execution_id}\\n".encode())
        await store.commit([SaveExecution(replace(run, status=Status.COMPLETED))])
        os.write(1, f"completed {run.execution_id}\\n".encode())
        number += 20

async def main():
    async with SqliteStore.open(Path(sys.argv[1])) as store, trio.open_nursery() as nursery:
        for task in range(20):
            nursery.start_soon(work, store, task)

trio.run(main)
"""


def execution(number):
    return EventExecution(
        execution_id=f"r{number}",
        event_id="event",
        revision=1,
        scheduled_time=NOON + timedelta(seconds=number),
    )


async def test_everything_is_there_after_reopening(tmp_path):
    path = tmp_path / STORE_FILE
    due = EventState(next_due=NOON, run_count=3)
    async with SqliteStore.open(path) as store:
        await store.commit([SaveEvent(make_event(), due), SaveExecution(execution(1))])
    async with SqliteStore.open(path) as store:
        record = (await store.records(["event"]))["event"]
        assert (record.event, record.state) == (make_event(), due)
        assert await store.list_executions() == [execution(1)]


async def test_many_tasks_commit_at_once_and_every_read_sees_what_was_committed_before(tmp_path):
    async with SqliteStore.open(tmp_path / STORE_FILE, waiting=5) as store:

        async def commit_and_look(number):
            await store.commit([SaveExecution(execution(number))])
            assert await store.execution(f"r{number}") is not None

        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(commit_and_look, number)
        assert len(await store.list_executions(limit=1000)) == 100


@pytest.mark.parametrize("synchronous", ["FULL", "NORMAL"])
async def test_leaving_while_commits_wait_keeps_them(tmp_path, synchronous):
    path = tmp_path / STORE_FILE
    async with (
        trio.open_nursery() as nursery,
        SqliteStore.open(path, synchronous=synchronous) as store,
    ):
        for number in range(50):
            nursery.start_soon(store.commit, [SaveExecution(execution(number))])
        await trio.testing.wait_all_tasks_blocked()
    async with SqliteStore.open(path) as store:
        assert len(await store.list_executions(limit=1000)) == 50


def test_nothing_acknowledged_is_lost_when_the_process_is_killed(tmp_path):
    path = tmp_path / STORE_FILE

    async def begin():
        async with SqliteStore.open(path) as store:
            await store.commit([SaveEvent(make_event(), EventState())])

    async def statuses():
        async with SqliteStore.open(path) as store:
            runs = await store.list_executions(limit=1_000_000)
            assert len(await store.list_events()) == 1
        return {run.execution_id: run.status.value for run in runs}

    trio.run(begin)
    acknowledged = {}
    for round_number, kill_after in enumerate((1, 150, 700)):
        acknowledged.update(killed_after(kill_after, path, str(round_number)))
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        stored = trio.run(statuses)
        allowed = {"running": ("running", "completed"), "completed": ("completed",)}
        lost = [
            run for run, status in acknowledged.items() if stored.get(run) not in allowed[status]
        ]
        assert lost == []
    assert len(acknowledged) > 300


def killed_after(lines, path, prefix):
    """Let a worker commit, kill it after so many lines, and give what it said it had committed."""
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(path), prefix], stdout=subprocess.PIPE, text=True
    )
    with worker:
        said = [worker.stdout.readline() for _ in range(lines)]
        worker.kill()
        said.extend(worker.stdout.read().splitlines(keepends=True))
    assert worker.returncode == -signal.SIGKILL
    whole = (line.split() for line in said if line.endswith("\n"))
    return {run: status for status, run in whole}
