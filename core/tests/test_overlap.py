"""Overlap in virtual time: the modes with Home Assistant's meaning, also across a restart."""

from datetime import timedelta

import pytest
import trio

from alicia_scheduler.api import Misfire, Mode, Retryable, Status, Trigger, to_epoch
from alicia_scheduler.kernel import steering
from alicia_scheduler.kernel.definitions import save_event
from alicia_scheduler.store.sqlite import SqliteStore
from alicia_scheduler.testing.clock import START
from alicia_scheduler.testing.kernel import make_event, running_kernel


def at(seconds):
    return START + timedelta(seconds=seconds)


def at_instants(*seconds, **fields):
    epochs = [to_epoch(at(second)) for second in seconds]
    return make_event(schedule_type="at", schedule_config={"epochs": epochs}, **fields)


class Work:
    """An action that takes 25 s, and notes when it ran; told to fail, it fails at once."""

    def __init__(self, fails=()):
        self.spans = []
        self.fails = list(fails)

    async def __call__(self, config, execution):
        began = trio.current_time()
        if self.fails and self.fails.pop(0):
            raise Retryable("no")
        try:
            await trio.sleep(25)
        finally:
            self.spans.append((began, trio.current_time()))

    def most_at_once(self):
        edges = sorted(
            [(end, -1) for _, end in self.spans] + [(begin, 1) for begin, _ in self.spans]
        )
        depth = most = 0
        for _, step in edges:
            depth += step
            most = max(most, depth)
        return most


def outcome(executions):
    return [(run.status, run.reason) for run in executions]


async def test_the_skip_record_names_the_execution_in_the_way_and_its_age(autojump_clock):
    event = at_instants(10, 22, action={"type": "work"})
    async with running_kernel(actions={"work": Work()}) as under_test:
        await save_event(under_test.kernel, event)
        await trio.sleep(60)
        first, second = await under_test.history()
    assert (second.status, second.reason) == (Status.SKIPPED, "overlap")
    assert second.result == {"blocked_by": first.execution_id, "blocked_for": 12.0}
    assert f"{first.execution_id} is still under way after 12.0 s" in second.error_message


@pytest.mark.parametrize("mode", [Mode.QUEUED, Mode.PARALLEL])
async def test_max_executions_counts_those_that_run_and_those_that_wait(mode, autojump_clock):
    event = at_instants(10, 11, 12, 13, action={"type": "work"}, mode=mode, max_executions=3)
    async with running_kernel(actions={"work": Work()}) as under_test:
        await save_event(under_test.kernel, event)
        await trio.sleep(120)
        history = await under_test.history()
    assert outcome(history)[3] == (Status.SKIPPED, "max_executions")
    assert history[3].result["blocked_by"] == history[0].execution_id
    assert "3 executions are under way" in history[3].error_message
    assert [run.status for run in history[:3]] == [Status.COMPLETED] * 3


async def test_queued_runs_one_at_a_time_in_order_of_arrival(autojump_clock):
    work = Work()
    event = at_instants(10, 11, 12, 13, action={"type": "work"}, mode=Mode.QUEUED)
    async with running_kernel(actions={"work": work}) as under_test:
        await save_event(under_test.kernel, event)
        await trio.sleep(200)
        history = await under_test.history()
    assert [run.start_time for run in history] == [at(10), at(35), at(60), at(85)]
    assert work.most_at_once() == 1


async def test_restart_starts_the_new_run_only_after_the_old_one_has_ended(autojump_clock):
    async def slow_to_stop(config, execution):
        try:
            await trio.sleep(25)
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(1.5)

    event = at_instants(10, 20, action={"type": "slow"}, mode=Mode.RESTART)
    async with running_kernel(actions={"slow": slow_to_stop}) as under_test:
        await save_event(under_test.kernel, event)
        await trio.sleep(60)
        old, new = await under_test.history()
    assert (old.status, old.reason, old.end_time) == (Status.CANCELLED, "restart", at(21.5))
    assert (new.status, new.start_time) == (Status.COMPLETED, at(21.5))


async def test_restart_goes_on_when_the_old_run_ignores_its_cancellation(autojump_clock):
    async def deaf_first(config, execution):
        if execution.scheduled_time == at(10):
            with trio.CancelScope(shield=True):
                await trio.sleep(500)

    event = at_instants(10, 20, action={"type": "deaf"}, mode=Mode.RESTART)
    async with running_kernel(actions={"deaf": deaf_first}) as under_test:
        await save_event(under_test.kernel, event)
        await trio.sleep(60)
        old, new = await under_test.history()
        assert under_test.told("error")[0]["class"] == "stuck"
    assert (old.status, old.reason, old.end_time) == (Status.CANCELLED, "restart", at(22))
    assert (new.status, new.start_time) == (Status.COMPLETED, at(22))


