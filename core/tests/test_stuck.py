"""Actions that ignore their cancellation: told, counted, no longer waited for."""

import dataclasses
from datetime import timedelta

import pytest
import trio

from alicia_scheduler.api import Mode, Status, StoreError, to_epoch
from alicia_scheduler.kernel.definitions import save_event
from alicia_scheduler.kernel.overdue import STUCK_LIMIT
from alicia_scheduler.testing.clock import START
from alicia_scheduler.testing.kernel import ScriptedTypes, make_event, running_kernel


def at(seconds):
    return START + timedelta(seconds=seconds)


def at_instants(*seconds, **fields):
    epochs = [to_epoch(at(second)) for second in seconds]
    return make_event(schedule_type="at", schedule_config={"epochs": epochs}, **fields)


def deaf_until(second):
    """An action that ignores everything until so many seconds after the start."""
    until = trio.current_time() + second

    async def deaf(config, execution):
        with trio.CancelScope(shield=True):
            await trio.sleep_until(until)

    return deaf


class Cleanup(Exception):
    pass


async def hang_then_raise(config, execution):
    try:
        await trio.sleep_forever()
    finally:
        raise Cleanup("could not clean up")


async def hang_in_a_nursery(config, execution):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(hang_then_raise, config, execution)
        nursery.start_soon(trio.sleep_forever)


@pytest.mark.parametrize("action", [hang_then_raise, hang_in_a_nursery])
async def test_what_an_action_raises_while_its_time_out_cancels_it_is_still_a_time_out(
    action, autojump_clock
):
    event = at_instants(10, action={"type": "hang"}, timeout=4, max_retries=0)
    async with running_kernel(actions={"hang": action}) as under_test:
        await save_event(under_test.kernel, event)
        await trio.sleep(30)
        (execution,) = await under_test.history()
    assert (execution.status, execution.reason) == (Status.FAILED, "timeout")
    assert execution.error_message.startswith("timed out after 4 s: ")
    assert "could not clean up" in execution.error_message


@pytest.mark.parametrize("action", [hang_then_raise, hang_in_a_nursery])
async def test_what_an_action_raises_while_somebody_cancels_it_is_still_a_cancellation(
    action, autojump_clock
):
    event = at_instants(10, action={"type": "hang"})
    async with running_kernel(actions={"hang": action}) as under_test:
        await save_event(under_test.kernel, event)
        await trio.sleep(12)
        (execution,) = await under_test.history()
        await under_test.kernel.cancel(execution.execution_id, "cancelled")
        await trio.sleep(1)
        (execution,) = await under_test.history()
        assert under_test.kernel.runner.running == 0
    assert (execution.status, execution.reason) == (Status.CANCELLED, "cancelled")


async def test_a_stuck_attempt_is_told_as_an_error_with_its_class(autojump_clock):
    event = at_instants(10, action={"type": "deaf"}, timeout=4)
    async with running_kernel(actions={"deaf": deaf_until(100)}) as under_test:
        await save_event(under_test.kernel, event)
        await trio.sleep(20)
        (told,) = under_test.told("error")
        (execution,) = await under_test.history()
    assert (told["class"], told["event_id"]) == ("stuck", "event")
    assert execution.execution_id in told["message"]
    assert (execution.status, execution.reason) == (Status.FAILED, "timeout")
    assert (execution.error_class, execution.end_time) == ("stuck", at(16))


async def test_a_stuck_attempt_is_not_retried_as_its_effect_may_still_come(autojump_clock):
    event = at_instants(10, action={"type": "deaf"}, timeout=4, max_retries=5, retry_delay=1)
    async with running_kernel(actions={"deaf": deaf_until(100)}) as under_test:
        await save_event(under_test.kernel, event)
        await trio.sleep(1000)
        (execution,) = await under_test.history()
    assert (execution.status, execution.retry_count) == (Status.FAILED, 0)


async def test_with_eight_stuck_attempts_of_a_type_the_next_ones_fail_at_once(autojump_clock):
    event = make_event(action={"type": "deaf"}, timeout=1, max_retries=0)
    async with running_kernel(actions={"deaf": deaf_until(125)}) as under_test:
        await save_event(under_test.kernel, event)
        await save_event(under_test.kernel, make_event("other"))
        await trio.sleep(105)
        refused = (await under_test.history())[STUCK_LIMIT:]
        told = [data["message"] for data in under_test.told("error")]
        others = [run.status for run in await under_test.history("other")]
        await trio.sleep(50)
        after = (await under_test.history())[-1]
    assert len(told) == STUCK_LIMIT
    assert told[-1].endswith("nothing more of 'deaf' starts until one of them ends")
    assert [(run.reason, run.error_class, run.duration) for run in refused] == [
        ("stuck", "stuck", 0),
        ("stuck", "stuck", 0),
    ]
    assert "8 attempts of the action type 'deaf' ignore their cancellation" in (
        refused[0].error_message
    )
    assert set(others) == {Status.COMPLETED}
    assert after.status is Status.COMPLETED  # they have ended by then


