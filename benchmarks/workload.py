"""The kernel under load: a store, a no-op action, and many events due when the benchmark says."""

from __future__ import annotations

import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import trio

from alicia_schedule_interval.schedule import IntervalSchedule
from alicia_scheduler.api.model import (
    EventExecution,
    EventState,
    Notification,
    ScheduledEvent,
    from_epoch,
)
from alicia_scheduler.api.store import SaveEvent, Store
from alicia_scheduler.kernel.clock import SystemClock
from alicia_scheduler.kernel.kernel import Kernel, KernelSettings
from alicia_scheduler.kernel.loop import run_kernel
from alicia_scheduler.kernel.notifications import Notifier
from alicia_scheduler.kernel.prepared import Prepared
from alicia_scheduler.kernel.records import Records
from alicia_scheduler.store.memory import MemoryStore
from alicia_scheduler.store.sqlite import SqliteStore

__all__ = ["Heard", "NoOp", "Running", "an_event", "fill", "loaded", "running", "store_place"]

T = TypeVar("T")

PAGE = 10_000
"""Events that are saved in one commit."""


class NoOp:
    """Interval schedules and an action that does nothing. Implements
    :class:`alicia_scheduler.kernel.prepared.Types`.

    Args:
        action: what is called instead of nothing.
    """

    def __init__(self, action: Callable[[EventExecution], Awaitable[None]] | None = None) -> None:
        self._action = action

    def prepare(self, event: ScheduledEvent, anchor: datetime) -> Prepared:
        period = timedelta(seconds=event.schedule_config["seconds"])
        return Prepared(IntervalSchedule(anchor, period, "interval"), "no_op", event.action)

    def follows_elapsed_time(self, event: ScheduledEvent) -> bool:
        return True

    async def run_action(self, prepared: Prepared, execution: EventExecution) -> object | None:
        if self._action is not None:
            await self._action(execution)
        return None

    def redact(self, value: T) -> T:
        return value


@dataclass
class Heard:
    """What was notified, counted; the one listener there is.

    Attributes:
        started, completed: how many executions.
        last_completed: when the last one was told (epoch seconds).
        lateness: seconds of each start after its slot, in the order in which they were told.
        order: the ids of the events, in the same order.
        enough: set when ``wanted`` executions have completed.
    """

    wanted: int
    started: int = 0
    completed: int = 0
    last_started: float = 0.0
    last_completed: float = 0.0
    lateness: list[float] = field(default_factory=list)
    order: list[str] = field(default_factory=list)
    enough: trio.Event = field(default_factory=trio.Event)

    def __call__(self, notification: Notification) -> None:
        if notification.event_type == "execution_started":
            self.started += 1
            self.last_started = time.time()
            self.lateness.append(notification.event_data["lateness"])
            self.order.append(notification.event_data["event_id"])
        elif notification.event_type == "execution_completed":
            self.completed += 1
            if self.completed >= self.wanted:
                self.last_completed = time.time()
                self.enough.set()


@dataclass
class Running:
    """A running kernel and its one listener."""

    kernel: Kernel
    store: Store
    heard: Heard


def an_event(number: int, seconds: float, priority: int = 0) -> ScheduledEvent:
    """An event every so many seconds with the action that does nothing."""
    event_id = f"event-{number:07}"
    created = from_epoch(1_700_000_000)
    return ScheduledEvent(
        event_id=event_id,
        name=event_id,
        schedule_type="interval",
        schedule_config={"seconds": seconds},
        action={"type": "no_op"},
        created_at=created,
        updated_at=created,
        priority=priority,
    )


async def fill(
    store: Store, count: int, first: float, spread: float = 0.0, *, period: float = 86_400.0
) -> None:
    """Save ``count`` events that are due from ``first`` (epoch seconds) on, spread evenly over
    ``spread`` seconds."""
    for begin in range(0, count, PAGE):
        changes = []
        for number in range(begin, min(begin + PAGE, count)):
            due = from_epoch(first + spread * number / count)
            state = EventState(next_run=due, next_due=due, anchor=due - timedelta(seconds=period))
            changes.append(SaveEvent(an_event(number, period), state))
        await store.commit(changes)


@contextmanager
def store_place(*, durable: bool) -> Iterator[Path | None]:
    """The file of a store that is thrown away afterwards, on the disk of this folder; or None, for
    one in memory."""
    if not durable:
        yield None
        return
    with tempfile.TemporaryDirectory(dir=Path.cwd(), prefix=".bench-") as folder:
        yield Path(folder) / "alicia.db"


@asynccontextmanager
async def running(
    store: Store, wanted: int, types: NoOp | None = None, settings: KernelSettings | None = None
) -> AsyncIterator[Running]:
    """A kernel that runs on the machine's clock while the block is open, then drains."""
    clock = SystemClock()
    notifier = Notifier(clock)
    heard = Heard(wanted)
    notifier.listen(heard)
    async with Records.running(store, notifier, clock) as records:
        kernel = Kernel(records, types or NoOp(), clock, settings)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run_kernel, kernel)
            await kernel.ready.wait()
            yield Running(kernel, store, heard)
            kernel.stop()


@asynccontextmanager
async def loaded(
    count: int,
    spread: float = 0.0,
    *,
    durable: bool,
    types: NoOp | None = None,
    settings: KernelSettings | None = None,
) -> AsyncIterator[tuple[Running, float]]:
    """A kernel that runs on ``count`` events, and the instant (epoch seconds) from which on they
    are due, which is just ahead.

    How long the preparation takes is found out with a store that is thrown away.
    """
    began = time.time()
    async with SqliteStore.open(None) as trial:
        await fill(trial, count // 10, began)
    first = time.time() + 2 + 30 * (time.time() - began)
    with store_place(durable=durable) as path:
        async with SqliteStore.open(path) if path else MemoryStore.open() as store:
            await fill(store, count, first, spread)
            async with running(store, count, types, settings) as run:
                if time.time() > first:
                    raise RuntimeError("the preparation took longer than the machine promised")
                yield run, first
