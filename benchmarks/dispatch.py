"""Dispatch: 10,000 events due at one instant, a no-op action, the full life of each execution.

Ours: planned, committed as running before it starts, run under a deadline, its end committed with
the event's counters, everything notified. Peers do what they do: APScheduler in memory keeps no
record of a run.
"""

from __future__ import annotations

import time
from pathlib import Path

import trio

from benchmarks.measurement import Figures, measurement
from benchmarks.workload import loaded, store_place

COUNT = 10_000
LIMIT = 300.0
"""Seconds that a burst may take."""

SUSTAINED = 5
"""So many times as many events count as sustained."""


def _rate(seconds: float, count: int = COUNT) -> Figures:
    return {"per_s": count / seconds}


def _rate_and_cost(seconds: float, used: float, count: int = COUNT) -> Figures:
    """The rate, and microseconds of processor time of one, which a busy machine moves less."""
    return {"per_s": count / seconds, "cpu_us": 1e6 * used / count}


# -- limits ------------------------------------------------------------------------------


@measurement()
def bare_loop() -> Figures:
    """A heap and a trio task for each entry, with a deadline and its errors caught; nothing
    else."""
    import heapq

    done = 0

    async def no_op() -> None:
        return None

    async def live() -> None:
        nonlocal done
        try:
            with trio.fail_after(300):
                await no_op()
        except Exception:  # noqa: BLE001 - as a supervisor would
            failures.append(1)
        done += 1

    failures: list[int] = []

    async def main() -> tuple[float, float]:
        heap = [(0.0, number) for number in range(COUNT)]
        heapq.heapify(heap)
        began, used = time.perf_counter(), time.process_time()
        async with trio.open_nursery() as nursery:
            while heap:
                heapq.heappop(heap)
                nursery.start_soon(live)
        return time.perf_counter() - began, time.process_time() - used

    return _rate_and_cost(*trio.run(main), done)


@measurement()
def raw_inserts() -> Figures:
    """The rows that an execution's life writes, in grouped transactions of plain SQLite: its
    insert as running, its update as ended, and the event's state with each."""
    from alicia_scheduler.api.model import EventState, Status, from_epoch
    from alicia_scheduler.api.store import SaveExecution, SaveState
    from alicia_scheduler.kernel import ledger
    from alicia_scheduler.store.connections import open_writing
    from alicia_scheduler.store.rows import operations
    from alicia_scheduler.store.schema import prepare
    from benchmarks.workload import an_event, fill

    now = from_epoch(1_750_000_000)
    begun, ended = [], []
    for number in range(COUNT):
        event = an_event(number, 86_400)
        execution = ledger.started(ledger.new_execution(event, now, due=now), now)
        state = SaveState(event.event_id, EventState(next_run=now, next_due=now))
        begun += operations([SaveExecution(execution), state])
        over = ledger.finished(execution, Status.COMPLETED, now)
        ended += operations([SaveExecution(over), state])

    def write(path: Path) -> tuple[float, float]:
        connection = open_writing(path, "FULL")
        prepare(connection, path)
        began, used = time.perf_counter(), time.process_time()
        for rows in (begun, ended):
            for first in range(0, len(rows), GROUP):
                group = rows[first : first + GROUP]
                connection.execute("BEGIN IMMEDIATE")
                for statement in dict.fromkeys(each.statement for each in group):
                    values = [each.values for each in group if each.statement is statement]
                    connection.executemany(statement, values)
                connection.execute("COMMIT")
        taken = time.perf_counter() - began, time.process_time() - used
        connection.close()
        return taken

    async def events(path: Path) -> None:
        from alicia_scheduler.store.sqlite import SqliteStore

        async with SqliteStore.open(path) as store:
            await fill(store, COUNT, 1_750_000_000)

    with store_place(durable=True) as path:
        assert path is not None
        trio.run(events, path)
        return _rate_and_cost(*write(path))


GROUP = 2000
"""Rows in one transaction of the raw limit."""


# -- ours --------------------------------------------------------------------------------


@measurement()
def kernel_memory() -> Figures:
    """The kernel with everything in memory, and room to run all at once."""
    return _burst(durable=False, places=COUNT)


@measurement()
def kernel_durable() -> Figures:
    """The kernel on disk: mark before act, write-ahead log, synchronous FULL."""
    return _burst(durable=True, places=COUNT)


@measurement()
def kernel_durable_default() -> Figures:
    """The same with the places of a default host (100): most executions wait for one, and that
    they wait is a commit of its own."""
    return _burst(durable=True, places=None)


@measurement(rounds=1)
def kernel_durable_sustained() -> Figures:
    """Five times as many at once, on disk: what it keeps up, with the log merged meanwhile."""
    return _burst(durable=True, places=COUNT, bursts=SUSTAINED)


def _burst(*, durable: bool, places: int | None, bursts: int = 1) -> Figures:
    from alicia_scheduler.kernel.kernel import KernelSettings

    settings = KernelSettings() if places is None else KernelSettings(max_concurrent=places)

    async def main() -> Figures:
        count = COUNT * bursts
        async with loaded(count, durable=durable, settings=settings) as (run, due):
            used = 0.0
            with trio.fail_after(due - time.time() + LIMIT):
                await trio.sleep(due - time.time() - 0.05)
                used = time.process_time()
                await run.heard.enough.wait()
            used = time.process_time() - used
            return {
                "per_s": count / (run.heard.last_completed - due),
                "started_per_s": count / (run.heard.last_started - due),
                "cpu_us": 1e6 * used / count,
                "first_ms": 1000 * run.heard.lateness[0],
            }

    return trio.run(main)


