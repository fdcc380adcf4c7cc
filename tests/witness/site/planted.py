"""Defects planted into a host, each by its name, to prove that a harness sees them.

A planted process is the real one in which a single step is done wrongly.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec.structs import replace

__all__ = ["DEFECTS", "plant"]


def acknowledged_before_it_is_durable() -> None:
    """Commits return at once and are carried out half a second later."""
    import trio

    from alicia_scheduler.store.groups import GroupCommit

    durable = GroupCommit.commit

    async def later(groups, operations):
        await trio.sleep(0.5)
        await durable(groups, operations)

    async def commit(groups, operations):
        trio.lowlevel.spawn_system_task(later, groups, operations)
        await trio.lowlevel.checkpoint()

    GroupCommit.commit = commit


def forgets_to_sync() -> None:
    """The store is opened with ``synchronous = NORMAL``: no sync at a commit."""
    from alicia_scheduler.store import connections

    opened = connections.open_writing
    connections.open_writing = lambda path, _synchronous: opened(path, "NORMAL")


def no_recovery() -> None:
    """What was found unfinished is left as it is."""
    from alicia_scheduler.kernel import loop

    async def recover(kernel):
        pass

    loop.recover = recover


def interrupted_runs_are_always_run_again() -> None:
    """``on_interrupted = "fail"`` is taken for ``"rerun"``."""
    from alicia_scheduler.api import OnInterrupted
    from alicia_scheduler.kernel.catalog import Catalog

    entry = Catalog.entry
    Catalog.entry = lambda catalog, event, state: entry(
        catalog, replace(event, on_interrupted=OnInterrupted.RERUN), state
    )


def completed_before_the_action() -> None:
    """The action is believed to be done before it has begun."""
    from alicia_scheduler.host.resolver import Resolver

    async def run_action(resolver, prepared, execution):
        return None

    Resolver.run_action = run_action


def slots_are_dropped() -> None:
    """One slot in ten is passed over without a word."""
    from alicia_scheduler.kernel import kernel

    planned = kernel.plan_slot

    def plan_slot(*arguments, **named):
        plan = planned(*arguments, **named)
        slot = arguments[3]
        if int(slot.timestamp()) % 10 == 0:
            plan.admitted.clear()
            plan.closed.clear()
        return plan

    kernel.plan_slot = plan_slot


def exits_when_the_store_fails() -> None:
    """The first write that fails ends the process."""
    import os

    from alicia_scheduler.kernel.records import Records

    Records.failed = lambda *_: os._exit(70)


def silent_when_the_store_fails() -> None:
    """The schedule goes on, and nobody is told that nothing is kept."""
    from alicia_scheduler.kernel.records import Records

    def failed(records, _doing, error):
        records.mending.degraded = str(error)
        records._work.set()

    Records.failed = failed


def no_lock() -> None:
    """The state directory is not locked."""
    from alicia_scheduler.store.lock import StateLock

    StateLock.__enter__ = lambda lock: lock


DEFECTS: dict[str, Callable[[], None]] = {
    defect.__name__: defect
    for defect in (
        acknowledged_before_it_is_durable,
        forgets_to_sync,
        no_recovery,
        interrupted_runs_are_always_run_again,
        completed_before_the_action,
        slots_are_dropped,
        exits_when_the_store_fails,
        silent_when_the_store_fails,
        no_lock,
    )
}


def plant(name: str) -> None:
    """Plant a defect into this process."""
    DEFECTS[name]()
