"""Scale: a million stored events, of which one is due and none other within the hour.

What it costs must follow what happens, not what exists: start, memory, adding an event, a page of a
listing, and the wake-ups of a host with nothing to do.
"""

from __future__ import annotations

import multiprocessing
import statistics
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

from benchmarks.measurement import Figures, measurement
from benchmarks.workload import NoOp, an_event, fill, running, store_place

MANY = 1_000_000
FEW = 1_000
NEAR = 10_000
"""As many entries as the agenda reads from the store at once."""

IDLE = 10.0
"""Seconds of doing nothing that are looked at."""

HOUR = 3600.0


@measurement(rounds=1)
def million() -> Figures:
    """A kernel on a store of a million events."""
    return _with_stored(MANY)


@measurement(rounds=1)
def thousand() -> Figures:
    """The same with a thousand."""
    return _with_stored(FEW)


def _with_stored(count: int) -> Figures:
    with store_place(durable=True) as path:
        assert path is not None
        # In a process of its own, whose memory is not ours.
        filling = multiprocessing.get_context("spawn").Process(target=_fill, args=(path, count))
        filling.start()
        filling.join()
        size = path.stat().st_size
        figures = trio.run(_measure, path, count)
        return {**figures, "file_bytes_per_event": size / count}


def _fill(path: Path, count: int) -> None:
    async def main() -> None:
        from alicia_scheduler.api.model import EventState, from_epoch
        from alicia_scheduler.api.store import SaveEvent
        from alicia_scheduler.store.sqlite import SqliteStore

        async with SqliteStore.open(path, synchronous="NORMAL") as store:
            await fill(store, count, time.time() + 3 * HOUR, 30 * 24 * HOUR)
            now = from_epoch(time.time())
            state = EventState(next_run=now, next_due=now, anchor=now)
            await store.commit([SaveEvent(an_event(count, 30 * 24 * HOUR), state)])

    trio.run(main)


class WakeUps(trio.abc.Instrument):
    """Counts how often trio's loop had something to do."""

    def __init__(self) -> None:
        self.count = 0

    def after_io_wait(self, timeout: float) -> None:
        self.count += 1


async def _measure(path: Path, count: int) -> Figures:
    from alicia_scheduler.kernel.definitions import save_event
    from alicia_scheduler.store.sqlite import SqliteStore

    dispatched = trio.Event()

    async def note(_execution: object) -> None:
        dispatched.set()

    began = time.perf_counter()
    async with (
        SqliteStore.open(path) as store,
        running(store, 1, NoOp(note)) as run,
    ):
        await dispatched.wait()
        figures = {"start_s": time.perf_counter() - began}
        await trio.sleep(1)
        figures["rss_mb"] = _resident() / 1e6

        wake_ups = WakeUps()
        used = time.process_time()
        trio.lowlevel.add_instrument(wake_ups)
        await trio.sleep(IDLE)
        # One of them is that of this sleep.
        figures["idle_wake_ups"] = wake_ups.count - 1
        trio.lowlevel.remove_instrument(wake_ups)
        figures["idle_cpu_ms_per_s"] = 1000 * (time.process_time() - used) / IDLE

        async def add(number: int) -> None:
            await save_event(run.kernel, an_event(count + 1 + number, 30 * 24 * HOUR))

        async def page(number: int) -> None:
            await store.list_events(after_id=f"event-{count * number // 200:07}", limit=100)

        figures["add_ms"], figures["add_cpu_ms"] = await _median_ms(add)
        figures["page_ms"], figures["page_cpu_ms"] = await _median_ms(page)
        figures["rss_after_mb"] = _resident() / 1e6
        return figures


async def _median_ms(job: Callable[[int], Awaitable[None]]) -> tuple[float, float]:
    """The median of 200 calls in milliseconds, and their mean of processor time."""
    used = time.process_time()
    times = []
    for number in range(200):
        before = time.perf_counter()
        await job(number)
        times.append(time.perf_counter() - before)
    return 1000 * statistics.median(times), 1000 * (time.process_time() - used) / 200


def _resident() -> int:
    """Bytes of this process that are in memory."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("the system does not say how much memory is used")


@measurement()
def agenda() -> Figures:
    """What one near event takes in the agenda, everything counted; and to put one there."""
    from alicia_scheduler.api.model import from_epoch
    from alicia_scheduler.api.store import Due
    from alicia_scheduler.kernel.agenda import Agenda

    begin = time.time() + HOUR
    tracemalloc.start()
    near = Agenda(window=NEAR)
    before = tracemalloc.get_traced_memory()[0]
    near.begin_refill()
    near.end_refill([Due(from_epoch(begin + n), f"event-{n:07}") for n in range(NEAR - 1)])
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    began = time.perf_counter()
    for number in range(NEAR):
        near.put(Due(from_epoch(begin + number * 7 % NEAR), f"new-{number:07}"))
    return {
        "bytes_per_event": taken / (NEAR - 1),
        "put_us": 1e6 * (time.perf_counter() - began) / NEAR,
    }
