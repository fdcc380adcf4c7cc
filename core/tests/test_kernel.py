"""The kernel in virtual time: from definition to notification."""

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest
import trio
from msgspec.structs import replace as replace_fields

from alicia_scheduler.api import Mode, Permanent, Retryable, Status, StoreError, Trigger, to_epoch
from alicia_scheduler.kernel.definitions import save_event, sync_origin
from alicia_scheduler.kernel.kernel import KernelSettings
from alicia_scheduler.store.sqlite import SqliteStore
from alicia_scheduler.testing.clock import START
from alicia_scheduler.testing.kernel import make_event, running_kernel


def at(seconds):
    return START + timedelta(seconds=seconds)


def at_instants(*seconds, **fields):
    epochs = [to_epoch(at(second)) for second in seconds]
    return make_event(schedule_type="at", schedule_config={"epochs": epochs}, **fields)


async def statuses(under_test, event_id="event"):
    return [execution.status for execution in await under_test.history(event_id)]


# -- slots on time ---------------------------------------------------------------------------


async def test_every_slot_of_an_event_runs_once_and_on_time(autojump_clock):
    async with running_kernel() as under_test:
        await save_event(under_test.kernel, make_event())
        await trio.sleep(35)
    assert [run.scheduled_time for run in under_test.ran] == [at(10), at(20), at(30)]
    assert [run.lateness for run in under_test.ran] == [0, 0, 0]


async def test_an_execution_goes_from_pending_to_completed_with_all_its_fields(autojump_clock):
    async def answer(config, execution):
        assert execution.status is Status.RUNNING
        await trio.sleep(2)
        return {"answer": 42}

    async with running_kernel(actions={"answer": answer}) as under_test:
        await save_event(under_test.kernel, at_instants(10, action={"type": "answer"}))
        await trio.sleep(15)
        (execution,) = await under_test.history()
    assert execution.status is Status.COMPLETED
    assert execution.trigger is Trigger.SCHEDULE
    assert execution.revision == 1
    assert (execution.scheduled_time, execution.start_time, execution.end_time) == (
        at(10),
        at(10),
        at(12),
    )
    assert execution.result == {"answer": 42}
    assert execution.error_message is None
    assert execution.retry_count == 0


async def test_an_execution_tells_its_steps_with_their_offsets_from_the_slot(autojump_clock):
    async def fail_once(config, execution):
        await trio.sleep(2)
        if execution.retry_count == 0:
            raise Retryable("no")

    event = at_instants(10, action={"type": "fail_once"}, retry_delay=5)
    async with running_kernel(actions={"fail_once": fail_once}) as under_test:
        await save_event(under_test.kernel, event)
        await trio.sleep(30)
        (execution,) = await under_test.history()
    assert [(step.name, step.offset) for step in execution.steps] == [
        ("due", 0),
        ("started", 0),
        ("attempt 2", 7),
        ("ended", 9),
    ]


async def test_a_once_event_ends_after_its_one_run(autojump_clock):
    async with running_kernel() as under_test:
        await save_event(under_test.kernel, at_instants(10))
        await trio.sleep(1000)
        record = (await under_test.store.records(["event"]))["event"]
    assert len(under_test.ran) == 1
    assert record.state.next_run is None
    assert record.state.last_status is Status.COMPLETED


async def test_the_next_slot_is_counted_from_the_slot_and_does_not_drift(autojump_clock):
    async def slow(config, execution):
        await trio.sleep(3.7)

    async with running_kernel(actions={"slow": slow}) as under_test:
        await save_event(under_test.kernel, make_event(action={"type": "slow"}))
        await trio.sleep(55)
        history = await under_test.history()
    assert [run.scheduled_time for run in history] == [at(10 * k) for k in range(1, 6)]


