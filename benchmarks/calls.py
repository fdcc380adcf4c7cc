"""Calls: how many function calls of Python one execution costs, and in which stage of its life.

No clock is asked, so a busy machine changes next to nothing: what grows here has grown in the code.
Calls into C count as well, what happens in the store's own thread does not. A coroutine that goes
on after a pause counts as called again.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import CodeType, FrameType

import trio

from benchmarks.measurement import Figures, measurement

COUNT = 2000
LIMIT = 300.0
"""Seconds that a burst may take."""


@measurement(rounds=1)
def bare_loop() -> Figures:
    """The bare supervised loop of ``dispatch``."""
    from benchmarks import dispatch

    calls: Counter[str] = Counter()
    with _counted(calls, {}):
        dispatch.bare_loop()
    return {"all": calls.total() / dispatch.COUNT}


@measurement(rounds=1)
def kernel_memory() -> Figures:
    """The full life of an execution, in memory."""
    return _burst(durable=False)


@measurement(rounds=1)
def kernel_durable() -> Figures:
    """The same on disk."""
    return _burst(durable=True)


def _burst(*, durable: bool) -> Figures:
    from alicia_scheduler.kernel.kernel import KernelSettings
    from benchmarks.workload import loaded

    async def main() -> Counter[str]:
        calls: Counter[str] = Counter()
        settings = KernelSettings(max_concurrent=COUNT)
        async with loaded(COUNT, durable=durable, settings=settings) as (run, due):
            with trio.fail_after(due - time.time() + LIMIT):
                await trio.sleep(due - time.time() - 0.05)
                with _counted(calls, _stages()):
                    await run.heard.enough.wait()
        return calls

    calls = trio.run(main)
    figures = {"all": calls.total() / COUNT}
    return figures | {stage: number / COUNT for stage, number in sorted(calls.items())}


def _stages() -> dict[CodeType, str]:
    """Where a stage begins: a call belongs to the innermost one that is under way."""
    from alicia_scheduler.kernel.accounts import Accounts
    from alicia_scheduler.kernel.agenda import Agenda
    from alicia_scheduler.kernel.catalog import Catalog
    from alicia_scheduler.kernel.kernel import Kernel
    from alicia_scheduler.kernel.notifications import Notifier, about_execution
    from alicia_scheduler.kernel.planner import plan_slot
    from alicia_scheduler.kernel.runner import Runner
    from alicia_scheduler.store.memory import MemoryStore
    from alicia_scheduler.store.sqlite import SqliteStore

    functions: dict[str, tuple[Callable[..., object], ...]] = {
        "load": (Catalog.load,),
        "plan": (plan_slot,),
        "place": (Runner.occupancy, Runner.reserve, Runner._leave),
        "agenda": (Agenda.pop_due, Agenda.put),
        "tell": (about_execution, Notifier.numbered, Notifier.deliver),
        "store": (MemoryStore.commit, SqliteStore.commit),
        "spawn": (Runner.launch,),
        "attempt": (Runner._live,),
        "decide": (Kernel.handle,),
        "settle": (Accounts.settle,),
    }
    return {each.__code__: stage for stage, group in functions.items() for each in group}


@contextmanager
def _counted(calls: Counter[str], stages: dict[CodeType, str]) -> Iterator[None]:
    """Count the calls of this thread by stage; ``loop`` is what belongs to none."""
    under_way: list[str] = ["loop"]

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call":
            stage = stages.get(frame.f_code) or under_way[-1]
            under_way.append(stage)
            calls[stage] += 1
        elif event == "c_call":
            calls[under_way[-1]] += 1
        elif event == "return" and len(under_way) > 1:
            under_way.pop()

    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(None)
