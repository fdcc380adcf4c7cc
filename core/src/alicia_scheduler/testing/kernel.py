"""A kernel in memory, with schedules and actions that a test writes down in a line."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

import trio

from alicia_scheduler.api.contracts import Schedule
from alicia_scheduler.api.model import EventExecution, Notification, ScheduledEvent, from_epoch
from alicia_scheduler.api.store import Store
from alicia_scheduler.kernel.kernel import Kernel, KernelSettings
from alicia_scheduler.kernel.loop import run_kernel
from alicia_scheduler.kernel.notifications import Notifier
from alicia_scheduler.kernel.prepared import Prepared, Unresolved
from alicia_scheduler.kernel.records import Records
from alicia_scheduler.kernel.recovery import take_over
from alicia_scheduler.store.sqlite import SqliteStore
from alicia_scheduler.testing.clock import START, VirtualClock

__all__ = ["At", "Every", "KernelUnderTest", "ScriptedTypes", "make_event", "running_kernel"]

T = TypeVar("T")

ActionFunction = Callable[[Any, EventExecution], Awaitable[object | None]]


@dataclass(frozen=True)
class Every:
    """A grid: ``anchor + k · seconds``."""

    anchor: datetime
    seconds: float

    def next_after(self, instant: datetime) -> datetime | None:
        steps = (instant - self.anchor) // timedelta(seconds=self.seconds) + 1
        return self.anchor + max(1, steps) * timedelta(seconds=self.seconds)

    def describe(self) -> str:
        return f"every {self.seconds:g} s"


@dataclass(frozen=True)
class At:
    """Fixed instants."""

    instants: tuple[datetime, ...]

    def next_after(self, instant: datetime) -> datetime | None:
        return min((slot for slot in self.instants if slot > instant), default=None)

    def describe(self) -> str:
        return f"at {len(self.instants)} instants"


@dataclass
class ScriptedTypes:
    """Schedule types ``every`` (``{"seconds": n}``, elapsed from the anchor), ``clock`` (the same
    by the wall clock, from midnight) and ``at`` (``{"epochs": […]}``), and the actions a test
    puts in. Implements :class:`alicia_scheduler.kernel.prepared.Types`."""

    actions: dict[str, ActionFunction] = field(default_factory=dict)

    def prepare(self, event: ScheduledEvent, anchor: datetime) -> Prepared:
        schedule: Schedule
        if event.schedule_type == "every":
            schedule = Every(anchor, event.schedule_config["seconds"])
        elif event.schedule_type == "clock":
            schedule = Every(from_epoch(0), event.schedule_config["seconds"])
        elif event.schedule_type == "at":
            schedule = At(tuple(map(from_epoch, event.schedule_config["epochs"])))
        else:
            raise Unresolved(f"the schedule type {event.schedule_type!r} is not installed")
        action_type = event.action["type"]
        if action_type not in self.actions:
            raise Unresolved(f"the action type {action_type!r} is not installed")
        return Prepared(schedule, action_type, event.action)

    def follows_elapsed_time(self, event: ScheduledEvent) -> bool:
        return event.schedule_type == "every"

    async def run_action(self, prepared: Prepared, execution: EventExecution) -> object | None:
        return await self.actions[prepared.action_type](prepared.action_config, execution)

    def redact(self, value: T) -> T:
        return value


def make_event(event_id: str = "event", **fields: Any) -> ScheduledEvent:
    """An event every 10 s with the action ``note``, unless ``fields`` say otherwise."""
    defaults: dict[str, Any] = {
        "name": event_id,
        "schedule_type": "every",
        "schedule_config": {"seconds": 10},
        "action": {"type": "note"},
        "created_at": START,
        "updated_at": START,
        "retry_jitter": 0.0,
        "origin": "test",
    }
    return ScheduledEvent(event_id=event_id, **(defaults | fields))


@dataclass
class KernelUnderTest:
    """A running kernel and what can be seen of it.

    Attributes:
        ran: what the action ``note`` was called with.
        notifications: everything that was notified.
    """

    kernel: Kernel
    clock: VirtualClock
    store: Store
    types: ScriptedTypes
    ran: list[EventExecution]
    notifications: list[Notification]

    def told(self, event_type: str) -> list[dict[str, Any]]:
        """The data of all notifications of a type."""
        return [item.event_data for item in self.notifications if item.event_type == event_type]

    async def history(self, event_id: str = "event") -> list[EventExecution]:
        """All executions of an event, oldest slot first."""
        found = await self.store.list_executions(event_id=event_id, limit=100_000)
        return found[::-1]


@asynccontextmanager
async def running_kernel(
    *,
    store: Store | None = None,
    actions: dict[str, ActionFunction] | None = None,
    settings: KernelSettings | None = None,
    start: datetime = START,
    clock: VirtualClock | None = None,
    before: Callable[[KernelUnderTest], Awaitable[object]] | None = None,
) -> AsyncIterator[KernelUnderTest]:
    """A kernel that runs while the block is open, then drains.

    Args:
        store: a store to go on with; by default a new one in memory.
        actions: more actions, by type name; ``note`` is always there and only takes note.
        start: what the clock shows at first.
        clock: a clock to go on with, instead; when it loses its power, the kernel ends where it
            is and so does the block.
        before: awaited with the kernel before it starts, e.g. to save events.
    """
    ran: list[EventExecution] = []

    async def note(_config: Any, execution: EventExecution) -> None:
        ran.append(execution)

    if store is None:
        async with (
            SqliteStore.open(None) as fresh,
            running_kernel(
                store=fresh,
                actions=actions,
                settings=settings,
                start=start,
                clock=clock,
                before=before,
            ) as under_test,
        ):
            yield under_test
        return
    clock = clock or VirtualClock(start)
    notifier = Notifier(clock)
    notifications: list[Notification] = []
    notifier.listen(notifications.append)
    types = ScriptedTypes({"note": note, **(actions or {})})
    with clock.powered():
        async with Records.running(store, notifier, clock) as records:
            kernel = Kernel(records, types, clock, settings)
            records.begun_anew = partial(take_over, kernel)
            under_test = KernelUnderTest(kernel, clock, store, types, ran, notifications)
            if before is not None:
                await before(under_test)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(run_kernel, kernel)
                await kernel.ready.wait()
                yield under_test
                kernel.stop()
