"""Retries and their ends, pauses after failures, and running what has failed again."""

import math
from datetime import timedelta
from types import SimpleNamespace

import pytest
import trio

from alicia_scheduler.api import (
    CalledOff,
    Caller,
    CommandError,
    Mode,
    Permanent,
    Permission,
    Retryable,
    ServiceUnavailable,
    Status,
    Trigger,
    to_epoch,
    to_wire,
)
from alicia_scheduler.control.control import Control
from alicia_scheduler.kernel import steering
from alicia_scheduler.kernel.attempt import AFTER_LIMIT
from alicia_scheduler.kernel.definitions import save_event, sync_origin
from alicia_scheduler.kernel.rerun import rerun
from alicia_scheduler.kernel.steering import FOR_EVER
from alicia_scheduler.store.sqlite import SqliteStore
from alicia_scheduler.testing.clock import START
from alicia_scheduler.testing.kernel import make_event, running_kernel


def at(seconds):
    return START + timedelta(seconds=seconds)


def at_instants(*seconds, **fields):
    epochs = [to_epoch(at(second)) for second in seconds]
    return make_event(
        schedule_type="at",
        schedule_config={"epochs": epochs},
        **({"action": {"type": "try"}} | fields),
    )


class Tries:
    """An action that raises what it is told to, and notes when it was tried, in seconds."""

    def __init__(self, *errors):
        self.errors = list(errors)
        self.times = []
        self.keys = []

    async def __call__(self, config, execution):
        self.times.append(round(trio.current_time() - self.began, 3))
        self.keys.append(execution.idempotency_key)
        error = self.errors.pop(0) if len(self.errors) > 1 else self.errors[0]
        if error is not None:
            raise error

    async def run(self, event, seconds, **options):
        """Save the event, let time pass, and return its history."""
        async with running_kernel(actions={"try": self}, **options) as under_test:
            self.began = trio.current_time()
            await save_event(under_test.kernel, event)
            await trio.sleep(seconds)
            self.told = under_test.notifications
            return await under_test.history()


async def execute(kernel, name, arguments):
    """Give a command to a kernel that runs without a host."""
    host = SimpleNamespace(
        kernel=kernel,
        started=kernel.ready,
        commands=None,
        clock=kernel.clock,
        notifier=kernel.notifier,
        audit=SimpleNamespace(note=lambda *args: None),
    )
    caller = Caller(door="test", name="test", permission=Permission.ADMIN)
    return await Control(host).execute(caller, name, arguments)


# -- classes of errors -------------------------------------------------------------------------


