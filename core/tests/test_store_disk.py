"""A disk that is full, read-only or failing: said, survived, and forgotten when it is over."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trio

from alicia_scheduler.api import EventExecution, EventState, StoreError
from alicia_scheduler.api.store import SaveEvent, SaveExecution
from alicia_scheduler.store import STORE_FILE, SqliteStore, StateLock
from alicia_scheduler.testing.kernel import make_event

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
NOBODY = 65534
MIB = 1024 * 1024


def execution(number, text=""):
    return EventExecution(
        execution_id=f"r{number}",
        event_id="event",
        revision=1,
        scheduled_time=NOON + timedelta(seconds=number),
        error_message=text,
    )


def mount(*arguments):
    return subprocess.run(["mount", *arguments], check=False, capture_output=True, text=True)


@pytest.fixture
def disk(tmp_path):
    """A disk of 4 MiB of its own."""
    directory = tmp_path / "disk"
    directory.mkdir()
    done = mount("-t", "tmpfs", "-o", "size=4m", "tmpfs", str(directory))
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    yield directory
    subprocess.run(["umount", str(directory)], check=True)


def fill(directory):
    """Take all the space there is; gives the file that holds it."""
    ballast = directory / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return ballast


async def fill_by_committing(store):
    """Commit until the disk is full; gives how many commits were acknowledged and the error."""
    for number in range(10_000):
        try:
            await store.commit([SaveExecution(execution(number, "x" * 50_000))])
        except StoreError as error:
            return number, error
    raise AssertionError("the disk never got full")


async def test_a_full_disk_is_told_as_something_that_passes(disk):
    async with SqliteStore.open(disk / STORE_FILE) as store:
        kept, error = await fill_by_committing(store)
        assert (error.transient, error.damaged) == (True, False)
        assert "the disk is full; free some space" in str(error)
        assert len(await store.list_executions(limit=10_000)) == kept


async def test_commits_work_again_when_there_is_room_and_nothing_acknowledged_is_lost(disk):
    path = disk / STORE_FILE
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(2 * MIB))
    async with SqliteStore.open(path) as store:
        kept, _ = await fill_by_committing(store)
        for _ in range(3):
            with pytest.raises(StoreError):
                await store.commit([SaveExecution(execution(kept, "x" * 50_000))])
        ballast.unlink()
        await store.commit([SaveExecution(execution(kept, "x" * 50_000))])
        assert store.incidents == []
    async with SqliteStore.open(path) as store:
        assert len(await store.list_executions(limit=10_000)) == kept + 1


async def test_a_disk_that_is_full_at_the_start_leaves_a_store_in_memory(disk):
    fill(disk)
    async with SqliteStore.open(disk / STORE_FILE) as store:
        await store.commit([SaveExecution(execution(1))])
        assert len(await store.list_executions()) == 1
        assert not store.durable
        (incident,) = store.incidents
    assert "events and history live in memory" in incident


# A process that may write no file beyond a size, which SQLite sees as an error of the disk.
LIMITED = """
import resource, sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
import trio
from alicia_scheduler.api import EventExecution, StoreError
from alicia_scheduler.api.store import SaveExecution
from alicia_scheduler.store import SqliteStore

def execution(number):
    slot = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number)
    return EventExecution(execution_id=f"r{number}", event_id="event", revision=1,
        scheduled_time=slot, error_message="x" * 20_000)

async def main():
    async with SqliteStore.open(Path(sys.argv[1])) as store:
        resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, resource.RLIM_INFINITY))
        number = 0
        while True:
            try:
                await store.commit([SaveExecution(execution(number))])
            except StoreError as error:
                print(error.transient, error.damaged)
                break
            number += 1
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        await store.commit([SaveExecution(execution(number))])
        print(number + 1, len(await store.list_executions(limit=10_000)))

trio.run(main)
"""


async def test_an_error_of_the_disk_passes_without_reopening(tmp_path):
    path = tmp_path / STORE_FILE
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path)], check=True, capture_output=True, text=True
    )
    said, counts = done.stdout.splitlines()
    assert said == "True False"
    acknowledged, listed = map(int, counts.split())
    assert acknowledged == listed > 3
    async with SqliteStore.open(path) as store:
        assert len(await store.list_executions(limit=10_000)) == acknowledged


# -- where nothing may be written ------------------------------------------------------------


@pytest.fixture
def directory():
    """A directory outside of pytest's own private one, so that another user can look into it."""
    made = Path(tempfile.mkdtemp())
    made.chmod(0o755)
    yield made
    made.chmod(0o755)
    shutil.rmtree(made)


@contextmanager
def read_only(directory):
    """Take the right to write from this process, also when it is root's."""
    directory.chmod(0o555)
    for file in directory.iterdir():
        file.chmod(0o444)
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


async def one_event(path):
    async with SqliteStore.open(path) as store:
        await store.commit([SaveEvent(make_event(), EventState())])


async def use(path):
    """What a store says about itself, and that it can be used."""
    async with SqliteStore.open(path) as store:
        await store.commit([SaveExecution(execution(1))])
        assert len(await store.list_executions()) == 1
        return store.durable, store.incidents


@pytest.mark.parametrize("existing", [True, False], ids=["with a store", "without a store"])
def test_a_read_only_directory_leaves_a_store_in_memory(directory, existing):
    if existing:
        trio.run(one_event, directory / STORE_FILE)
    before = {file.name: file.read_bytes() for file in directory.iterdir()}
    with read_only(directory):
        durable, incidents = trio.run(use, directory / STORE_FILE)
    assert not durable
    assert len(incidents) == 1
    assert "events and history live in memory until it can be written" in incidents[0]
    assert ("what it held is loaded" in incidents[0]) is existing
    assert {file.name: file.read_bytes() for file in directory.iterdir()} == before


async def test_a_read_only_file_system_leaves_a_store_in_memory(disk):
    await one_event(disk / STORE_FILE)
    assert mount("-o", "remount,ro", str(disk)).returncode == 0
    durable, incidents = await use(disk / STORE_FILE)
    assert (durable, len(incidents)) == (False, 1)


@pytest.mark.parametrize("left_behind", [True, False], ids=["lock file", "no lock file"])
async def test_a_read_only_file_system_has_room_for_one_host_only(disk, left_behind):
    if left_behind:
        with StateLock(disk, NOON):
            pass
    assert mount("-o", "remount,ro", str(disk)).returncode == 0
    with (
        StateLock(disk, NOON),
        pytest.raises(StoreError, match="another host"),
        StateLock(disk, NOON),
    ):
        pass


def test_a_missing_directory_is_no_reason_for_memory(directory):
    with pytest.raises(StoreError, match="No such file or directory"):
        trio.run(use, directory / "missing" / STORE_FILE)