async def test_restart_after_restart_leaves_one_run_and_a_record_for_each_slot(autojump_clock):
    work = Work()
    event = at_instants(10, 11, 12, 13, action={"type": "work"}, mode=Mode.RESTART)
    async with running_kernel(actions={"work": work}) as under_test:
        await save_event(under_test.kernel, event)
        await trio.sleep(60)
        history = await under_test.history()
    assert outcome(history) == [(Status.CANCELLED, "restart")] * 3 + [(Status.COMPLETED, None)]
    assert work.most_at_once() == 1


async def test_restart_also_stops_an_execution_that_waits_for_a_retry(autojump_clock):
    event = at_instants(
        10, 20, action={"type": "work"}, mode=Mode.RESTART, retry_delay=60, retry_yields=False
    )
    async with running_kernel(actions={"work": Work(fails=[True])}) as under_test:
        await save_event(under_test.kernel, event)
        await trio.sleep(200)
        first, second = await under_test.history()
    assert (first.status, first.reason) == (Status.CANCELLED, "restart")
    assert (first.error_message, first.error_class) == ("no", "retryable")
    assert (second.status, second.start_time) == (Status.COMPLETED, at(20))


async def test_manual_triggers_queue_and_restart_like_slots(autojump_clock):
    work = Work()
    async with running_kernel(actions={"work": work}) as under_test:
        queued = at_instants(1000, action={"type": "work"}, mode=Mode.QUEUED, max_executions=2)
        await save_event(under_test.kernel, queued)
        answers = [(await under_test.kernel.trigger("event"))[0] for _ in range(3)]
        await trio.sleep(60)
        history = await under_test.history()
    assert {run.trigger for run in history} == {Trigger.MANUAL}
    assert sorted(run.status for run in history) == ["completed", "completed", "skipped"]
    assert answers[2].reason == "max_executions"
    assert work.most_at_once() == 1


async def test_a_queued_execution_says_what_it_waits_for(autojump_clock):
    event = at_instants(10, 11, action={"type": "work"}, mode=Mode.QUEUED)
    async with running_kernel(actions={"work": Work()}) as under_test:
        await save_event(under_test.kernel, event)
        await trio.sleep(15)
        _, waiting = await under_test.history()
        assert (waiting.status, waiting.reason) == (Status.PENDING, "overlap")
        await trio.sleep(60)
        _, done = await under_test.history()
    assert (done.status, done.reason) == (Status.COMPLETED, None)


# -- a retry that does not yield ---------------------------------------------------------------


async def test_a_retry_that_does_not_yield_is_under_way_for_single(autojump_clock):
    event = at_instants(10, 20, action={"type": "work"}, retry_delay=30, retry_yields=False)
    async with running_kernel(actions={"work": Work(fails=[True])}) as under_test:
        await save_event(under_test.kernel, event)
        await trio.sleep(100)
        first, second = await under_test.history()
    assert (first.status, first.retry_count) == (Status.COMPLETED, 1)
    assert (second.status, second.reason) == (Status.SKIPPED, "overlap")
    assert second.result["blocked_by"] == first.execution_id


async def test_behind_a_retry_that_does_not_yield_a_queue_keeps_its_order(autojump_clock):
    work = Work(fails=[True])
    event = at_instants(
        10, 20, action={"type": "work"}, mode=Mode.QUEUED, retry_delay=30, retry_yields=False
    )
    async with running_kernel(actions={"work": work}) as under_test:
        await save_event(under_test.kernel, event)
        await trio.sleep(200)
        first, second = await under_test.history()
    assert (first.status, first.end_time) == (Status.COMPLETED, at(65))
    assert (second.status, second.start_time) == (Status.COMPLETED, at(65))


async def test_a_queue_goes_on_when_the_retry_before_it_is_cancelled(autojump_clock):
    event = at_instants(
        10, 20, action={"type": "work"}, mode=Mode.QUEUED, retry_delay=300, retry_yields=False
    )
    async with running_kernel(actions={"work": Work(fails=[True])}) as under_test:
        await save_event(under_test.kernel, event)
        await trio.sleep(30)
        first, _ = await under_test.history()
        assert await under_test.kernel.cancel(first.execution_id, "cancelled")
        await trio.sleep(30)
        first, second = await under_test.history()
    assert (first.status, first.reason) == (Status.CANCELLED, "cancelled")
    assert (second.status, second.start_time) == (Status.COMPLETED, at(30))


