"""`alicia run` as a process on a disk that is full or may not be written: it runs on and says so,
and when there is room again everything is there."""

import itertools
import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from alicia_scheduler.testing.mosquitto import Mosquitto, find_mosquitto

ALICIA = str(Path(sys.executable).parent / "alicia")
PATIENCE = 60.0
"""Seconds after which a host must write again when it can (reliability.md R25)."""

if find_mosquitto() is None and not os.environ.get("ALICIA_REQUIRE_MOSQUITTO"):
    pytest.skip("mosquitto is not installed", allow_module_level=True)


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
    subprocess.run(["umount", "-l", str(directory)], check=True)


def fill(directory):
    """Take the space to the last byte; gives the file that holds it."""
    ballast = directory / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (4096, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
    return ballast


class Host:
    """A host with an event every second, and what it printed: notifications and log lines."""

    def __init__(self, config, output):
        self.config = config
        self.output = output
        self.process = None
        self.log = None

    def start(self):
        number = len(list(self.output.iterdir())) // 2
        told = (self.output / f"told-{number}").open("wb")
        self.log = self.output / f"log-{number}"
        with told, self.log.open("wb") as log:
            self.process = subprocess.Popen([ALICIA, "run", self.config], stdout=told, stderr=log)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=30) == 0
        assert "Traceback" not in self.log.read_text()

    def told(self, *event_types):
        """All notifications of all runs, in the order of telling."""
        lines = itertools.chain.from_iterable(
            file.read_text().splitlines(keepends=True)
            for file in sorted(self.output.glob("told-*"))
        )
        found = [json.loads(line) for line in lines if line.endswith("\n")]
        return [item for item in found if not event_types or item["event_type"] in event_types]

    def completed(self):
        """The slots that ran, from the notifications."""
        return [item["event_data"]["scheduled_time"] for item in self.told("execution_completed")]

    def until(self, met, what, within=PATIENCE):
        deadline = time.monotonic() + within
        while not met():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, f"{what}: not within {within:g} s"
            time.sleep(0.1)

    def runs(self, count):
        """Wait for so many more completed executions."""
        wanted = len(self.completed()) + count
        self.until(lambda: len(self.completed()) >= wanted, f"{count} more executions")

    def processor_seconds(self):
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")

    def memory(self):
        """Resident bytes."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def host(tmp_path, disk):
    broker = Mosquitto(tmp_path)
    broker.start()
    config = tmp_path / "home.toml"
    config.write_text(f"""
[scheduler]
timezone = "UTC"
state_dir = "{disk}/state"
[services.mqtt]
port = {broker.port}
[sinks.log]
format = "json"
[events.tick]
schedule_type = "interval"
schedule_config = {{ type = "seconds", value = 1 }}
action = {{ topic = "home/tick", message = "x" }}
misfire = "all"
""")
    output = tmp_path / "output"
    output.mkdir()
    made = Host(str(config), output)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.process.kill()
        made.process.wait()
    broker.stop()


def listing(disk, *arguments):
    answer = subprocess.run(
        [ALICIA, *arguments, "--state-dir", str(disk / "state"), "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(answer.stdout)


def account(host, disk):
    """All that was told is stored, no slot is left out or doubled, and no number either."""
    numbers = [item["sequence"] for item in host.told()]
    assert numbers == list(range(1, len(numbers) + 1))
    history = listing(disk, "executions", "list", "--limit", "1000")
    slots = sorted(run["scheduled_time"] for run in history)
    gaps = [later - earlier for earlier, later in itertools.pairwise(slots)]
    assert gaps == pytest.approx([1.0] * len(gaps), abs=1e-3)
    ran = sorted(run["scheduled_time"] for run in history if run["status"] == "completed")
    assert ran == sorted(host.completed())
    assert {run["status"] for run in history} == {"completed"}
    (event,) = listing(disk, "events", "list")
    assert event["run_count"] == len(ran)


def store_errors(host):
    return [item for item in host.told("error") if item["event_data"]["class"] == "store"]


async def test_on_a_disk_that_is_full_at_the_start_it_runs_and_goes_on_when_there_is_room(
    host, disk
):
    host.start()
    host.runs(1)
    host.stop()
    ballast = fill(disk)
    host.start()
    host.runs(2)
    (error,) = store_errors(host)
    assert "the disk is full" in error["event_data"]["message"]
    assert "what it held is loaded" in error["event_data"]["message"]
    ballast.unlink()
    host.until(lambda: host.told("store_recovered"), "writing again")
    host.runs(1)
    host.stop()
    account(host, disk)
    assert len(host.log.read_text()) < 4000


@pytest.mark.slow
async def test_on_a_read_only_disk_it_runs_and_goes_on_when_that_can_be_written(host, disk):
    host.start()
    host.runs(2)
    host.stop()
    assert mount("-o", "remount,ro", str(disk)).returncode == 0
    host.start()
    host.runs(3)
    (error,) = store_errors(host)
    assert "what it held is loaded" in error["event_data"]["message"]
    assert mount("-o", "remount,rw", str(disk)).returncode == 0
    host.until(lambda: host.told("store_recovered"), "writing again")
    host.until((disk / "state" / "alicia.sock").exists, "the control socket")
    host.runs(1)
    host.stop()
    account(host, disk)


@pytest.mark.slow
async def test_a_first_start_on_a_full_disk_ends_with_a_store(host, disk):
    ballast = fill(disk)
    host.start()
    host.runs(2)
    ballast.unlink()
    host.until(lambda: host.told("store_recovered"), "writing again")
    host.stop()
    account(host, disk)
    assert len(store_errors(host)) == 1


@pytest.mark.slow
async def test_a_stop_right_after_there_is_room_writes_what_was_in_memory(host, disk):
    ballast = fill(disk)
    host.start()
    host.runs(2)
    ballast.unlink()
    host.stop()
    account(host, disk)


class Full:
    """A disk without space, and with some again."""

    def __init__(self, host, disk):
        self.disk = disk

    def begin(self):
        self.ballast = fill(self.disk)

    def end(self):
        self.ballast.unlink()


class FileSize:
    """A process whose files may not grow, which SQLite sees as an error of the disk."""

    def __init__(self, host, disk):
        self.host = host
        self.log = disk / "state" / "alicia.db-wal"

    def begin(self):
        self.allow(self.log.stat().st_size)

    def end(self):
        self.allow(resource.RLIM_INFINITY)

    def allow(self, size):
        limits = (size, resource.RLIM_INFINITY)
        resource.prlimit(self.host.process.pid, resource.RLIMIT_FSIZE, limits)


@pytest.mark.slow
@pytest.mark.parametrize("trouble", [Full, FileSize])
async def test_trouble_with_the_disk_while_it_runs_costs_nothing(host, disk, trouble):
    host.start()
    host.runs(2)
    kind = trouble(host, disk)
    processor, memory, logged = host.processor_seconds(), host.memory(), host.log.stat().st_size
    began = time.monotonic()
    kind.begin()
    host.until(lambda: store_errors(host), "told", within=10)
    host.runs(20)
    seconds = time.monotonic() - began
    assert seconds < 20 / 0.6 + 10
    assert host.processor_seconds() - processor < 0.6 * seconds
    assert host.memory() - memory < 64 * 2**20
    assert host.log.stat().st_size - logged < 2000 * seconds
    kind.end()
    host.until(lambda: host.told("store_recovered"), "writing again")
    host.runs(1)
    host.stop()
    account(host, disk)
    assert len(store_errors(host)) == 1