async def test_an_attempt_refused_for_that_is_retried_by_the_events_policy(autojump_clock):
    async with running_kernel(actions={"deaf": deaf_until(60)}) as under_test:
        crowd = make_event(
            "crowd",
            schedule_type="at",
            schedule_config={"epochs": [to_epoch(at(second)) for second in range(1, 9)]},
            action={"type": "deaf"},
            timeout=1,
            mode=Mode.PARALLEL,
        )
        await save_event(under_test.kernel, crowd)
        event = at_instants(20, action={"type": "deaf"}, retry_delay=50)
        await save_event(under_test.kernel, event)
        await trio.sleep(30)
        (waiting,) = await under_test.history()
        assert (waiting.status, waiting.reason) == (Status.PENDING, "stuck")
        await trio.sleep(100)
        (execution,) = await under_test.history()
    assert (execution.status, execution.retry_count) == (Status.COMPLETED, 1)


async def test_an_attempt_whose_end_takes_long_to_write_down_is_not_stuck(autojump_clock):
    event = at_instants(10, timeout=1)
    async with running_kernel() as under_test:
        await save_event(under_test.kernel, event)
        await trio.sleep(5)
        commit = under_test.store.commit

        async def slow_commit(changes):
            await trio.sleep(30)
            await commit(changes)

        under_test.kernel.store.commit = slow_commit
        await trio.sleep(200)
        (execution,) = await under_test.history()
        assert under_test.told("error") == []
        assert len(under_test.told("execution_completed")) == 1
        under_test.kernel.store.commit = commit
    assert execution.status is Status.COMPLETED


async def test_what_a_stuck_attempt_answers_in_the_end_changes_nothing(autojump_clock):
    event = at_instants(10, action={"type": "deaf"}, timeout=4)
    async with running_kernel(actions={"deaf": deaf_until(100)}) as under_test:
        await save_event(under_test.kernel, event)
        await trio.sleep(20)
        before = await under_test.history()
        await trio.sleep(200)
        assert await under_test.history() == before
        assert under_test.kernel.runner.still_open() == []
        assert under_test.kernel.runner.stuck == 1


async def test_a_store_that_fails_while_an_attempt_is_given_up_does_not_end_the_host(
    autojump_clock,
):
    event = at_instants(10, action={"type": "deaf"}, timeout=4)
    async with running_kernel(actions={"deaf": deaf_until(100)}) as under_test:
        await save_event(under_test.kernel, event)
        await save_event(under_test.kernel, at_instants(50, event_id="other"))
        await trio.sleep(12)
        commit = under_test.store.commit

        async def failing(changes):
            raise StoreError("the disk is full", transient=True)

        under_test.kernel.store.commit = failing
        await trio.sleep(10)
        under_test.kernel.store.commit = commit
        await trio.sleep(100)
        assert [run.status for run in await under_test.history("other")] == [Status.COMPLETED]


async def test_an_attempt_whose_giving_up_cannot_be_accounted_does_not_end_the_host(
    autojump_clock, monkeypatch
):
    async def broken(run, outcome):
        raise ZeroDivisionError

    event = at_instants(10, action={"type": "deaf"}, timeout=4)
    async with running_kernel(actions={"deaf": deaf_until(100)}) as under_test:
        monkeypatch.setattr(under_test.kernel.accounts, "ended", broken)
        await save_event(under_test.kernel, event)
        await trio.sleep(30)
        assert under_test.kernel.runner.running == 0
        monkeypatch.undo()
        await save_event(under_test.kernel, at_instants(50, event_id="other"))
        await trio.sleep(100)
        assert [run.status for run in await under_test.history("other")] == [Status.COMPLETED]


async def test_an_action_is_given_the_time_that_its_clean_up_takes(autojump_clock):
    async def tidy(_config, _execution):
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(8)

    class Tidy(ScriptedTypes):
        def prepare(self, event, anchor):
            return dataclasses.replace(super().prepare(event, anchor), cleanup=10.0)

    async with running_kernel(actions={"tidy": tidy}) as k:
        k.types.__class__ = Tidy
        event = make_event(action={"type": "tidy"}, timeout=5.0, max_runs=1, max_retries=0)
        await save_event(k.kernel, event)
        await k.clock.advance(30)
        (execution,) = await k.history()
    assert k.told("error") == []
    assert (execution.reason, execution.duration) == ("timeout", 13.0)