async def test_in_parallel_a_retry_that_does_not_yield_counts_towards_the_maximum(autojump_clock):
    event = at_instants(
        10,
        20,
        21,
        action={"type": "work"},
        mode=Mode.PARALLEL,
        max_executions=2,
        retry_delay=300,
        retry_yields=False,
    )
    async with running_kernel(actions={"work": Work(fails=[True])}) as under_test:
        await save_event(under_test.kernel, event)
        await trio.sleep(60)
        _, second, third = await under_test.history()
    assert second.status is Status.COMPLETED
    assert (third.status, third.reason) == (Status.SKIPPED, "max_executions")


async def test_a_slot_that_is_due_together_with_a_retry_comes_first(autojump_clock):
    event = at_instants(10, 20, action={"type": "work"}, retry_delay=10)
    async with running_kernel(actions={"work": Work(fails=[True])}) as under_test:
        await save_event(under_test.kernel, event)
        await trio.sleep(60)
        history = await under_test.history()
    assert outcome(history) == [(Status.FAILED, "superseded"), (Status.COMPLETED, None)]


# -- across a restart (R15) --------------------------------------------------------------------


@pytest.mark.parametrize("mode", Mode)
async def test_overlap_holds_across_twenty_power_cuts(mode, autojump_clock):
    """An action that takes 25 s with a slot every 10 s, and the power cut at odd moments."""
    work = Work()
    # A grid of the wall clock, so that it is the same after each start.
    event = make_event(
        schedule_type="clock",
        schedule_config={"seconds": 10},
        action={"type": "work"},
        mode=mode,
        max_executions=2,
        misfire=Misfire.ALL,
        misfire_grace=1000.0,
    )
    began = trio.current_time()

    def now():
        return START + timedelta(seconds=trio.current_time() - began)

    async with SqliteStore.open(None) as store:
        for cut in range(20):
            with trio.CancelScope() as power:
                async with running_kernel(
                    store=store, actions={"work": work}, start=now()
                ) as under_test:
                    if cut == 0:
                        await save_event(under_test.kernel, event)
                    await trio.sleep(7 + 3 * cut % 31)
                    power.cancel()
        async with running_kernel(store=store, actions={"work": work}, start=now()) as under_test:
            await steering.pause(under_test.kernel, "event")
            await trio.sleep(90)
        history = await under_test.history()
    assert work.most_at_once() <= (2 if mode is Mode.PARALLEL else 1)
    completed = [run.scheduled_time for run in history if run.status is Status.COMPLETED]
    assert len(completed) == len(set(completed)) > 0
    slots = {run.scheduled_time for run in history}
    assert slots == {at(10 * k) for k in range(1, len(slots) + 1)}
    closed = {run.scheduled_time for run in history if run.status.final}
    assert slots == closed


async def test_a_recovered_execution_takes_its_place_before_new_slots(autojump_clock):
    event = make_event(action={"type": "work"})
    async with SqliteStore.open(None) as store:
        with trio.CancelScope() as power:
            async with running_kernel(store=store, actions={"work": Work()}) as first:
                await save_event(first.kernel, event)
                await trio.sleep(15)
                power.cancel()
        async with running_kernel(store=store, actions={"work": Work()}, start=at(21)) as second:
            await trio.sleep(20)
            history = await second.history()
    interrupted, again, skipped = history[0], history[1], history[2]
    assert (interrupted.status, again.trigger) == (Status.INTERRUPTED, Trigger.RECOVERY)
    assert (skipped.status, skipped.scheduled_time) == (Status.SKIPPED, at(20))
    assert skipped.result["blocked_by"] == again.execution_id


async def test_a_queue_keeps_its_order_across_a_restart(autojump_clock):
    order = []

    async def note(config, execution):
        await trio.sleep(25)
        order.append(execution.scheduled_time)

    event = at_instants(10, 11, 12, 30, action={"type": "slow"}, mode=Mode.QUEUED)
    async with SqliteStore.open(None) as store:
        with trio.CancelScope() as power:
            async with running_kernel(store=store, actions={"slow": note}) as first:
                await save_event(first.kernel, event)
                await trio.sleep(15)
                power.cancel()
        async with running_kernel(store=store, actions={"slow": note}, start=at(16)) as second:
            await trio.sleep(150)
            unfinished = await second.store.unfinished()
    assert order == [at(10), at(11), at(12), at(30)]
    assert unfinished == []