async def test_counters_count_runs_and_not_attempts(autojump_clock):
    outcomes = iter([None, Retryable("later"), None, Permanent("never")])

    async def scripted(config, execution):
        outcome = next(outcomes)
        if outcome is not None:
            raise outcome

    event = at_instants(10, 20, 30, action={"type": "scripted"}, retry_delay=1)
    async with running_kernel(actions={"scripted": scripted}) as under_test:
        await save_event(under_test.kernel, event)
        await trio.sleep(60)
        state = (await under_test.store.records(["event"]))["event"].state
    assert (state.run_count, state.success_count, state.failure_count) == (3, 2, 1)
    assert state.last_run == at(30)
    assert state.last_status is Status.FAILED


async def test_nothing_wakes_the_kernel_while_nothing_is_due(autojump_clock):
    async with running_kernel() as under_test:
        await save_event(under_test.kernel, at_instants(3600))
        await trio.testing.wait_all_tasks_blocked()
        before = trio.current_time()
        statistics = trio.lowlevel.current_statistics()
        assert statistics.seconds_to_next_deadline == pytest.approx(3600, abs=1)
        assert trio.current_time() == before


async def test_the_start_is_committed_before_the_action_begins(autojump_clock):
    seen = []

    async def look(config, execution):
        stored = await under_test.store.execution(execution.execution_id)
        record = (await under_test.store.records(["event"]))["event"]
        seen.append((stored.status, record.state.next_run))

    async with running_kernel(actions={"look": look}) as under_test:
        await save_event(under_test.kernel, make_event(action={"type": "look"}))
        await trio.sleep(11)
    assert seen == [(Status.RUNNING, at(20))]


async def test_a_slot_that_the_store_knows_to_have_run_is_not_run_again(autojump_clock):
    async with running_kernel() as under_test:
        await save_event(under_test.kernel, make_event())
        await trio.sleep(11)
        entry = under_test.kernel.catalog.get("event")
        entry.state = replace_fields(entry.state, next_run=at(10), next_due=at(10))
        under_test.kernel.put_next(entry)
        await trio.sleep(10)
        history = await under_test.history()
    assert [run.scheduled_time for run in under_test.ran] == [at(10), at(20)]
    assert [run.scheduled_time for run in history] == [at(10), at(20)]
    assert under_test.told("error")[0]["class"] == "slot taken"


async def test_all_that_is_due_together_is_one_transaction(autojump_clock):
    commits = []

    async with running_kernel() as under_test:
        for number in range(50):
            await save_event(under_test.kernel, at_instants(10, event_id=f"event-{number}"))
        commit = under_test.store.commit

        async def counted(changes):
            commits.append(len(changes))
            await commit(changes)

        under_test.kernel.store.commit = counted
        await trio.sleep(11)
    assert commits[0] == 101  # fifty starts, fifty advanced events, and the last number told


# -- failure, timeout, retry -----------------------------------------------------------------


async def test_a_failed_attempt_is_retried_with_exponential_back_off(autojump_clock):
    tried = []

    async def fail(config, execution):
        tried.append((trio.current_time(), execution.retry_count))
        raise Retryable("no")

    event = at_instants(10, action={"type": "fail"}, max_retries=3, retry_delay=5)
    async with running_kernel(actions={"fail": fail}) as under_test:
        began = trio.current_time()
        await save_event(under_test.kernel, event)
        await trio.sleep(100)
        (execution,) = await under_test.history()
    assert [(round(time - began), count) for time, count in tried] == [
        (10, 0),
        (15, 1),
        (25, 2),
        (45, 3),
    ]
    assert execution.status is Status.FAILED
    assert execution.retry_count == 3
    assert execution.error_message == "no"


async def test_the_delay_is_capped_by_retry_max_delay(autojump_clock):
    times = []

    async def fail(config, execution):
        times.append(trio.current_time())
        raise Retryable("no")

    event = at_instants(
        10, action={"type": "fail"}, max_retries=4, retry_delay=5, retry_max_delay=8
    )
    async with running_kernel(actions={"fail": fail}) as under_test:
        await save_event(under_test.kernel, event)
        await trio.sleep(100)
    gaps = [round(later - earlier) for earlier, later in itertools.pairwise(times)]
    assert gaps == [5, 8, 8, 8]