class Rude(Retryable):
    def __init__(self):
        Exception.__init__(self, "rude")

    def __str__(self):
        raise RuntimeError("no words")


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (Retryable("no", error_class="http_503"), "http_503"),
        (Retryable("no"), "retryable"),
        (ServiceUnavailable("no"), "service_unavailable"),
        (Permanent("no", error_class="refused"), "refused"),
        (Permanent("no"), "permanent"),
        (ZeroDivisionError("no"), "ZeroDivisionError"),
        (ExceptionGroup("nursery", [Retryable("no", error_class="dns")]), "dns"),
        (Rude(), "Rude"),
        (Retryable("lone \udc80 surrogate", error_class=7), "7"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
async def test_the_history_and_the_notification_name_the_class_of_an_error(
    error, found, autojump_clock
):
    tries = Tries(error)
    (execution,) = await tries.run(at_instants(10, max_retries=0), 20)
    assert (execution.status, execution.error_class) == (Status.FAILED, found)
    assert to_wire(execution)["error_class"] == found
    told = [item for item in tries.told if item.event_type == "execution_failed"]
    assert told[0].event_data["error_class"] == found


async def test_a_time_out_has_a_class_of_its_own(autojump_clock):
    async def hang(config, execution):
        await trio.sleep_forever()

    event = at_instants(10, action={"type": "hang"}, timeout=4, max_retries=0)
    async with running_kernel(actions={"hang": hang}) as under_test:
        await save_event(under_test.kernel, event)
        await trio.sleep(30)
        (execution,) = await under_test.history()
    assert (execution.reason, execution.error_class) == ("timeout", "timeout")


async def test_a_waiting_retry_shows_its_next_attempt_and_the_class_of_the_last_error(
    autojump_clock,
):
    tries = Tries(Retryable("no", error_class="dns"))
    (execution,) = await tries.run(at_instants(10, retry_delay=60), 20)
    assert execution.status is Status.PENDING
    assert execution.next_attempt_at == at(70)
    assert execution.error_class == "dns"
    told = [item for item in tries.told if item.event_type == "execution_retry_scheduled"]
    assert told[0].event_data["next_attempt_at"] == to_epoch(at(70))
    assert told[0].event_data["error_class"] == "dns"


async def test_a_success_after_a_retry_has_no_class_of_error(autojump_clock):
    (execution,) = await Tries(Retryable("no"), None).run(at_instants(10, retry_delay=5), 30)
    assert (execution.status, execution.error_class) == (Status.COMPLETED, None)
    assert (execution.error_message, execution.retry_count) == (None, 1)


async def test_what_is_called_off_ends_as_cancelled_and_is_not_tried_again(autojump_clock):
    tries = Tries(CalledOff("no paper", result={"page": 4}))
    (execution,) = await tries.run(at_instants(10), 1000)
    assert (execution.status, execution.reason) == (Status.CANCELLED, "called_off")
    assert (execution.error_message, execution.result) == ("no paper", {"page": 4})
    assert tries.times == [10.0]


async def test_a_failure_keeps_what_the_last_attempt_told(autojump_clock):
    tries = Tries(Retryable("first", result=1), Permanent("last", result={"page": 4}))
    (execution,) = await tries.run(at_instants(10), 1000)
    assert (execution.status, execution.result) == (Status.FAILED, {"page": 4})


async def test_an_error_of_a_class_in_no_retry_on_is_not_retried(autojump_clock):
    tries = Tries(Retryable("gone", error_class="http_410"))
    (execution,) = await tries.run(at_instants(10, no_retry_on=("http_410",)), 1000)
    assert tries.times == [10]
    assert (execution.status, execution.error_class) == (Status.FAILED, "http_410")
    assert execution.error_message == "gone; not tried again: no_retry_on has 'http_410'"


async def test_a_time_out_can_be_excluded_from_retries_and_stays_a_time_out(autojump_clock):
    async def hang(config, execution):
        await trio.sleep_forever()

    event = at_instants(10, action={"type": "hang"}, timeout=4, no_retry_on=("timeout",))
    async with running_kernel(actions={"hang": hang}) as under_test:
        await save_event(under_test.kernel, event)
        await trio.sleep(1000)
        (execution,) = await under_test.history()
        assert under_test.told("execution_timed_out")
    assert (execution.status, execution.retry_count) == (Status.FAILED, 0)


# -- age, and delays that the far side asks for ------------------------------------------------


async def test_no_further_attempt_begins_later_than_retry_max_age(autojump_clock):
    tries = Tries(Retryable("no"))
    event = at_instants(10, max_retries=100, retry_delay=5, retry_max_age=60)
    (execution,) = await tries.run(event, 1000)
    assert tries.times == [10, 15, 25, 45]  # the next one would begin at 85, 75 s after it was due
    assert (execution.status, execution.reason) == (Status.FAILED, "error")
    assert execution.error_message.startswith("no; no further attempt begins later than")


async def test_without_retry_max_age_a_chain_is_bounded_by_max_retries_alone(autojump_clock):
    tries = Tries(Retryable("no"))
    await tries.run(at_instants(10, max_retries=5, retry_delay=3600, retry_backoff=1), 100_000)
    assert len(tries.times) == 6


async def test_a_delay_that_the_far_side_asks_for_is_bounded_by_retry_max_age(autojump_clock):
    tries = Tries(Retryable("busy", after=50), Retryable("busy", after=3000))
    (execution,) = await tries.run(at_instants(10, retry_max_age=100), 10_000)
    assert tries.times == [10, 60]
    assert execution.status is Status.FAILED


@pytest.mark.parametrize(
    ("after", "delay"),
    [(42, 42), (-5, 0), (1e300, AFTER_LIMIT), (math.inf, AFTER_LIMIT), (math.nan, 60), ("1", 60)],
)
async def test_whatever_delay_a_far_side_asks_for_the_next_attempt_has_a_time(
    after, delay, autojump_clock
):
    tries = Tries(Retryable("busy", after=after), None)
    await tries.run(at_instants(10), AFTER_LIMIT + 100)
    assert tries.times == [10, 10 + delay]


async def test_a_retry_that_the_outage_made_too_old_fails_at_the_next_start(autojump_clock):
    event = at_instants(10, retry_delay=60, retry_max_age=300)
    tries = Tries(Retryable("no", error_class="dns"))
    async with SqliteStore.open(None) as store:
        await tries.run(event, 20, store=store)
        async with running_kernel(
            store=store, actions={"try": tries}, start=at(1000)
        ) as under_test:
            await trio.sleep(10)
            (execution,) = await under_test.history()
    assert tries.times == [10]
    assert (execution.status, execution.error_class) == (Status.FAILED, "dns")


async def test_a_retry_that_the_outage_made_too_old_has_its_followers(autojump_clock):
    event = at_instants(10, retry_delay=60, retry_max_age=300, on_failure=("alarm",))
    alarm = at_instants(10_000, event_id="alarm", action={"type": "note"})
    tries = Tries(Retryable("no"))
    async with SqliteStore.open(None) as store:
        async with running_kernel(store=store, actions={"try": tries}) as under_test:
            tries.began = trio.current_time()
            await sync_origin(under_test.kernel, "test", [event, alarm])
            await trio.sleep(20)
        async with running_kernel(
            store=store, actions={"try": tries}, start=at(1000)
        ) as under_test:
            await trio.sleep(10)
            (execution,) = await under_test.history()
            assert [run.parent_id for run in under_test.ran] == [execution.execution_id]


async def test_a_retry_that_waited_for_a_place_past_its_age_does_not_begin(autojump_clock):
    from alicia_scheduler.kernel.kernel import KernelSettings

    async def long(config, execution):
        await trio.sleep(500)

    tries = Tries(Retryable("no"))
    event = at_instants(10, retry_delay=20, retry_max_age=60)
    async with running_kernel(
        actions={"try": tries, "long": long}, settings=KernelSettings(max_concurrent=1)
    ) as under_test:
        tries.began = trio.current_time()
        await save_event(under_test.kernel, event)
        other = at_instants(20, event_id="other", action={"type": "long"}, timeout=1000)
        await save_event(under_test.kernel, other)
        await trio.sleep(600)
        (execution,) = await under_test.history()
    assert tries.times == [10]
    assert (execution.status, execution.end_time) == (Status.FAILED, at(520))


# -- surviving, yielding, being cancelled ------------------------------------------------------


async def test_a_chain_goes_on_after_a_restart_with_the_attempts_that_are_left(autojump_clock):
    tries = Tries(Retryable("no"))
    event = at_instants(10, max_retries=3, retry_delay=60, retry_backoff=1)
    async with SqliteStore.open(None) as store:
        await tries.run(event, 80, store=store)  # attempts at 10 and 70
        before = len(tries.times)
        async with running_kernel(store=store, actions={"try": tries}, start=at(80)) as under_test:
            await trio.sleep(1000)
            (execution,) = await under_test.history()
    assert (before, len(tries.times)) == (2, 4)
    assert (execution.status, execution.retry_count) == (Status.FAILED, 3)


async def test_an_attempt_that_a_power_cut_ends_is_repeated_and_not_given_back(autojump_clock):
    keys = []

    async def fail_then_hang(config, execution):
        keys.append(execution.idempotency_key)
        if execution.retry_count == 0:
            raise Retryable("no")
        await trio.sleep(50)
        raise Retryable("still no")

    event = at_instants(10, max_retries=1, retry_delay=10, action={"type": "fail_then_hang"})
    actions = {"fail_then_hang": fail_then_hang}
    async with SqliteStore.open(None) as store:
        with trio.CancelScope() as power:
            async with running_kernel(store=store, actions=actions) as first:
                await save_event(first.kernel, event)
                await trio.sleep(30)
                power.cancel()
        async with running_kernel(store=store, actions=actions, start=at(30)) as second:
            await trio.sleep(500)
            interrupted, again = await second.history()
    assert interrupted.status is Status.INTERRUPTED
    assert (again.status, again.retry_count) == (Status.FAILED, 1)
    assert keys == [f"event/{to_epoch(at(10)):.6f}/{number}" for number in (1, 2, 2)]


async def test_a_waiting_retry_can_be_cancelled(autojump_clock):
    tries = Tries(Retryable("no", error_class="dns"))
    async with running_kernel(actions={"try": tries}) as under_test:
        tries.began = trio.current_time()
        await save_event(under_test.kernel, at_instants(10, retry_delay=60))
        await trio.sleep(20)
        (execution,) = await under_test.history()
        await execute(
            under_test.kernel, "executions/cancel", {"execution_id": execution.execution_id}
        )
        await trio.sleep(1000)
        (execution,) = await under_test.history()
    assert tries.times == [10]
    assert (execution.status, execution.reason) == (Status.CANCELLED, "cancelled")
    assert (execution.error_message, execution.error_class) == ("no", "dns")


async def test_a_chain_that_yielded_keeps_its_error_and_its_class(autojump_clock):
    tries = Tries(Retryable("no", error_class="dns"), None)
    first, second = await tries.run(at_instants(10, 20, retry_delay=60), 100)
    assert (first.status, first.reason, first.error_class) == (Status.FAILED, "superseded", "dns")
    assert second.status is Status.COMPLETED


async def test_a_slot_that_does_not_run_ends_no_chain(autojump_clock):
    tries = Tries(Retryable("no"), None)
    async with running_kernel(actions={"try": tries}) as under_test:
        tries.began = trio.current_time()
        await save_event(under_test.kernel, at_instants(10, 20, retry_delay=60))
        await trio.sleep(15)
        await steering.skip_next(under_test.kernel, "event")
        await trio.sleep(100)
        first, second = await under_test.history()
    assert tries.times == [10, 70]
    assert (first.status, second.reason) == (Status.COMPLETED, "skip")


# -- pausing after failures --------------------------------------------------------------------


async def state_of(under_test):
    return (await under_test.store.records(["event"]))["event"].state


async def test_an_event_pauses_itself_after_so_many_failed_executions_in_a_row(autojump_clock):
    tries = Tries(Retryable("no answer\nand more"))
    async with running_kernel(actions={"try": tries}) as under_test:
        tries.began = trio.current_time()
        event = at_instants(10, 20, 30, 40, max_retries=1, retry_delay=1, pause_on_failure=2)
        await save_event(under_test.kernel, event)
        await trio.sleep(60)
        state = await state_of(under_test)
        told = under_test.told("event_paused")
        history = await under_test.history()
    assert tries.times == [10, 11, 20, 21]
    assert (state.paused_until, state.failures_in_row) == (FOR_EVER, 2)
    assert state.paused_reason == "2 executions in a row failed; the last error: no answer"
    assert [data["paused_reason"] for data in told] == [state.paused_reason]
    assert [run.reason for run in history[2:]] == ["paused", "paused"]


async def test_a_success_in_between_starts_the_count_anew(autojump_clock):
    no = Permanent("no")
    tries = Tries(no, None, no, None, no, None)
    async with running_kernel(actions={"try": tries}) as under_test:
        tries.began = trio.current_time()
        await save_event(under_test.kernel, at_instants(*range(10, 70, 10), pause_on_failure=2))
        await trio.sleep(100)
        state = await state_of(under_test)
    assert len(tries.times) == 6
    assert (state.paused_until, state.failures_in_row) == (None, 0)


async def test_what_was_cancelled_or_interrupted_does_not_count(autojump_clock):
    async def slow(config, execution):
        await trio.sleep(100)

    event = make_event(action={"type": "slow"}, mode=Mode.RESTART, pause_on_failure=1)
    async with SqliteStore.open(None) as store:
        with trio.CancelScope() as power:
            async with running_kernel(store=store, actions={"slow": slow}) as first:
                await save_event(first.kernel, event)
                await trio.sleep(55)  # each slot cancels the run before
                power.cancel()
        async with running_kernel(store=store, actions={"slow": slow}, start=at(55)) as second:
            await trio.sleep(1)
            state = await state_of(second)
    assert state.run_count >= 5
    assert (state.paused_until, state.failures_in_row) == (None, 0)


async def test_chains_that_yield_count_as_failures(autojump_clock):
    tries = Tries(Retryable("no"))
    async with running_kernel(actions={"try": tries}) as under_test:
        tries.began = trio.current_time()
        await save_event(under_test.kernel, make_event(action={"type": "try"}, pause_on_failure=2))
        await trio.sleep(100)
        state = await state_of(under_test)
        told = under_test.told("event_paused")
    assert state.paused_until == FOR_EVER
    assert len(told) == 1
    assert tries.times[:3] == [10, 20, 30]


async def test_resuming_clears_the_reason_and_the_count(autojump_clock):
    tries = Tries(Permanent("no"))
    async with running_kernel(actions={"try": tries}) as under_test:
        tries.began = trio.current_time()
        await save_event(under_test.kernel, make_event(action={"type": "try"}, pause_on_failure=1))
        await trio.sleep(15)
        await steering.resume(under_test.kernel, "event")
        state = await state_of(under_test)
        assert (state.paused_until, state.paused_reason, state.failures_in_row) == (None, None, 0)
        await trio.sleep(10)
        assert (await state_of(under_test)).paused_until == FOR_EVER
    assert tries.times == [10, 20]


# -- dead letters ------------------------------------------------------------------------------


async def test_an_ended_execution_runs_again_for_the_same_slot_and_names_the_one_it_repeats(
    autojump_clock,
):
    tries = Tries(Permanent("no"), None)
    async with running_kernel(actions={"try": tries}) as under_test:
        tries.began = trio.current_time()
        await save_event(under_test.kernel, at_instants(10))
        await trio.sleep(100)
        (failed,) = await under_test.history()
        answer = await execute(
            under_test.kernel, "executions/retry", {"execution_id": failed.execution_id}
        )
        await trio.sleep(1)
        original, again = await under_test.history()
    assert original == failed
    assert answer["done"][0]["executions"][0]["execution_id"] == again.execution_id
    assert (again.status, again.trigger) == (Status.COMPLETED, Trigger.RETRY)
    assert again.scheduled_time == failed.scheduled_time
    assert again.retry_of == failed.execution_id
    assert to_wire(again)["retry_of"] == failed.execution_id


async def test_running_again_has_all_attempts_and_counts_its_age_from_the_request(autojump_clock):
    tries = Tries(Permanent("no"), Retryable("no"))
    event = at_instants(10, max_retries=2, retry_delay=1, retry_max_age=60)
    async with running_kernel(actions={"try": tries}) as under_test:
        tries.began = trio.current_time()
        await save_event(under_test.kernel, event)
        await trio.sleep(1000)
        (failed,) = await under_test.history()
        await rerun(under_test.kernel, failed.execution_id)
        await trio.sleep(100)
        _, again = await under_test.history()
    assert tries.times == [10, 1000, 1001, 1003]
    assert (again.status, again.steps[0].offset) == (Status.FAILED, 0)


async def test_running_again_obeys_the_rules_of_overlap(autojump_clock):
    async def slow(config, execution):
        await trio.sleep(25)

    async with running_kernel(actions={"slow": slow}) as under_test:
        await save_event(under_test.kernel, at_instants(10, 100, action={"type": "slow"}))
        await trio.sleep(110)
        done, running = await under_test.history()
        (record,) = await rerun(under_test.kernel, done.execution_id)
    assert (record.status, record.reason, record.trigger) == ("skipped", "overlap", Trigger.RETRY)
    assert record.result["blocked_by"] == running.execution_id
    assert record.retry_of == done.execution_id


@pytest.mark.parametrize("what", ["unknown", "not ended", "removed", "unresolved"])
async def test_what_cannot_run_again_is_refused_with_the_reason(what, autojump_clock):
    tries = Tries(Retryable("no") if what == "not ended" else Permanent("no"))
    async with running_kernel(actions={"try": tries}) as under_test:
        tries.began = trio.current_time()
        await sync_origin(under_test.kernel, "test", [at_instants(10)])
        await trio.sleep(20)
        (failed,) = await under_test.history()
        execution_id = "nobody" if what == "unknown" else failed.execution_id
        if what == "removed":
            await sync_origin(under_test.kernel, "test", [])
        if what == "unresolved":
            del under_test.types.actions["try"]
            await save_event(under_test.kernel, at_instants(10, name="again"))
        with pytest.raises(CommandError) as refused:
            await execute(under_test.kernel, "executions/retry", {"execution_id": execution_id})
        history = await under_test.history()
    expected = {
        "unknown": ("not_found", "there is no 'nobody'"),
        "not ended": ("not_supported", "is pending: only one that has ended"),
        "removed": ("not_supported", "was removed"),
        "unresolved": ("not_supported", "action type 'try' is not installed"),
    }
    code, words = expected[what]
    assert refused.value.code == code
    assert words in str(refused.value)
    assert len(history) == 1


# -- failing and healthy -----------------------------------------------------------------------


async def test_an_event_that_begins_to_fail_and_works_again_says_so_once_each(autojump_clock):
    outcomes = iter([True, False, False, True, True])

    async def sometimes(_config, _execution):
        if not next(outcomes):
            raise Permanent("the lamp does not answer")

    async with running_kernel(actions={"sometimes": sometimes}) as k:
        await save_event(k.kernel, make_event(action={"type": "sometimes"}))
        await k.clock.advance(55)
    (failing,) = k.told("event_failing")
    assert (failing["event_id"], failing["failures_in_row"]) == ("event", 1)
    (recovered,) = k.told("event_recovered")
    assert (recovered["failures"], recovered["outage"]) == (2, 20.0)
    assert recovered["failing_since"] is None


async def test_an_event_that_fails_is_told_as_failing_in_the_transaction_of_its_failure(
    autojump_clock,
):
    async def fail(_config, _execution):
        raise Permanent("the lamp does not answer")

    async with running_kernel(actions={"fail": fail}) as k:
        await save_event(k.kernel, make_event(action={"type": "fail"}))
        await k.clock.advance(15)
        (record,) = await k.store.list_events()
        types = [item.event_type for item in k.notifications]
    assert record.state.failing_since == START + timedelta(seconds=10)
    assert types[-2:] == ["execution_failed", "event_failing"]


async def test_an_execution_that_is_tried_for_ever_keeps_a_bounded_number_of_steps(autojump_clock):
    async def fail(_config, _execution):
        raise Retryable("not yet")

    async with running_kernel(actions={"fail": fail}) as k:
        event = make_event(
            action={"type": "fail"}, max_runs=1, max_retries=500, retry_delay=1, retry_backoff=1
        )
        await save_event(k.kernel, event)
        await k.clock.advance(1000)
        (execution,) = await k.history()
    assert execution.retry_count == 500
    assert len(execution.steps) == 100
    assert [step.name for step in execution.steps[:3]] == ["due", "started", "attempt 2"]
    assert [step.name for step in execution.steps[-2:]] == ["attempt 501", "ended"]
