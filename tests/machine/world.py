"""A kernel in virtual time that a test drives step by step, and whose power can go at any commit.

Time stands still between two steps. The loop runs in a thread of its own and works only while a
step is under way, so steps are as repeatable as calls of plain functions.
"""

from __future__ import annotations

import queue
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

import outcome
import trio
import trio.testing

from alicia_scheduler.api import EventExecution, EventState, Retryable
from alicia_scheduler.api.store import Change
from alicia_scheduler.store import SqliteStore
from alicia_scheduler.testing.clock import VirtualClock
from alicia_scheduler.testing.kernel import KernelUnderTest, running_kernel

__all__ = ["Effect", "World", "pass_time"]

T = TypeVar("T")


STUCK = 60.0
"""Seconds (real ones) after which a step will not end any more."""


class PowerLost(BaseException):
    """Nothing that was under way gets any further, not even its clean-up."""


class BrittleStore:
    """A store whose power may go at a commit, before or after it has become durable."""

    def __init__(self, store: SqliteStore, lose_power: Callable[[], None]) -> None:
        self._store = store
        self._lose_power = lose_power
        self.commits_left: int | None = None
        self.applies_the_last = False
        self.dead = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def commit(self, changes: Sequence[Change]) -> None:
        if self.dead:
            raise PowerLost
        if self.commits_left is not None:
            self.commits_left -= 1
            if self.commits_left <= 0:
                if self.applies_the_last:
                    await self._store.commit(changes)
                self.dead = True
                self._lose_power()
                raise PowerLost
        await self._store.commit(changes)


@dataclass(frozen=True)
class Effect:
    """What an action did, seen from outside."""

    execution_id: str
    event_id: str
    slot: datetime
    attempt: int
    key: str


@dataclass
class World:
    """The kernel, its store and its clock; made by :meth:`start`, ended by :meth:`end`.

    Attributes:
        effects: everything that actions did.
        together: for each event the most runs that were under way at once.
        told: every notification, over all lives of the kernel.
    """

    effects: list[Effect] = field(default_factory=list)
    together: Counter[str] = field(default_factory=Counter)
    told: list[Any] = field(default_factory=list)
    machine: KernelUnderTest | None = None

    @classmethod
    def start(cls) -> World:
        """A world with a kernel that runs."""
        world = cls()
        world._jobs = queue.SimpleQueue()
        world._answers = queue.SimpleQueue()
        world._active = Counter()
        world._thread = threading.Thread(target=world._run, name="world", daemon=True)
        world._thread.start()
        world._answers.get().unwrap()
        return world

    def do(self, job: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        """Carry out one step, and everything that follows from it at this instant."""
        self._jobs.put((job, arguments))
        try:
            answer: outcome.Outcome[T] = self._answers.get(timeout=STUCK)
        except queue.Empty:
            raise AssertionError(f"{job.__name__} waits for time, which stands still") from None
        return answer.unwrap()

    def clock_now(self) -> datetime:
        """What the clock shows while nothing happens."""
        return self.do(self._now)

    async def history(self) -> list[EventExecution]:
        """Every execution there is."""
        return await self._kept.list_executions(limit=1_000_000)

    async def state(self, event_id: str) -> EventState:
        """The state of an event as the store has it."""
        return (await self._kept.records([event_id]))[event_id].state

    def end(self) -> None:
        """Take the world down."""
        self._jobs.put(None)
        self._thread.join(STUCK)

    # -- in the loop ---------------------------------------------------------------------

    async def pass_time(self, seconds: float) -> None:
        """Let time pass, and everything happen that is due meanwhile."""
        await pass_time(self._time, seconds)

    async def power_off(self, seconds: float) -> None:
        """Cut the power where things stand, and switch it on again so much later."""
        self.store.dead = True
        self.clock.lose_power(0.0)
        await self._off.wait()
        await self._boot(seconds)

    async def power_off_at_commit(
        self, number: int, applied: bool, within: float, seconds: float
    ) -> bool:
        """Cut the power at one of the next commits, if it comes within so many seconds."""
        self.store.commits_left, self.store.applies_the_last = number, applied
        await self.pass_time(within)
        self.store.commits_left = None
        if not self.store.dead:
            return False
        await self._off.wait()
        await self._boot(seconds)
        return True

    async def _now(self) -> datetime:
        return self.clock.now()

    def _run(self) -> None:
        self._time = trio.testing.MockClock()
        try:
            trio.run(self._live, clock=self._time)
        except BaseException as error:  # noqa: BLE001 - the step that waits must hear of it
            self._answers.put(outcome.Error(error))

    async def _live(self) -> None:
        self.clock = VirtualClock()
        async with SqliteStore.open(None) as kept, trio.open_nursery() as nursery:
            self._kept = kept
            self._nursery = nursery
            await self._boot(0.0)
            self._answers.put(outcome.Value(None))
            while (wanted := self._jobs.get()) is not None:
                job, arguments = wanted
                answer = await outcome.acapture(job, *arguments)
                await trio.testing.wait_all_tasks_blocked()
                self._answers.put(answer)
            nursery.cancel_scope.cancel()

    async def _boot(self, after: float) -> None:
        self.clock.suspend(after)
        self._active.clear()
        self.store = BrittleStore(self._kept, lambda: self.clock.lose_power(0.0))
        self._off = trio.Event()
        await self._nursery.start(self._powered)
        await trio.testing.wait_all_tasks_blocked()

    async def _powered(self, task_status: trio.TaskStatus[None]) -> None:
        actions = {"note": self._act, "slow": self._act_slowly, "flaky": self._act_at_last}
        try:
            async with running_kernel(
                store=self.store, clock=self.clock, actions=actions
            ) as machine:
                self.machine = machine
                machine.kernel.notifier.listen(self.told.append)
                task_status.started()
                await trio.sleep_forever()
        except* PowerLost:
            pass
        self.machine = None
        self._off.set()

    async def _act(self, _config: Any, execution: EventExecution) -> None:
        self.effects.append(
            Effect(
                execution.execution_id,
                execution.event_id,
                execution.scheduled_time,
                execution.attempt,
                execution.idempotency_key,
            )
        )

    async def _act_slowly(self, config: Any, execution: EventExecution) -> None:
        active, event_id = self._active, execution.event_id
        active[event_id] += 1
        self.together[event_id] = max(self.together[event_id], active[event_id])
        try:
            await self._act(config, execution)
            await trio.sleep(config["seconds"])
        finally:
            active[event_id] -= 1

    async def _act_at_last(self, config: Any, execution: EventExecution) -> None:
        if execution.attempt <= config["failing"]:
            raise Retryable("not yet")
        await self._act(config, execution)


async def pass_time(
    clock: trio.testing.MockClock,
    seconds: float,
    settled: Callable[[], Awaitable[object]] = trio.testing.wait_all_tasks_blocked,
) -> None:
    """Let virtual time pass from deadline to deadline, each with all that follows from it.

    Args:
        settled: returns when everything has happened that is to happen at an instant.
    """
    end = trio.current_time() + seconds
    while True:
        await settled()
        following = trio.lowlevel.current_statistics().seconds_to_next_deadline
        remaining = end - trio.current_time()
        if following > remaining:
            break
        clock.jump(max(0.0, following))
    clock.jump(max(0.0, remaining))
    await settled()