async def test_a_waiting_retry_is_stored_and_holds_no_place(autojump_clock):
    async def fail(config, execution):
        raise Retryable("no")

    event = at_instants(10, action={"type": "fail"}, retry_delay=60)
    settings = KernelSettings(max_concurrent=1)
    async with running_kernel(actions={"fail": fail}, settings=settings) as under_test:
        await save_event(under_test.kernel, event)
        await save_event(under_test.kernel, at_instants(20, event_id="other"))
        await trio.sleep(30)
        (waiting,) = await under_test.history()
        assert waiting.status is Status.PENDING
        assert waiting.next_attempt_at == at(70)
        assert [run.event_id for run in under_test.ran] == ["other"]


async def test_a_permanent_failure_is_not_retried(autojump_clock):
    async def fail(config, execution):
        raise Permanent("wrong address")

    async with running_kernel(actions={"fail": fail}) as under_test:
        await save_event(under_test.kernel, at_instants(10, action={"type": "fail"}))
        await trio.sleep(1000)
        (execution,) = await under_test.history()
    assert (execution.status, execution.reason) == (Status.FAILED, "permanent")
    assert execution.retry_count == 0


async def test_a_delay_that_the_far_side_asked_for_stands_in_for_the_back_off(autojump_clock):
    times = []

    async def busy(config, execution):
        times.append(trio.current_time())
        raise Retryable("busy", after=42)

    event = at_instants(10, action={"type": "busy"}, max_retries=1)
    async with running_kernel(actions={"busy": busy}) as under_test:
        await save_event(under_test.kernel, event)
        await trio.sleep(100)
    assert round(times[1] - times[0]) == 42


async def test_an_attempt_is_cancelled_at_its_timeout(autojump_clock):
    ended = []

    async def hang(config, execution):
        try:
            await trio.sleep_forever()
        finally:
            ended.append(trio.current_time())

    event = at_instants(10, action={"type": "hang"}, timeout=4, max_retries=0)
    async with running_kernel(actions={"hang": hang}) as under_test:
        began = trio.current_time()
        await save_event(under_test.kernel, event)
        await trio.sleep(30)
        (execution,) = await under_test.history()
    assert round(ended[0] - began) == 14
    assert (execution.status, execution.reason) == (Status.FAILED, "timeout")
    assert execution.error_message == "timed out after 4 s"
    assert under_test.told("execution_timed_out")


async def test_an_action_that_raises_anything_fails_with_its_place_in_the_record(autojump_clock):
    async def broken(config, execution):
        raise ZeroDivisionError("one over nothing")

    event = at_instants(10, action={"type": "broken"}, max_retries=0)
    async with running_kernel(actions={"broken": broken}) as under_test:
        await save_event(under_test.kernel, event)
        await trio.sleep(11)
        (execution,) = await under_test.history()
    assert execution.status is Status.FAILED
    assert execution.error_message.startswith("ZeroDivisionError: one over nothing")
    assert "test_kernel.py" in execution.error_message


async def test_an_action_that_calls_sys_exit_fails_alone(autojump_clock):
    async def leave(config, execution):
        raise SystemExit(3)

    event = at_instants(10, event_id="bad", action={"type": "leave"}, max_retries=0)
    async with running_kernel(actions={"leave": leave}) as under_test:
        await save_event(under_test.kernel, event)
        await save_event(under_test.kernel, at_instants(20, event_id="good"))
        await trio.sleep(21)
        assert await statuses(under_test, "bad") == [Status.FAILED]
        assert await statuses(under_test, "good") == [Status.COMPLETED]


async def test_a_chain_of_retries_yields_to_the_next_slot(autojump_clock):
    async def fail_first(config, execution):
        if execution.scheduled_time == at(10):
            raise Retryable("no")

    event = at_instants(10, 20, action={"type": "fail_first"}, retry_delay=60)
    async with running_kernel(actions={"fail_first": fail_first}) as under_test:
        await save_event(under_test.kernel, event)
        await trio.sleep(200)
        first, second = await under_test.history()
    assert (first.status, first.reason, first.error_message) == (Status.FAILED, "superseded", "no")
    assert second.status is Status.COMPLETED