# -- peers -------------------------------------------------------------------------------


@measurement(peer="apscheduler-3")
def apscheduler3_memory() -> Figures:
    """APScheduler 3, asyncio, jobs in memory: it keeps no record of what ran."""
    return _apscheduler3(None, COUNT)


@measurement(peer="apscheduler-3")
def apscheduler3_sqlite() -> Figures:
    """APScheduler 3, asyncio, jobs in SQLite; fewer, as they take long to add."""
    with store_place(durable=True) as path:
        return _apscheduler3(f"sqlite:///{path}", 1000)


def _apscheduler3(url: str | None, count: int) -> Figures:
    import asyncio
    from datetime import datetime

    from apscheduler.events import EVENT_JOB_EXECUTED
    from apscheduler.executors.asyncio import AsyncIOExecutor
    from apscheduler.schedulers.asyncio import AsyncIOScheduler

    async def main() -> float:
        scheduler = AsyncIOScheduler(executors={"default": AsyncIOExecutor()}, timezone="UTC")
        if url is not None:
            from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore

            scheduler.add_jobstore(SQLAlchemyJobStore(url=url))
        done = 0
        over = asyncio.Event()

        def heard(_event: object) -> None:
            nonlocal done
            done += 1
            if done == count:
                over.set()

        scheduler.add_listener(heard, EVENT_JOB_EXECUTED)
        scheduler.start(paused=True)
        due = datetime.now().astimezone()
        for number in range(count):
            scheduler.add_job(
                no_op_coroutine,
                "interval",
                seconds=86_400,
                id=str(number),
                next_run_time=due,
                misfire_grace_time=None,
            )
        began = time.perf_counter()
        scheduler.resume()
        await over.wait()
        seconds = time.perf_counter() - began
        scheduler.shutdown(wait=False)
        return seconds

    return _rate(asyncio.run(main()), count)


async def no_op_coroutine() -> None:
    """What peers run that want a coroutine which can be imported by name."""


def no_op() -> None:
    """The same for peers that want a function."""


@measurement(peer="apscheduler-4", rounds=2)
def apscheduler4_memory() -> Figures:
    """APScheduler 4, schedules and jobs in memory, its best: on trio or asyncio alike."""
    return _apscheduler4(None, 2000)


@measurement(peer="apscheduler-4", rounds=1)
def apscheduler4_sqlite() -> Figures:
    """APScheduler 4, schedules and jobs in SQLite; fewer, as they would take minutes."""
    with store_place(durable=True) as path:
        return _apscheduler4(f"sqlite+aiosqlite:///{path}", 300)


def _apscheduler4(url: str | None, count: int) -> Figures:
    import asyncio
    from datetime import UTC, datetime

    from apscheduler import AsyncScheduler, JobReleased
    from apscheduler.datastores.memory import MemoryDataStore
    from apscheduler.triggers.interval import IntervalTrigger

    async def main() -> float:
        if url is None:
            data_store = MemoryDataStore()
        else:
            from apscheduler.datastores.sqlalchemy import SQLAlchemyDataStore

            data_store = SQLAlchemyDataStore(engine_or_url=url)
        done = 0
        over = asyncio.Event()

        def heard(_event: object) -> None:
            nonlocal done
            done += 1
            if done == count:
                over.set()

        async with AsyncScheduler(data_store, max_concurrent_jobs=count) as scheduler:
            scheduler.subscribe(heard, {JobReleased})
            due = datetime.now(UTC)
            await scheduler.configure_task("no_op", func=no_op_coroutine, max_running_jobs=count)
            for number in range(count):
                trigger = IntervalTrigger(days=1, start_time=due)
                await scheduler.add_schedule("no_op", trigger, id=str(number))
            began = time.perf_counter()
            await scheduler.start_in_background()
            await over.wait()
            seconds = time.perf_counter() - began
            await scheduler.stop()
        return seconds

    return _rate(asyncio.run(main()), count)


@measurement(peer="huey")
def huey_sqlite() -> Figures:
    """huey: tasks of a queue in SQLite, taken and run one by one in this process."""
    from huey import SqliteHuey

    with store_place(durable=True) as path:
        queue = SqliteHuey(filename=str(path), fsync=True)
        task = queue.task()(no_op)
        for _ in range(COUNT // 5):
            task()
        began = time.perf_counter()
        done = 0
        while (job := queue.dequeue()) is not None:
            queue.execute(job)
            done += 1
        return _rate(time.perf_counter() - began, done)


@measurement(peer="schedule")
def schedule_loop() -> Figures:
    """schedule: one loop over all jobs, no concurrency and no record."""
    import datetime

    import schedule

    for _ in range(COUNT):
        schedule.every().day.do(no_op).next_run = datetime.datetime.now()  # noqa: DTZ005
    began = time.perf_counter()
    schedule.run_pending()
    return _rate(time.perf_counter() - began)


@measurement(peer="aiocron")
def aiocron_loop() -> Figures:
    """aiocron: a timer of the loop for each job, here every second, a tenth as many; no record."""
    import asyncio

    import aiocron

    async def main() -> float:
        done = 0
        over = asyncio.Event()

        async def count() -> None:
            nonlocal done
            done += 1
            if done == COUNT // 10:
                over.set()

        jobs = [aiocron.crontab("* * * * * *", func=count, start=False) for _ in range(COUNT // 10)]
        await asyncio.sleep(1 - time.time() % 1)
        for job in jobs:
            job.start()
        due = int(time.time()) + 1
        await over.wait()
        return time.time() - due

    return _rate(asyncio.run(main()), COUNT // 10)
