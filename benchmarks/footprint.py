"""What a host costs that has little to do: its start, its memory, what it writes.

Starts are measured by processor time, memory and modules, as wall time says more about what else
the machine does. Bytes are those that the process hands to the system (``wchar`` of ``/proc``),
so also what SQLite writes again into the same page.
"""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import trio

from alicia_scheduler.api.store import Store
from alicia_scheduler.kernel.batching import BatchingStore, must_be_written
from alicia_scheduler.store.sqlite import SqliteStore
from benchmarks.measurement import Figures, measurement
from benchmarks.workload import fill, running, store_place

CONFIGURATION = """
[scheduler]
state_dir = "state"
[events.daily]
name = "Daily"
schedule_type = "interval"
schedule_config = { type = "days", value = 1 }
action = { type = "script_execution", command = ["true"] }
"""
CLI = "from alicia_scheduler.cli.main import main; main()"
STEADY = 65.0
"""Seconds after which a host has written down that its start was good, and nothing follows."""

GROUPED = 1000
SINGLE = 100
APART = 0.1


# -- starting ----------------------------------------------------------------------------


@measurement()
def bare_imports() -> Figures:
    """The libraries that any host needs, and nothing of ours."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    code = "import trio, msgspec, click, sqlite3, sys; print(len(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "rss_mb": after.ru_maxrss / 1024,
        "modules": int(done.stdout),
    }


@measurement()
def first_start() -> Figures:
    """A host with an interval and a script that has not run here before: it looks at every
    installed plugin."""
    with tempfile.TemporaryDirectory() as folder:
        return _started(Path(folder), idle=False)


@measurement(rounds=1)
def idle_host() -> Figures:
    """The same host once it knows what its plugins offer, and over a minute later."""
    with tempfile.TemporaryDirectory() as folder:
        _started(Path(folder), idle=False)
        return _started(Path(folder), idle=True)


def _started(folder: Path, *, idle: bool) -> Figures:
    file = folder / "alicia.toml"
    file.write_text(CONFIGURATION)
    address = folder / "notify"
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told,
        (folder / "log").open("w+") as log,
    ):
        told.bind(str(address))
        told.settimeout(120)
        host = subprocess.Popen(
            [sys.executable, "-X", "importtime", "-c", CLI, "run", str(file)],
            env=os.environ | {"NOTIFY_SOCKET": str(address)},
            stderr=log,
        )
        try:
            while b"READY=1" not in told.recv(4096):
                pass
            time.sleep(1)
            figures = {"cpu_s": _cpu(host.pid), "rss_mb": _resident(host.pid)}
            if idle:
                time.sleep(STEADY)
                before, taken = _written(host.pid), _cpu(host.pid)
                time.sleep(10)
                figures["idle_bytes"] = _written(host.pid) - before
                figures["idle_cpu_s"] = _cpu(host.pid) - taken
        finally:
            host.terminate()
            host.wait()
            address.unlink()
        log.seek(0)
        figures["modules"] = sum(line.startswith("import time:") for line in log) - 1
    return figures


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def _written(pid: int | str) -> int:
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("wchar:"))


# -- writing -----------------------------------------------------------------------------


@measurement()
def grouped() -> Figures:
    """A thousand executions due at once."""
    return _executions(GROUPED, 0.0, None)


@measurement()
def single() -> Figures:
    """Executions one by one, ten a second."""
    return _executions(SINGLE, SINGLE * APART, None)


@measurement()
def flash() -> Figures:
    """The same with ``durability = "flash"`` and a window of a second."""
    return _executions(SINGLE, SINGLE * APART, 1.0)


class _Counted:
    """A store whose commits are counted."""

    def __init__(self, store: SqliteStore) -> None:
        self.commits = 0
        self._plain = store.commit
        store.commit = self._commit  # type: ignore[method-assign]

    async def _commit(self, changes: object) -> None:
        self.commits += 1
        await self._plain(changes)  # type: ignore[arg-type]


def _executions(count: int, spread: float, window: float | None) -> Figures:
    async def go(store: Store, opened: _Counted, path: Path) -> Figures:
        first = time.time() + 3.0
        await fill(store, count, first, spread)
        async with running(store, count) as run:
            if isinstance(store, BatchingStore):
                catalog = run.kernel.catalog
                store.forced = lambda change: must_be_written(catalog, change)
            await trio.sleep(max(0.0, first - time.time() - 0.2))
            before, commits, size = _written("self"), opened.commits, _size(path)
            with trio.fail_after(spread + 120):
                await run.heard.enough.wait()
            await trio.sleep((window or 0.0) + 0.5)
            return {
                "bytes_per_execution": (_written("self") - before) / count,
                "commits_per_execution": (opened.commits - commits) / count,
                "grown_per_execution": (_size(path) - size) / count,
            }

    async def main(path: Path) -> Figures:
        async with SqliteStore.open(path) as opened:
            counted = _Counted(opened)
            if window is None:
                return await go(opened, counted, path)
            async with BatchingStore.running(opened, window) as batching:
                return await go(batching, counted, path)

    with store_place(durable=True) as path:
        assert path is not None
        return trio.run(main, path)


def _size(path: Path) -> int:
    wal = path.with_name(f"{path.name}-wal")
    return path.stat().st_size + (wal.stat().st_size if wal.exists() else 0)