async def deaf(config, execution):
    with trio.CancelScope(shield=True):
        await trio.sleep(500)


async def test_an_action_that_ignores_its_timeout_is_given_up_and_its_event_goes_on(autojump_clock):
    event = at_instants(10, 50, action={"type": "deaf"}, timeout=4, max_retries=0)
    async with running_kernel(actions={"deaf": deaf}) as under_test:
        await save_event(under_test.kernel, event)
        await trio.sleep(48)
        (first,) = await under_test.history()
        await trio.sleep(1000)
        history = await under_test.history()
    assert (first.status, first.reason, first.end_time) == (Status.FAILED, "timeout", at(16))
    assert "ignored its cancellation" in first.error_message
    assert [run.reason for run in history] == ["timeout", "timeout"]
    assert under_test.kernel.runner.stuck == 2


async def test_an_action_that_ignores_its_cancellation_frees_its_place(autojump_clock):
    settings = KernelSettings(max_concurrent=1)
    event = at_instants(10, action={"type": "deaf"})
    async with running_kernel(actions={"deaf": deaf}, settings=settings) as under_test:
        await save_event(under_test.kernel, event)
        await save_event(under_test.kernel, at_instants(20, event_id="other"))
        await trio.sleep(15)
        (execution,) = await under_test.history()
        await under_test.kernel.cancel(execution.execution_id, "cancelled")
        await trio.sleep(10)
        assert await statuses(under_test) == [Status.CANCELLED]
        assert await statuses(under_test, "other") == [Status.COMPLETED]
        await trio.sleep(1000)


# -- overlap ---------------------------------------------------------------------------------


async def slow_for_25(config, execution):
    await trio.sleep(25)


async def test_single_skips_a_slot_while_the_event_runs_and_names_what_blocked_it(autojump_clock):
    event = at_instants(10, 20, 40, action={"type": "slow"})
    async with running_kernel(actions={"slow": slow_for_25}) as under_test:
        await save_event(under_test.kernel, event)
        await trio.sleep(70)
        first, second, third = await under_test.history()
    assert (second.status, second.reason) == (Status.SKIPPED, "overlap")
    assert second.result == {"blocked_by": first.execution_id, "blocked_for": 10.0}
    assert third.status is Status.COMPLETED


async def test_parallel_runs_slots_side_by_side_up_to_max_executions(autojump_clock):
    event = at_instants(10, 11, 12, action={"type": "slow"}, mode=Mode.PARALLEL, max_executions=2)
    async with running_kernel(actions={"slow": slow_for_25}) as under_test:
        await save_event(under_test.kernel, event)
        await trio.sleep(70)
        assert await statuses(under_test) == [
            Status.COMPLETED,
            Status.COMPLETED,
            Status.SKIPPED,
        ]


async def test_queued_runs_slots_one_after_another(autojump_clock):
    event = at_instants(10, 11, action={"type": "slow"}, mode=Mode.QUEUED)
    async with running_kernel(actions={"slow": slow_for_25}) as under_test:
        await save_event(under_test.kernel, event)
        await trio.sleep(15)
        assert await statuses(under_test) == [Status.RUNNING, Status.PENDING]
        await trio.sleep(70)
        first, second = await under_test.history()
    assert second.start_time == first.end_time == at(35)


async def test_restart_cancels_what_runs_and_starts_anew(autojump_clock):
    event = at_instants(10, 20, action={"type": "slow"}, mode=Mode.RESTART)
    async with running_kernel(actions={"slow": slow_for_25}) as under_test:
        await save_event(under_test.kernel, event)
        await trio.sleep(70)
        first, second = await under_test.history()
    assert (first.status, first.reason, first.end_time) == (Status.CANCELLED, "restart", at(20))
    assert (second.status, second.start_time) == (Status.COMPLETED, at(20))


