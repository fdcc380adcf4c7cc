"""A million executions in virtual time, with what the process takes for them measured on the way.

Run as a program (``python -m tests.soak.life --help``) it prints a line of JSON for each
measurement, so that a test can look at a process that does nothing else.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import trio
import trio.testing
from tests.machine.world import pass_time

from alicia_scheduler.api import EventExecution, Permanent, Retryable
from alicia_scheduler.kernel.definitions import save_event
from alicia_scheduler.store import SqliteStore
from alicia_scheduler.testing.kernel import KernelUnderTest, make_event, running_kernel

__all__ = ["live"]

EVENTS = 200
"""Events with a slot every ten seconds, so each tick of the clock starts two hundred runs."""

KEPT = 20
"""Executions of each event that the history keeps."""

leaked: list[Any] = []
"""Where a planted defect puts what it does not let go of."""


class Settling:
    """Knows when a store's threads have nothing to do, which the virtual clock cannot see."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self._busy = 0
        self._idle = trio.Event()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        if not callable(found):
            return found

        async def counted(*arguments: Any, **options: Any) -> Any:
            self._busy += 1
            try:
                return await found(*arguments, **options)
            finally:
                self._busy -= 1
                if not self._busy:
                    self._idle.set()

        return counted

    async def settled(self) -> None:
        """Return when everything has happened that is to happen at this instant."""
        while True:
            await trio.testing.wait_all_tasks_blocked()
            if not self._busy:
                return
            self._idle = trio.Event()
            await self._idle.wait()


async def live(
    executions: int,
    every: int,
    tell: Callable[[dict[str, float]], None],
    *,
    file: Path | None = None,
    defect: str | None = None,
) -> None:
    """Let so many executions happen, and measure after each ``every`` of them.

    Most complete; some fail for good, some are retried, some overlap, some outlast their timeout,
    and now and then an event is made, changed or triggered.
    """
    time = trio.lowlevel.current_clock()
    assert isinstance(time, trio.testing.MockClock)
    done = 0

    async def work(_config: Any, execution: EventExecution) -> dict[str, int]:
        nonlocal done
        done += 1
        if defect == "leak":
            leaked.append(execution)
        if defect == "descriptors" and done % 500 == 0:
            leaked.append(os.open("/dev/null", os.O_RDONLY))
        if done % 100 == 0:
            raise Permanent("meant to fail")
        if done % 77 == 0 and execution.attempt == 1:
            raise Retryable("meant to be tried again")
        if done % 501 == 0:
            await trio.sleep(25)
        if done % 1001 == 0:
            await trio.sleep_forever()
        return {"done": done}

    async with SqliteStore.open(file) as opened:
        store = Settling(opened)
        # What is told is not kept here, as it would be by the fixture for tests.
        async with running_kernel(store=store, actions={"work": work}) as machine:
            machine.kernel.notifier.listen(lambda _: machine.notifications.clear())
            for number in range(EVENTS):
                await save_event(machine.kernel, _event(number, 0))
            measured = 0
            while done < executions:
                await pass_time(time, 10.0, store.settled)
                if done // every > measured:
                    measured = done // every
                    await _churn(machine, measured)
                    await _trim(opened, store.settled)
                    tell({"executions": done, **_taken()})
                elif done % 5000 < EVENTS:
                    await _trim(opened, store.settled)
            # An orderly stop would wait for what hangs, and nobody moves the clock any more.
            machine.clock.lose_power(0.0)
            await trio.sleep_forever()
        leaked.clear()


def _event(number: int, generation: int) -> Any:
    return make_event(
        f"event-{number}",
        name=f"generation {generation}",
        action={"type": "work"},
        retry_delay=3.0,
        timeout=60.0,
        mode=("single", "queued", "parallel", "restart")[number % 4],
    )


async def _churn(machine: KernelUnderTest, generation: int) -> None:
    """What people do meanwhile."""
    for number in range(0, EVENTS, 20):
        await save_event(machine.kernel, _event(number, generation))
        await machine.kernel.trigger(f"event-{number}")


async def _trim(store: SqliteStore, settled: Callable[[], Awaitable[None]]) -> None:
    while await store.trim(per_event=KEPT, keep_per_status=5):
        pass
    await settled()


def _taken() -> dict[str, float]:
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "rss": pages * os.sysconf("SC_PAGE_SIZE"),
        "descriptors": sum(1 for _ in Path("/proc/self/fd").iterdir()),
        "threads": threading.active_count(),
    }


def _main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("executions", type=int)
    parser.add_argument("every", type=int)
    parser.add_argument("--file", type=Path)
    parser.add_argument("--defect")
    wanted = parser.parse_args()

    async def run() -> None:
        await live(
            wanted.executions,
            wanted.every,
            lambda taken: print(json.dumps(taken), flush=True),
            file=wanted.file,
            defect=wanted.defect,
        )

    trio.run(run, clock=trio.testing.MockClock())


if __name__ == "__main__":
    _main()
