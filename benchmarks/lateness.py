"""Lateness: how long after its instant an action begins, and what a burst does to everybody else.

10,000 events spread evenly over ten seconds, measured inside the action. Then 10,000 at once, while
somebody asks the store for a page of events all the time.
"""

from __future__ import annotations

import heapq
import itertools
import statistics
import time

import trio

from alicia_scheduler.api.model import EventExecution
from alicia_scheduler.api.store import Store
from benchmarks.measurement import Figures, measurement
from benchmarks.workload import NoOp, loaded, store_place

COUNT = 10_000
SPREAD = 10.0
LIMIT = 300.0
"""Seconds that it may take."""
AHEAD = 5.0
"""Seconds until the first job of a peer is due, beside those that its preparation takes."""


def lateness_figures(lateness: list[float]) -> Figures:
    """Median and tail in milliseconds, of seconds."""
    cuts = statistics.quantiles(lateness, n=100)
    return {"p50_ms": 1000 * cuts[49], "p99_ms": 1000 * cuts[98], "max_ms": 1000 * max(lateness)}


# -- the limit ---------------------------------------------------------------------------


@measurement()
def bare_timer() -> Figures:
    """A heap of instants and one trio task that sleeps until the next one."""

    async def main() -> list[float]:
        began = time.time() + 0.1
        heap = [began + SPREAD * number / COUNT for number in range(COUNT)]
        heapq.heapify(heap)
        late = []
        while heap:
            await trio.sleep(max(0.0, heap[0] - time.time()))
            while heap and heap[0] <= time.time():
                late.append(time.time() - heapq.heappop(heap))
        return late

    return lateness_figures(trio.run(main))


# -- ours --------------------------------------------------------------------------------


@measurement()
def kernel_memory() -> Figures:
    """The kernel with everything in memory."""
    return _spread(durable=False)


@measurement()
def kernel_durable() -> Figures:
    """The kernel on disk: each start is durable before its action begins."""
    return _spread(durable=True)


def _spread(*, durable: bool) -> Figures:
    late: list[float] = []

    async def note(execution: EventExecution) -> None:
        late.append(time.time() - execution.scheduled_time.timestamp())

    async def main() -> None:
        async with loaded(COUNT, SPREAD, durable=durable, types=NoOp(note)) as (run, due):
            with trio.fail_after(due - time.time() + SPREAD + LIMIT):
                await run.heard.enough.wait()

    trio.run(main)
    return lateness_figures(late)


@measurement()
def burst() -> Figures:
    """10,000 at one instant on disk, with the places of a default host, and a page of events asked
    for all the time."""
    answers: list[float] = []

    async def ask(store: Store, since: float) -> None:
        await trio.sleep(since - time.time())
        while True:
            before = time.perf_counter()
            await store.list_events(limit=100)
            answers.append(time.perf_counter() - before)
            await trio.sleep(0.005)

    async def main() -> Figures:
        async with loaded(COUNT, durable=True) as (run, due), trio.open_nursery() as nursery:
            nursery.start_soon(ask, run.store, due)
            with trio.fail_after(due - time.time() + LIMIT):
                await run.heard.enough.wait()
            nursery.cancel_scope.cancel()
            order = run.heard.order
            return {
                "started_per_s": COUNT / (run.heard.last_started - due),
                "out_of_order": sum(a > b for a, b in itertools.pairwise(order)),
            }

    figures = trio.run(main)
    asked = statistics.quantiles(answers, n=100)
    return {
        **figures,
        "answer_p50_ms": 1000 * asked[49],
        "answer_p99_ms": 1000 * asked[98],
        "answer_max_ms": 1000 * max(answers),
    }


@measurement()
def dispatch() -> Figures:
    """The same burst without anybody asking, for comparison."""
    from benchmarks.dispatch import kernel_durable_default

    return kernel_durable_default()


# -- peers -------------------------------------------------------------------------------

late_of_peer: list[float] = []


async def note_lateness(due: float) -> None:
    """The coroutine that a peer runs."""
    late_of_peer.append(time.time() - due)


@measurement(peer="apscheduler-3")
def apscheduler3_memory() -> Figures:
    """APScheduler 3, asyncio, jobs in memory."""
    return _apscheduler3(None, COUNT, SPREAD)


@measurement(peer="apscheduler-3", rounds=1)
def apscheduler3_sqlite() -> Figures:
    """APScheduler 3, asyncio, jobs in SQLite, at the same 1,000 a second for two seconds."""
    with store_place(durable=True) as path:
        return _apscheduler3(f"sqlite:///{path}", 2000, 2.0)


def _apscheduler3(url: str | None, count: int, spread: float) -> Figures:
    import asyncio
    from datetime import UTC, datetime

    from apscheduler.executors.asyncio import AsyncIOExecutor
    from apscheduler.schedulers.asyncio import AsyncIOScheduler

    async def main() -> None:
        scheduler = AsyncIOScheduler(executors={"default": AsyncIOExecutor()}, timezone="UTC")
        if url is not None:
            from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore

            scheduler.add_jobstore(SQLAlchemyJobStore(url=url))
        # Far ahead while it is being prepared, which takes what it takes.
        began = time.time() + AHEAD + count / (20_000 if url is None else 40)
        for number in range(count):
            due = began + spread * number / count
            scheduler.add_job(
                note_lateness,
                "interval",
                args=(due,),
                seconds=86_400,
                id=str(number),
                next_run_time=datetime.fromtimestamp(due, UTC),
                misfire_grace_time=None,
            )
        scheduler.start()
        while len(late_of_peer) < count:  # noqa: ASYNC110 - plain functions have no event
            await asyncio.sleep(0.1)
        scheduler.shutdown(wait=False)

    asyncio.run(main())
    return lateness_figures(late_of_peer)
