"""A store that is damaged, gone, too new or in use when a host starts."""

import sqlite3
import subprocess
from contextlib import closing

import pytest
from tests.storage.trouble import fill, moved_aside, ticks_on, told_of_the_store


def cut(size):
    def damage(file):
        with file.open("r+b") as opened:
            opened.truncate(size)

    return damage


def overwrite(offset, content):
    def damage(file):
        with file.open("r+b") as opened:
            opened.seek(offset)
            opened.write(content)

    return damage


DAMAGES = {
    "truncated": cut(10_000),
    "garbage": lambda file: file.write_bytes(bytes(range(256)) * 100),
    "zeros": lambda file: file.write_bytes(bytes(file.stat().st_size)),
    "noise in the schema": overwrite(100, b"\xfe\xc3\x28" * 1000),
}


@pytest.fixture
def stopped(make_host):
    """A host that has run and has been stopped, so its store is one file."""
    host = make_host()
    host.start()
    host.wait_until_it_runs()
    ticks_on(host, count=1)
    assert host.stop() == 0
    return host


def runs_again(host):
    """Start, let both events run, stop."""
    host.start()
    host.wait_until_it_runs()
    ticks_on(host, "careful", 2)
    assert host.stop() == 0
    assert host.kept().problems == ()


@pytest.mark.slow
@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_store_is_moved_aside_and_its_events_run(stopped, name):
    store = stopped.state / "alicia.db"
    DAMAGES[name](store)
    damaged = store.read_bytes()
    runs_again(stopped)
    (aside,) = moved_aside(stopped)
    assert aside.read_bytes() == damaged
    (told,) = told_of_the_store(stopped)
    assert aside.name in told["message"]
    assert aside.name in stopped.log.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("lose", [lambda file: file.write_bytes(b""), lambda file: file.unlink()])
def test_a_store_that_is_empty_or_gone_is_told(stopped, lose):
    lose(stopped.state / "alicia.db")
    runs_again(stopped)
    (told,) = told_of_the_store(stopped)
    assert "there was one" in told["message"]


def test_a_store_of_a_newer_version_is_refused_and_left_untouched(stopped):
    store = stopped.state / "alicia.db"
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("PRAGMA user_version = 99")
    before = store.read_bytes()
    stopped.start()
    assert stopped.process.wait(60) == 1
    last = stopped.log.read_text().splitlines()[-1]
    assert "was written by a newer Alicia Scheduler" in last
    assert "it was left untouched" in last
    assert "Traceback" not in stopped.log.read_text()
    assert store.read_bytes() == before


def test_a_disk_that_is_full_at_the_start_stops_no_event(make_host, small_disk):
    host = make_host(state=small_disk)
    fill(small_disk)
    host.start()
    host.wait_until_it_runs()
    ticks_on(host, count=2)
    (told,) = told_of_the_store(host)
    assert "live in memory" in told["message"]
    assert host.stop() == 0


def two_hosts(make_host, home, defect=None):
    """Start a host and a second one on the same state directory; the second one's exit code, or
    None when it has not ended after 8 s (R2), and its words."""
    first = make_host(home)
    first.start()
    first.wait_until_it_runs()
    ticks_on(first, count=1)
    second = make_host(state=first.state, defect=defect)
    second.start()
    try:
        code = second.process.wait(8)
    except subprocess.TimeoutExpired:
        code = None
    return first, code, second.log.read_text()


@pytest.mark.slow
def test_a_second_host_on_a_state_directory_refuses_and_touches_nothing(make_host, tmp_path):
    first, code, words = two_hosts(make_host, tmp_path / "home")
    assert code == 1
    assert f"another host (process {first.process.pid}" in words
    assert "Traceback" not in words
    during = first.history()
    assert {row["status"] for row in during} <= {"completed", "running"}
    ticks_on(first)
    assert first.stop() == 0
    assert {row["status"] for row in first.kept().executions} == {"completed"}
    assert first.kept().problems == ()


@pytest.mark.slow
def test_the_check_of_two_hosts_finds_a_planted_defect(make_host, tmp_path):
    _, code, _ = two_hosts(make_host, tmp_path / "home", defect="no_lock")
    assert code is None