async def test_executions_wait_for_a_place_of_the_host_and_then_run_in_order(autojump_clock):
    settings = KernelSettings(max_concurrent=1)
    async with running_kernel(actions={"slow": slow_for_25}, settings=settings) as under_test:
        for name in "abc":
            event = at_instants(10, event_id=name, action={"type": "slow"})
            await save_event(under_test.kernel, event)
        await trio.sleep(100)
        starts = [(await under_test.history(name))[0].start_time for name in "abc"]
    assert starts == [at(10), at(35), at(60)]


async def test_a_manual_trigger_takes_the_same_path(autojump_clock):
    async with running_kernel(actions={"slow": slow_for_25}) as under_test:
        await save_event(under_test.kernel, at_instants(100, action={"type": "slow"}))
        (first,) = await under_test.kernel.trigger("event")
        (second,) = await under_test.kernel.trigger("event")
        assert first.trigger is Trigger.MANUAL
        assert (second.status, second.reason) == (Status.SKIPPED, "overlap")


# -- restart and recovery --------------------------------------------------------------------


async def test_events_counters_history_and_grid_survive_a_restart(autojump_clock):
    async with SqliteStore.open(None) as store:
        async with running_kernel(store=store) as first:
            await save_event(first.kernel, make_event())
            await trio.sleep(25)
        async with running_kernel(store=store, start=at(25)) as second:
            await trio.sleep(10)
            state = (await store.records(["event"]))["event"].state
            history = await second.history()
    assert [run.scheduled_time for run in history] == [at(10), at(20), at(30)]
    assert state.run_count == 3


async def test_a_pending_retry_survives_a_restart(autojump_clock):
    async def fail_once(config, execution):
        if execution.retry_count == 0:
            raise Retryable("no")

    actions = {"fail_once": fail_once}
    async with SqliteStore.open(None) as store:
        async with running_kernel(store=store, actions=actions) as first:
            event = at_instants(10, action={"type": "fail_once"}, retry_delay=60)
            await save_event(first.kernel, event)
            await trio.sleep(20)
        async with running_kernel(store=store, actions=actions, start=at(20)) as second:
            await trio.sleep(60)
            (execution,) = await second.history()
    assert execution.status is Status.COMPLETED
    assert execution.retry_count == 1


async def test_what_runs_when_the_host_stops_gets_time_to_end(autojump_clock):
    settings = KernelSettings(drain_timeout=60)
    async with SqliteStore.open(None) as store:
        async with running_kernel(
            store=store, actions={"slow": slow_for_25}, settings=settings
        ) as under_test:
            await save_event(under_test.kernel, at_instants(10, action={"type": "slow"}))
            await trio.sleep(11)
        (execution,) = await store.list_executions()
    assert execution.status is Status.COMPLETED


async def test_what_outlasts_the_drain_is_interrupted_and_runs_again_at_the_next_start(
    autojump_clock,
):
    settings = KernelSettings(drain_timeout=2)
    actions = {"slow": slow_for_25}
    async with SqliteStore.open(None) as store:
        async with running_kernel(store=store, actions=actions, settings=settings) as first:
            await save_event(first.kernel, at_instants(10, action={"type": "slow"}))
            await trio.sleep(11)
        async with running_kernel(store=store, actions=actions, start=at(13)) as second:
            await trio.sleep(30)
            history = await second.history()
    by_status = {run.status: run for run in history}
    assert by_status[Status.INTERRUPTED].reason == "shutdown"
    assert by_status[Status.COMPLETED].trigger is Trigger.RECOVERY
    assert {run.scheduled_time for run in history} == {at(10)}


async def test_a_stop_in_a_hurry_cancels_at_once_and_records_it(autojump_clock):
    settings = KernelSettings(drain_timeout=1000)
    async with SqliteStore.open(None) as store:
        async with running_kernel(
            store=store, actions={"slow": slow_for_25}, settings=settings
        ) as under_test:
            await save_event(under_test.kernel, at_instants(10, action={"type": "slow"}))
            await trio.sleep(11)
            under_test.kernel.hurry()
            await under_test.kernel.stopped.wait()
            assert trio.current_time() < 12
        rerun, interrupted = await store.list_executions()
    assert (interrupted.status, interrupted.reason) == (Status.INTERRUPTED, "shutdown")
    assert rerun.status is Status.PENDING


