"""The disk fails under a running host: the schedule goes on, and history catches up (R25)."""

import errno
import resource

import pytest
from tests.disk.library import DiskLibrary
from tests.storage.trouble import (
    fill,
    goes_on_from_memory,
    moved_aside,
    recovers_by_itself,
    ticks_on,
)


@pytest.fixture
def failing(tmp_path, make_host):
    """A host whose writes can be made to fail."""

    def make(defect=None):
        home = tmp_path / "home"
        home.mkdir()
        library = DiskLibrary(tmp_path / "library", home / "state")
        host = make_host(home, environ=library.environ(), defect=defect)
        host.start()
        host.wait_until_it_runs()
        return host, library

    return make


@pytest.mark.parametrize(
    "number",
    [
        errno.ENOSPC,
        pytest.param(errno.EROFS, marks=pytest.mark.slow),
        pytest.param(errno.EIO, marks=pytest.mark.slow),
    ],
    ids=errno.errorcode.get,
)
def test_a_disk_that_fails_stops_no_event_and_costs_no_history(failing, number):
    host, library = failing()
    goes_on_from_memory(host, lambda: library.fail_with(number))
    recovers_by_itself(host, library.work_again)


@pytest.mark.slow
def test_a_disk_that_is_full_stops_no_event_and_costs_no_history(make_host, small_disk):
    host = make_host(state=small_disk / "state")
    host.start()
    host.wait_until_it_runs()
    goes_on_from_memory(host, lambda: fill(small_disk))
    recovers_by_itself(host, (small_disk / "ballast").unlink)


@pytest.mark.slow
def test_a_limit_of_the_file_size_stops_no_event_and_costs_no_history(make_host):
    host = make_host()
    host.start()
    host.wait_until_it_runs()

    def limit(size):
        no_limit = resource.RLIM_INFINITY
        resource.prlimit(host.process.pid, resource.RLIMIT_FSIZE, (size, no_limit))

    goes_on_from_memory(host, lambda: limit(40_000))
    recovers_by_itself(host, lambda: limit(resource.RLIM_INFINITY))


@pytest.mark.slow
def test_a_disk_that_turns_read_only_for_an_error_stops_no_event(make_host, real_disk):
    directory, abort = real_disk
    host = make_host(state=directory / "state")
    host.start()
    host.wait_until_it_runs()
    goes_on_from_memory(host, abort)
    assert host.stop() == 0


@pytest.mark.slow
def test_a_store_that_is_damaged_under_a_running_host_stops_no_event(make_host):
    """SQLite need not look at what it has in its cache; the next start does, at the latest."""
    host = make_host()
    host.start()
    host.wait_until_it_runs()
    ticks_on(host)
    for part in ("", "-wal"):
        with (host.state / f"alicia.db{part}").open("r+b") as file:
            length = file.seek(0, 2)
            file.seek(0)
            file.write(b"\x5a\xa5" * (length // 2))
    ticks_on(host)
    assert host.stop() == 0
    host.start()
    host.wait_until_it_runs()
    ticks_on(host, "careful")
    assert host.stop() == 0
    assert moved_aside(host)
    kept = host.kept()
    assert kept.problems == ()
    assert kept.event_ids == {"tick", "careful"}


@pytest.mark.slow
@pytest.mark.parametrize("defect", ["exits_when_the_store_fails", "silent_when_the_store_fails"])
def test_the_check_finds_a_planted_defect(failing, defect):
    host, library = failing(defect)
    with pytest.raises(AssertionError, match=r"waited in vain|the host ended"):
        goes_on_from_memory(host, lambda: library.fail_with(errno.ENOSPC), patience=8)
