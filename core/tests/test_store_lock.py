"""One host per state directory."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from alicia_scheduler.api import StoreError
from alicia_scheduler.store import StateLock
from alicia_scheduler.store.lock import LOCK_FILE

STARTED = datetime(2026, 1, 1, 12, tzinfo=UTC)

HOLDER = """
import sys, time
from datetime import UTC, datetime
from pathlib import Path
from alicia_scheduler.store import StateLock

with StateLock(Path(sys.argv[1]), datetime(2026, 1, 1, 12, tzinfo=UTC)):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_host_is_refused_and_told_who_is_first(tmp_path):
    expected = (
        rf"another host \(process {os.getpid()}, running since 2026-01-01 12:00:00\+00:00\) is "
        rf"using {tmp_path}; stop that one first"
    )
    with (
        StateLock(tmp_path, STARTED),
        pytest.raises(StoreError, match=expected),
        StateLock(tmp_path, STARTED),
    ):
        pass


def test_the_directory_is_free_again_after_leaving(tmp_path):
    with StateLock(tmp_path, STARTED):
        pass
    with StateLock(tmp_path, STARTED):
        pass


def test_a_refused_host_leaves_the_first_ones_lock_in_place(tmp_path):
    with StateLock(tmp_path, STARTED):
        for _ in range(2):
            with pytest.raises(StoreError, match=f"process {os.getpid()}"):
                StateLock(tmp_path, STARTED).__enter__()


def test_a_lock_ends_with_its_process_even_when_that_is_killed(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StoreError, match=f"process {holder.pid}, running since 2026-01-01"):
            StateLock(tmp_path, STARTED).__enter__()
        holder.kill()
    with StateLock(tmp_path, STARTED):
        assert f"{os.getpid()} " in (tmp_path / LOCK_FILE).read_text()


@pytest.mark.parametrize("content", ["", "nonsense", "4711", "\0" * 500, "1 2 3"])
def test_a_lock_file_left_behind_is_no_obstacle(tmp_path, content):
    (tmp_path / LOCK_FILE).write_text(content)
    with StateLock(tmp_path, STARTED):
        assert (tmp_path / LOCK_FILE).read_text() == f"{os.getpid()} {STARTED.isoformat()}\n"


def test_an_owner_that_cannot_be_read_is_called_unknown(tmp_path):
    with StateLock(tmp_path, STARTED):
        (tmp_path / LOCK_FILE).write_text("nonsense")
        with pytest.raises(StoreError, match=r"another host \(process unknown\)"):
            StateLock(tmp_path, STARTED).__enter__()


def test_a_missing_directory_is_made_for_its_owner_alone(tmp_path):
    directory = tmp_path / "var" / "state"
    with StateLock(directory, STARTED):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
        assert stat.S_IMODE((directory / LOCK_FILE).stat().st_mode) == 0o600


def test_a_symbolic_link_in_place_of_the_lock_file_is_refused(tmp_path):
    precious = tmp_path / "precious"
    precious.write_text("precious")
    (tmp_path / LOCK_FILE).symlink_to(precious)
    with pytest.raises(StoreError, match="is a symbolic link, which is refused"):
        StateLock(tmp_path, STARTED).__enter__()
    assert precious.read_text() == "precious"


def test_a_file_in_place_of_the_directory_is_told(tmp_path):
    (tmp_path / "state").touch()
    with pytest.raises(StoreError, match=r"state cannot be used: File exists"):
        StateLock(tmp_path / "state", STARTED).__enter__()
