"""The kernel's life: recover, keep time, drain. The one loop there is, with the one timer."""

from __future__ import annotations

from functools import partial

import trio

from alicia_scheduler.api.errors import StoreError
from alicia_scheduler.kernel.clock import StepWatch
from alicia_scheduler.kernel.halting import recall
from alicia_scheduler.kernel.kernel import Kernel
from alicia_scheduler.kernel.lookahead import LookAhead
from alicia_scheduler.kernel.recovery import recover
from alicia_scheduler.kernel.replan import follow_clock_set_back, note_clock, replan
from alicia_scheduler.kernel.selfcheck import SelfCheck

__all__ = ["run_kernel"]

LOOK_AGAIN = 3600.0
"""Seconds that the loop sleeps at the most, before it looks whether it has overlooked anything."""

STORE_PAUSE = 5.0
"""Seconds to wait before a store that could not be read is asked again."""


async def run_kernel(kernel: Kernel) -> None:
    """Settle what the last run left, then dispatch until ``kernel.stop()``, then drain. Returns
    when nothing runs any more.

    ``kernel.ready`` is set when the schedule runs, ``kernel.stopped`` at the end.
    """
    steps = StepWatch(kernel.clock)
    check = SelfCheck(kernel)
    ahead = LookAhead(kernel.agenda, kernel.catalog)
    async with trio.open_nursery() as nursery:
        kernel.runner.open(nursery)
        await kernel.records.insist(partial(_settle, kernel))
        nursery.start_soon(kernel.gate.watch, kernel.settings.wait_for_clock, kernel.agenda)
        kernel.ready.set()
        while not kernel.stopping:
            try:
                await _dispatch_once(kernel, steps, check, ahead)
            except StoreError as error:
                kernel.records.failed("read from", error)
                kernel.agenda.changed = trio.Event()
                with trio.move_on_after(STORE_PAUSE):
                    await kernel.agenda.changed.wait()
            kernel.pass_made()
        kernel.gate.close()
        await kernel.runner.drain(kernel.settings.drain_timeout)
    kernel.stopped.set()


async def _settle(kernel: Kernel) -> None:
    """Make good for what happened since the host last ran."""
    await recall(kernel)
    await recover(kernel)
    # Retries that wait are in hand now, and move as well.
    await follow_clock_set_back(kernel)
    await note_clock(kernel)


async def _dispatch_once(
    kernel: Kernel, steps: StepWatch, check: SelfCheck, ahead: LookAhead
) -> None:
    """Handle what is due; with nothing due, wait for the next entry, a change, or a set clock."""
    agenda, clock = kernel.agenda, kernel.clock
    agenda.changed = trio.Event()
    step = steps.look()
    if step:
        await replan(kernel, step)
    if agenda.exhausted:
        after = agenda.begin_refill()
        page = await kernel.store.next_due(after=after, limit=agenda.window)
        agenda.end_refill(page)
    due = agenda.pop_due(clock.now(), kernel.settings.batch)
    if due:
        await kernel.handle(due)
        return
    kernel.notice.rest()
    if not agenda.exhausted and not kernel.stopping:
        await check.look()
        await ahead.prepare()
        with trio.move_on_after(LOOK_AGAIN):
            await clock.wait_until(agenda.next_at(), agenda.changed)
