"""What a hundred subscribers to everything cost the schedule, at 1,000 notifications a second.

The host's side is this process: a kernel in memory with 500 executions a second, two notifications
each, and the Unix door. The subscribers are another process that takes what comes and looks at none
of it. Lateness is measured inside the action, as in ``lateness``.
"""

from __future__ import annotations

import selectors
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import trio

from alicia_scheduler.api.model import EventExecution
from alicia_scheduler.config.control import ControlSettings
from alicia_scheduler.control.messages import SOCKET_FILE
from alicia_scheduler.control.replay import ReplayLog
from alicia_scheduler.control.shared import Surroundings
from alicia_scheduler.control.unix import serve_unix
from benchmarks.lateness import lateness_figures
from benchmarks.measurement import Figures, measurement
from benchmarks.slow_consumers import Stalled
from benchmarks.workload import NoOp, loaded

COUNT = 2500
RATE = 500
"""Executions a second; each is told twice."""

SUBSCRIBERS = 100
LIMIT = 300.0


@measurement()
def alone() -> Figures:
    """Nobody subscribes."""
    return _measured(0)


@measurement()
def hundred() -> Figures:
    """A hundred subscribe to everything."""
    return _measured(SUBSCRIBERS)


class _Nobody:
    """Commands of a host that has none."""

    async def execute(self, _caller: object, name: str, _arguments: object) -> object:
        return {"asked": name}

    def note(self, _caller: object, _name: str, _arguments: object, _outcome: str) -> None:
        """Nobody keeps an audit log here."""


def _measured(subscribers: int) -> Figures:
    late: list[float] = []

    async def note(execution: EventExecution) -> None:
        late.append(time.time() - execution.scheduled_time.timestamp())

    async def main(folder: Path) -> Figures:
        spread = COUNT / RATE
        async with (
            loaded(COUNT, spread, durable=False, types=NoOp(note)) as (run, due),
            trio.open_nursery() as nursery,
        ):
            log = ReplayLog(2000, lambda _event: frozenset())
            run.kernel.notifier.listen(log.append)
            shared = Surroundings(_Nobody(), log, ControlSettings())
            nursery.start_soon(serve_unix, shared, folder / SOCKET_FILE)
            with _consumers(folder, subscribers):
                with trio.fail_after(LIMIT):
                    while len(log._readers) < subscribers:  # noqa: ASYNC110
                        await trio.sleep(0.01)
                if time.time() > due:
                    raise RuntimeError("the subscribers took longer than the machine promised")
                await trio.sleep(due - time.time() - 0.05)
                before = time.process_time()
                with trio.fail_after(spread + LIMIT):
                    await run.heard.enough.wait()
                    while any(reader.position < log.end for reader in log._readers):  # noqa: ASYNC110
                        await trio.sleep(0.005)
                taken, left = time.process_time() - before, len(log._readers)
                nursery.cancel_scope.cancel()
            return {
                "cpu_us_per_execution": 1e6 * taken / COUNT,
                "told": log.end,
                "cut_off": subscribers - left,
            }

    with tempfile.TemporaryDirectory() as folder:
        figures = trio.run(main, Path(folder))
    return {**lateness_figures(late), **figures}


@contextmanager
def _consumers(folder: Path, count: int) -> Iterator[None]:
    if not count:
        yield
        return
    command = [sys.executable, "-m", "benchmarks.subscribers", str(folder), str(count)]
    process = subprocess.Popen(command)
    try:
        yield
    finally:
        process.kill()
        process.wait()


def consume(folder: Path, count: int) -> None:
    """Subscribe so many times, and take what comes until killed."""
    while not (folder / SOCKET_FILE).exists():
        time.sleep(0.01)
    chosen = selectors.DefaultSelector()
    for _ in range(count):
        chosen.register(Stalled(folder).socket, selectors.EVENT_READ)
    while True:
        for key, _ in chosen.select():
            key.fileobj.recv(1 << 18)  # type: ignore[union-attr]
        # As a reader that has something else to do as well; else this process takes a whole core.
        time.sleep(0.01)


if __name__ == "__main__":
    consume(Path(sys.argv[1]), int(sys.argv[2]))