async def test_a_host_that_is_stopped_while_it_recovers_starts_nothing(autojump_clock):
    async with SqliteStore.open(None) as store:
        await crash(store, at_instants(10, action={"type": "slow"}))

        async def stop(under_test):
            under_test.kernel.stop()

        async with running_kernel(
            store=store, actions={"slow": slow_for_25}, start=at(13), before=stop
        ) as second:
            await second.kernel.stopped.wait()
        rerun, interrupted = await store.list_executions()
    assert (interrupted.status, interrupted.reason) == (Status.INTERRUPTED, "crash")
    assert (rerun.status, rerun.start_time) == (Status.PENDING, None)


async def crash(store, event):
    """Leave an execution running in the store, as a killed host does."""
    with trio.CancelScope() as scope:
        async with running_kernel(store=store, actions={"slow": slow_for_25}) as under_test:
            await save_event(under_test.kernel, event)
            await trio.sleep(11)
            scope.cancel()


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("rerun", [Status.INTERRUPTED, Status.COMPLETED]),
        ("fail", [Status.INTERRUPTED]),
    ],
)
async def test_an_execution_found_running_is_closed_and_run_again_by_policy(
    policy, expected, autojump_clock
):
    async with SqliteStore.open(None) as store:
        await crash(store, at_instants(10, action={"type": "slow"}, on_interrupted=policy))
        (left,) = await store.unfinished()
        assert left.status is Status.RUNNING
        actions = {"slow": slow_for_25}
        async with running_kernel(store=store, actions=actions, start=at(12)) as after:
            await trio.sleep(50)
            found = [run.status for run in await after.history()]
            assert sorted(found) == sorted(expected)
            assert after.told("recovery")[0]["interrupted"] == 1


async def test_slots_missed_while_the_host_was_down_follow_the_misfire_policy(autojump_clock):
    async with SqliteStore.open(None) as store:
        async with running_kernel(store=store) as first:
            await save_event(first.kernel, make_event())
            await trio.sleep(5)
        async with running_kernel(store=store, start=at(10_000_002)) as second:
            await trio.sleep(5)
            history = await second.history()
    summary, latest = history
    assert (summary.status, summary.reason) == (Status.MISSED, "coalesced")
    assert summary.result["first"] == to_epoch(at(10))
    assert summary.result["before"] == to_epoch(at(10_000_000))
    assert (latest.status, latest.scheduled_time) == (Status.COMPLETED, at(10_000_000))


# -- definitions -----------------------------------------------------------------------------


async def test_an_edit_that_leaves_the_schedule_alone_leaves_the_next_slot_alone(autojump_clock):
    async with running_kernel() as under_test:
        first = await save_event(under_test.kernel, make_event())
        await trio.sleep(5)
        second = await save_event(under_test.kernel, make_event(name="other name"))
    assert second.state.next_run == first.state.next_run == at(10)
    assert second.event.revision == 2


async def test_an_edit_of_the_schedule_counts_the_next_slot_from_the_edit(autojump_clock):
    async with running_kernel() as under_test:
        await save_event(under_test.kernel, make_event())
        await trio.sleep(5)
        edited = make_event(schedule_config={"seconds": 7})
        record = await save_event(under_test.kernel, edited)
    assert record.state.next_run == at(12)


async def test_a_file_that_has_not_changed_changes_nothing(autojump_clock):
    async with running_kernel() as under_test:
        event = make_event(origin="file")
        await sync_origin(under_test.kernel, "file", [event])
        again = await sync_origin(under_test.kernel, "file", [event])
        record = (await under_test.store.records(["event"]))["event"]
    assert again.unchanged == ["event"]
    assert record.event.revision == 1


