"""What consumers cost that subscribe to everything and take nothing, while notifications flood in.

A process of its own holds the Unix door and tells notifications; this one connects to it: so many
slow consumers, and one that takes everything. Measured is what the door's process takes in memory
before the flood, at its peak and after it, and what the quick consumer has missed.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import trio

from alicia_scheduler.api import Caller
from alicia_scheduler.config.control import ControlSettings
from alicia_scheduler.control.client import connected
from alicia_scheduler.control.messages import SOCKET_FILE
from alicia_scheduler.control.replay import ReplayLog
from alicia_scheduler.control.shared import Surroundings
from alicia_scheduler.control.unix import serve_unix
from alicia_scheduler.kernel.clock import SystemClock
from alicia_scheduler.kernel.notifications import Notifier
from benchmarks.measurement import Figures, measurement

PADDING = "x" * 400
"""Brings a notification to the size of one about an execution."""


def resident(pid: int | str = "self") -> float:
    """Megabytes of memory that a process has."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmRSS")


class Door:
    """The door's side: tells the flood when it is asked to."""

    def __init__(self, folder: Path, total: int, rate: int) -> None:
        self.folder = folder
        self.total = total
        self.rate = rate
        self.notifier = Notifier(SystemClock())
        self.log = ReplayLog(2000, lambda _event: frozenset())
        self.notifier.listen(self.log.append)
        self.flooding = trio.Event()

    def note(self, caller: Caller, name: str, arguments: Mapping[str, Any], outcome: str) -> None:
        """Nobody reads an audit log here."""

    async def execute(self, caller: Caller, name: str, arguments: Mapping[str, Any]) -> Any:
        if name == "flood":
            self.flooding.set()
        return {"connections": len(self.log._readers), "memory": resident()}

    async def run(self) -> None:
        surroundings = Surroundings(self, self.log, ControlSettings())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve_unix, surroundings, self.folder / SOCKET_FILE)
            await self.flooding.wait()
            begun = trio.current_time()
            for number in range(self.total):
                self.notifier.emit(
                    "execution_started", {"event_id": f"event-{number % 100}", "result": PADDING}
                )
                if number % 20 == 19:
                    await trio.sleep(max(0, begun + number / self.rate - trio.current_time()))
            self.notifier.emit("flood_over", {})


class Stalled:
    """A consumer that subscribes by hand and then takes nothing."""

    def __init__(self, folder: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(str(folder / SOCKET_FILE))
        self.socket.sendall(
            b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        self.socket.recv(4096)
        command = b'{"id":1,"type":"subscribe"}'
        self.socket.sendall(bytes([0x81, 0x80 | len(command), 0, 0, 0, 0]) + command)


async def measure(folder: Path, count: int, total: int, pid: int) -> Figures:
    """The flood, seen from outside."""
    missed, longest = 0, 0.0
    async with connected(folder) as session:
        subscription = await session.subscribe()
        stalled = [Stalled(folder) for _ in range(count)]
        while (await session.request("state"))["connections"] < count + 1:  # noqa: ASYNC110
            await trio.sleep(0.01)
        before = resident(pid)
        peak, done = before, threading.Event()

        def watch() -> None:
            nonlocal peak
            while not done.wait(0.05):
                peak = max(peak, resident(pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        begun = time.monotonic()
        await session.request("flood")
        expected = subscription.next
        async for notification in subscription:
            missed += notification["sequence"] - expected
            expected = notification["sequence"] + 1
            longest = max(longest, time.time() - notification["timestamp"])
            if notification["event_type"] == "flood_over":
                break
        took = time.monotonic() - begun
        await trio.sleep(6)  # the grace of those that were overtaken last
        left = (await session.request("state"))["connections"] - 1
        done.set()
        watcher.join()
        after = resident(pid)
    for consumer in stalled:
        consumer.socket.close()
    return {
        "cut_off": count - left,
        "per_s": total / took,
        "before_mb": before,
        "peak_mb": peak,
        "after_mb": after,
        "kb_each": (peak - before) * 1024 / max(1, count),
        "missed": missed,
        "longest_s": longest,
    }


@measurement()
def fifty() -> Figures:
    """Fifty take nothing while 10,000 notifications come in ten seconds; one takes everything."""
    return _measured(50, 10_000, 1000)


def _measured(slow: int, notifications: int, rate: int) -> Figures:
    with tempfile.TemporaryDirectory() as folder:
        arguments = (folder, str(notifications), str(rate))
        process = subprocess.Popen([sys.executable, "-m", "benchmarks.slow_consumers", *arguments])
        try:
            while not Path(folder, SOCKET_FILE).exists():
                if process.poll() is not None:
                    raise RuntimeError("the door does not open")
                time.sleep(0.02)
            return trio.run(measure, Path(folder), slow, notifications, process.pid)
        finally:
            process.kill()
            process.wait()


if __name__ == "__main__":
    trio.run(Door(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])).run)
