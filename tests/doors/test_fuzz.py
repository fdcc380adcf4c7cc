"""Whatever is sent to its doors, a host goes on: on time, answering others, in the same memory."""

import json
import os
import random
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
import trio
from tests.doors.fuzz import HANDSHAKE, Fuzz, frame
from tests.doors.house import free_port

from alicia_scheduler.api.control import Permission
from alicia_scheduler.control.client import connected
from alicia_scheduler.control.commands import COMMANDS
from alicia_scheduler.control.messages import SOCKET_FILE
from alicia_scheduler.control.tokens import create_token
from alicia_scheduler.store.reader import open_reader

ALICIA = str(Path(sys.executable).parent / "alicia")
PATIENCE = 60
OWN = ["ping", "subscribe", "unsubscribe", "supported_features", "no/such"]
FUZZERS = 4

CONFIG = """
[scheduler]
timezone = "UTC"
log_level = "error"
[control]
listen = {port}
rate = 1000000
[events.tick]
schedule_type = "interval"
schedule_config = {{ type = "seconds", value = 1 }}
action = {{ type = "script_execution", command = ["/bin/true"] }}
mode = "parallel"
misfire = "all"
misfire_grace = 3600
max_retries = 0
"""


@pytest.fixture
def port():
    return free_port()


@pytest.fixture
def host(tmp_path, port):
    """A running host with an event every second."""
    tmp_path.joinpath("home.toml").write_text(CONFIG.format(port=port))
    with tmp_path.joinpath("log").open("wb") as log:
        process = subprocess.Popen([ALICIA, "run", str(tmp_path / "home.toml")], stderr=log)
    deadline = time.monotonic() + PATIENCE
    while not (tmp_path / "state" / SOCKET_FILE).exists():
        assert time.monotonic() < deadline, "the host does not start"
        assert process.poll() is None
        time.sleep(0.02)
    yield process
    process.kill()
    process.wait()


def resident(process):
    """Bytes of memory that a process has."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


class Run:
    """Sends so many messages through both doors, and looks at the host meanwhile."""

    def __init__(self, host, state_dir, port, total, seed):
        self.host = host
        self.state_dir = state_dir
        self.port = port
        self.total = total
        self.seed = seed
        self.sent = 0
        self.answered = 0
        self.notified = []
        self.memory = []
        self.secret = create_token(state_dir, "fuzz", Permission.READ)

    async def all(self):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.behave, nursery.cancel_scope)
            nursery.start_soon(self.measure)
            async with trio.open_nursery() as fuzzers:
                for number in range(FUZZERS):
                    fuzzers.start_soon(self.fuzz, random.Random(self.seed + number), number % 2)
            await trio.sleep(1.5)
            nursery.cancel_scope.cancel()

    async def behave(self, scope):
        """A session as it should be, which must be answered all the time."""
        async with connected(self.state_dir) as session:
            subscription = await session.subscribe()

            async def listen():
                async for notification in subscription:
                    self.notified.append(notification["sequence"])

            async with trio.open_nursery() as nursery:
                nursery.start_soon(listen)
                while True:
                    with trio.fail_after(PATIENCE):
                        await session.request("ping")
                    self.answered += 1
                    await trio.sleep(0.05)

    async def measure(self):
        told = 1
        while True:
            assert self.host.poll() is None, "the host is gone"
            self.memory.append((self.sent, resident(self.host)))
            if self.sent >= self.total // 10 * told:
                print(f"{self.sent} messages, {self.memory[-1][1] / 1e6:.1f} MB", flush=True)
                told += 1
            await trio.sleep(0.25)

    async def fuzz(self, chance, tcp):
        names = [*OWN, *COMMANDS] if tcp else [*OWN, "events/trigger", "executions/cancel"]
        fuzz = Fuzz(chance, names)
        while self.sent < self.total:
            with trio.move_on_after(PATIENCE):
                try:
                    async with await self.connect(tcp) as stream:
                        await self.burst(fuzz, stream, tcp)
                except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
                    pass  # the host may end a connection

    async def connect(self, tcp):
        if tcp:
            return await trio.open_tcp_stream("127.0.0.1", self.port)
        return await trio.open_unix_socket(str(self.state_dir / SOCKET_FILE))

    async def burst(self, fuzz, stream, tcp):
        """As many messages on one connection as it bears, and up to two hundred."""
        if fuzz.random.random() < 0.05:
            self.sent += 1
            await stream.send_all(fuzz.bytes())
            if fuzz.random.random() < 0.5:
                with trio.move_on_after(0.2):
                    await stream.receive_some()
            return
        await stream.send_all(HANDSHAKE)
        await stream.receive_some()
        if tcp:
            token = self.secret if fuzz.random.random() < 0.97 else fuzz.value()
            message = json.dumps({"type": "auth", "access_token": token}).encode()
            await stream.send_all(frame(message))
            if token != self.secret:
                return
        fuzz.number = 0
        async with trio.open_nursery() as nursery:
            if fuzz.random.random() < 0.95:
                nursery.start_soon(drain, stream)
            with trio.move_on_after(1):
                for _ in range(fuzz.random.randrange(1, 200)):
                    data, more = fuzz.next()
                    await stream.send_all(data)
                    self.sent += 1
                    if not more or self.sent >= self.total:
                        break
                if fuzz.random.random() < 0.5:
                    await stream.send_eof()
                    await trio.sleep(0.001)
            nursery.cancel_scope.cancel()


async def drain(stream):
    try:
        while await stream.receive_some(65536):
            pass
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass


def survived(run):
    """What must be true afterwards."""
    run.host.terminate()
    assert run.host.wait(PATIENCE) == 0
    assert run.answered > 0
    first = run.notified[0]
    assert run.notified == list(range(first, first + len(run.notified)))
    with open_reader(run.state_dir) as queries:
        history = queries.list_executions(event_id="tick", limit=100_000)
    # Damage can leave a pattern that means every event, and who comes by the Unix door may trigger.
    history = [run for run in history if run.trigger != "manual"]
    slots = sorted(run.scheduled_time.timestamp() for run in history)
    assert {run.trigger for run in history} == {"schedule"}
    assert {run.reason for run in history} <= {None, "shutdown", "cancelled", "overlap"}
    gaps = [after - before for before, after in pairwise(slots)]
    assert set(gaps) <= {1.0}, "a slot is missing"
    late = max(run.lateness or 0 for run in history)
    log = run.state_dir.parent.joinpath("log").read_text()
    assert "Traceback" not in log, log[-5000:]
    return f"{len(slots)} slots, none lost, the latest start {late:.3f} s late"


def go(host, tmp_path, port, total):
    seed = int(os.environ.get("ALICIA_FUZZ_SEED", random.randrange(2**32)))
    print(f"ALICIA_FUZZ_SEED={seed}")
    run = Run(host, tmp_path / "state", port, total, seed)
    trio.run(run.all)
    said = survived(run)
    warm = [memory for sent, memory in run.memory if sent >= total // 4]
    growth = (warm[-1] - warm[0]) / 1e6
    print(f"{run.sent} messages; {run.answered} pings answered; {said};")
    print(f"memory {warm[-1] / 1e6:.1f} MB, grown by {growth:+.1f} MB since the first quarter")
    return growth


def test_a_host_survives_some_thousand_messages_of_any_shape(host, tmp_path, port):
    go(host, tmp_path, port, 4_000)


@pytest.mark.slow
def test_a_host_survives_a_hundred_thousand_messages_in_the_same_memory(host, tmp_path, port):
    assert go(host, tmp_path, port, 100_000) < 8
