"""What was due and is not on its way is found, told and put right."""

from __future__ import annotations

import trio

from alicia_scheduler.api import Retryable, Status
from alicia_scheduler.kernel.definitions import save_event
from alicia_scheduler.testing.kernel import make_event, running_kernel


async def test_an_event_that_was_dropped_from_the_agenda_is_found_and_run(autojump_clock):
    hourly = make_event(schedule_config={"seconds": 3600}, misfire_grace=7200.0)
    ticker = make_event("ticker")
    async with running_kernel() as k:
        await save_event(k.kernel, hourly)
        await save_event(k.kernel, ticker)
        k.kernel.agenda.discard("event")
        await trio.sleep(3600 + 90 + 60)
        (error,) = k.told("error")
        assert (error["class"], error["event_id"]) == ("overlooked", "event")
        assert [run.status for run in await k.history()] == [Status.COMPLETED]


async def test_an_event_is_found_within_the_hour_when_nothing_else_happens(autojump_clock):
    event = make_event(schedule_config={"seconds": 600}, misfire_grace=86_400.0)
    async with running_kernel() as k:
        await save_event(k.kernel, event)
        k.kernel.agenda.discard("event")
        await trio.sleep(2 * 3600 + 1)
        assert k.ran


async def test_nothing_that_waits_or_cannot_be_planned_counts_as_overlooked(autojump_clock):
    async def fail(_config, _execution):
        raise Retryable("not yet")

    async def long(_config, _execution):
        await trio.sleep(500)

    async with running_kernel(actions={"fail": fail, "long": long}) as k:
        slots = {"max_runs": 1, "action": {"type": "fail"}, "retry_delay": 300.0}
        await save_event(k.kernel, make_event("retrying", **slots))
        await save_event(k.kernel, make_event("unresolved", action={"type": "nowhere"}))
        queued = {"mode": "queued", "action": {"type": "long"}, "timeout": 1000.0}
        await save_event(k.kernel, make_event("queued", **queued))
        await save_event(k.kernel, make_event("ticker"))
        await trio.sleep(1000)
        classes = {error["class"] for error in k.told("error")}
    assert "overlooked" not in classes