async def test_events_that_left_the_file_are_removed_and_others_stay(autojump_clock):
    async with running_kernel() as under_test:
        await save_event(under_test.kernel, make_event("from-api", origin="api"))
        await sync_origin(under_test.kernel, "file", [make_event("gone", origin="file")])
        difference = await sync_origin(under_test.kernel, "file", [])
        left = [record.event.event_id for record in await under_test.store.list_events()]
    assert difference.removed == ["gone"]
    assert left == ["from-api"]


async def test_a_disabled_event_does_not_run_and_goes_on_when_enabled(autojump_clock):
    async with running_kernel() as under_test:
        await save_event(under_test.kernel, make_event(enabled=False))
        await trio.sleep(25)
        assert under_test.ran == []
        await save_event(under_test.kernel, make_event())
        await trio.sleep(11)
    assert [run.scheduled_time for run in under_test.ran] == [at(35)]


async def test_an_event_whose_type_is_missing_is_kept_and_told_and_stops_nothing(autojump_clock):
    async with running_kernel() as under_test:
        strange = make_event("strange", schedule_type="tide", schedule_config={})
        await sync_origin(under_test.kernel, "test", [strange, make_event()])
        await trio.sleep(11)
        kept = await under_test.store.records(["strange"])
    assert "strange" in kept
    assert under_test.told("error")[0]["event_id"] == "strange"
    assert len(under_test.ran) == 1


async def test_a_schedule_that_raises_is_set_aside_and_stops_nothing(autojump_clock):
    class Faulty:
        def next_after(self, instant):
            if instant > at(15):
                raise RuntimeError("tide table ends")
            return at(10) if instant < at(10) else at(20)

        def describe(self):
            return "faulty"

    async with running_kernel() as under_test:
        prepare = under_test.types.prepare

        def with_faulty(event, anchor):
            prepared = prepare(event, anchor)
            if event.event_id == "faulty":
                return replace(prepared, schedule=Faulty())
            return prepared

        under_test.types.prepare = with_faulty
        await save_event(under_test.kernel, make_event("faulty"))
        await save_event(under_test.kernel, make_event())
        await trio.sleep(35)
        assert [run.event_id for run in under_test.ran].count("event") == 3
        assert "tide table ends" in under_test.told("error")[0]["message"]


async def test_a_store_that_cannot_be_read_for_a_while_loses_no_slot(autojump_clock):
    async with running_kernel() as under_test:
        await save_event(under_test.kernel, at_instants(10))
        under_test.kernel.catalog.remove("event")
        records = under_test.store.records

        async def broken(ids):
            if under_test.clock.now() < at(30):
                raise StoreError("no answer")
            return await records(ids)

        under_test.kernel.catalog._store.records = broken
        await trio.sleep(60)
    assert [run.scheduled_time for run in under_test.ran] == [at(10)]
    assert under_test.told("error")


# -- bounds ----------------------------------------------------------------------------------


async def test_starts_at_and_ends_at_bound_the_schedule(autojump_clock):
    event = make_event(starts_at=at(100), ends_at=at(130))
    async with running_kernel() as under_test:
        await save_event(under_test.kernel, event)
        await trio.sleep(300)
    assert [run.scheduled_time for run in under_test.ran] == [at(110), at(120), at(130)]


async def test_max_runs_ends_the_schedule(autojump_clock):
    async with running_kernel() as under_test:
        await save_event(under_test.kernel, make_event(max_runs=2))
        await trio.sleep(300)
        record = (await under_test.store.records(["event"]))["event"]
    assert len(under_test.ran) == 2
    assert record.state.next_run is None


async def test_jitter_delays_the_start_within_its_bound_and_keeps_the_slot(autojump_clock):
    async with running_kernel() as under_test:
        await save_event(under_test.kernel, make_event(jitter=4))
        await trio.sleep(1000)
    delays = [run.lateness for run in under_test.ran]
    assert len(delays) >= 99
    assert all(0 <= delay < 4 for delay in delays)
    assert len(set(delays)) > 50
    assert all((run.scheduled_time - START).total_seconds() % 10 == 0 for run in under_test.ran)
