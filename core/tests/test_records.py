"""What was decided becomes durable, then known; and a store that fails stops nothing."""

from __future__ import annotations

import pytest
import trio
from msgspec.structs import replace

from alicia_scheduler.api import Notification, OnInterrupted, Retryable, Status, StoreError
from alicia_scheduler.api.store import RemoveEvent, SaveExecution, SaveFact, SaveState, SlotTaken
from alicia_scheduler.kernel.backlog import Backlog
from alicia_scheduler.kernel.definitions import save_event
from alicia_scheduler.kernel.ledger import new_execution
from alicia_scheduler.kernel.notifications import Notifier, Told
from alicia_scheduler.kernel.records import Records
from alicia_scheduler.store import SqliteStore
from alicia_scheduler.testing.clock import START, VirtualClock
from alicia_scheduler.testing.kernel import make_event, running_kernel

FULL = StoreError("store here: the disk is full; free some space", transient=True)
DAMAGED = StoreError("store here: the file is damaged", damaged=True)


class Faulty:
    """A store in memory whose commits fail while ``fault`` is set."""

    def __init__(self, store):
        self._store = store
        self.fault = None
        self.poison = None

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def commit(self, changes):
        if self.fault is not None:
            raise self.fault
        if self.poison is not None and any(map(self.poison, changes)):
            raise StoreError("store here: cannot be stored")
        await self._store.commit(changes)

    async def recover(self):
        self.fault = None
        return await self._store.recover()


@pytest.fixture
async def store():
    async with SqliteStore.open(None) as opened:
        yield Faulty(opened)


def with_event(**fields):
    return lambda k: save_event(k.kernel, make_event(**fields))


def sequences(k):
    return [notification.sequence for notification in k.notifications]


# -- numbers ---------------------------------------------------------------------------------


async def test_numbers_go_on_without_a_hole_after_a_stop(store, autojump_clock):
    async with running_kernel(store=store, before=with_event()) as first:
        await first.clock.advance(25)
    async with running_kernel(store=store, clock=first.clock) as second:
        await second.clock.advance(20)
    numbers = sequences(first) + sequences(second)
    assert numbers == list(range(1, len(numbers) + 1))


@pytest.mark.parametrize("instant", [9.5, 10, 10.5, 20, 21])
async def test_numbers_go_on_without_a_hole_after_a_power_cut(store, autojump_clock, instant):
    clock = VirtualClock()
    async with running_kernel(store=store, clock=clock, before=with_event()) as first:
        await clock.advance(instant)
        clock.lose_power(1)
        await trio.sleep_forever()
    async with running_kernel(store=store, clock=clock) as second:
        await second.clock.advance(20)
    numbers = sequences(first) + sequences(second)
    assert numbers == list(range(1, len(numbers) + 1))


async def test_a_number_that_is_saved_late_does_not_set_the_numbers_back(store, autojump_clock):
    notifier = Notifier(VirtualClock())
    async with Records.running(store, notifier, VirtualClock()) as records:
        notifier.emit("alone", {"message": "saved after what follows"})
        await records.keep([SaveFact("a", 1)], [Told("decided", {}), Told("meanwhile", {})])
        await trio.sleep(1)
        assert (await store.facts())["sequence"] == notifier.last == 3


async def test_a_slot_that_the_store_refuses_leaves_no_hole_in_the_numbers(store, autojump_clock):
    event = make_event()
    slot = START.replace(second=10)
    taken = replace(new_execution(event, slot), status=Status.COMPLETED)
    await store.commit([SaveExecution(taken)])
    async with running_kernel(store=store, before=with_event()) as k:
        await k.clock.advance(25)
    assert [execution.scheduled_time.second for execution in k.ran] == [20]
    assert k.told("error")[0]["class"] == "slot taken"
    assert sequences(k) == list(range(1, len(k.notifications) + 1))


async def test_an_end_that_the_store_refuses_for_its_slot_does_not_silence_what_follows(
    store, autojump_clock
):
    async def slow(config, execution):
        await trio.sleep(5)

    async with running_kernel(
        store=store, actions={"slow": slow}, before=with_event(action={"type": "slow"})
    ) as k:
        await k.clock.advance(12)
        commit = store.commit

        async def taken(changes):
            for change in changes:
                if isinstance(change, SaveExecution):
                    execution = change.execution
                    raise SlotTaken(
                        execution.execution_id, execution.event_id, execution.scheduled_time
                    )
            await commit(changes)

        store.commit = taken
        await k.clock.advance(5)
        store.commit = commit
        await k.clock.advance(10)
        assert len(k.told("execution_started")) == 2
        assert len(k.told("execution_completed")) == 2
    assert sequences(k) == list(range(1, len(k.notifications) + 1))


async def test_nothing_is_told_before_it_is_durable(store, autojump_clock):
    async with running_kernel(store=store, before=with_event()) as k:
        durable = []

        def compare(notification):
            known = store._queries.facts()["sequence"]
            durable.append(notification.sequence <= known)

        k.kernel.notifier.listen(compare)
        await k.clock.advance(15)
    assert durable == [True, True]


async def test_notifications_are_heard_in_the_order_of_their_numbers(autojump_clock):
    notifier = Notifier(VirtualClock())
    heard = []
    notifier.listen(lambda notification: heard.append(notification.event_type))
    first = notifier.numbered([Told("first", {})], notifier.reserve(1))
    second = notifier.numbered([Told("second", {})], notifier.reserve(1))
    notifier.deliver(second)
    assert heard == []
    notifier.deliver(first)
    assert heard == ["first", "second"]


# -- a store that cannot be written ------------------------------------------------------------


async def test_the_schedule_goes_on_while_the_store_cannot_be_written(store, autojump_clock):
    async with running_kernel(store=store, before=with_event()) as k:
        await k.clock.advance(15)
        store.fault = FULL
        await k.clock.advance(30)
        assert len(k.ran) == 4
        assert k.kernel.records.degraded == str(FULL)
        assert k.kernel.records.waiting > 0


async def test_what_could_not_be_written_is_written_when_it_can_be(store, autojump_clock):
    async with running_kernel(store=store, before=with_event()) as k:
        store.fault = FULL
        await k.clock.advance(35)
        store.fault = None
        await k.clock.advance(4.9)
        history = await k.history()
        (record,) = await store.list_events()
    assert [execution.status for execution in history] == [Status.COMPLETED] * 3
    assert record.state.run_count == 3
    assert k.kernel.records.degraded is None


async def test_trouble_with_the_store_is_told_once_and_so_is_its_end(store, autojump_clock):
    async with running_kernel(store=store, before=with_event()) as k:
        store.fault = FULL
        await k.clock.advance(95)
        store.fault = None
        await k.clock.advance(10)
    (error,) = k.told("error")
    assert (error["class"], "disk is full" in error["message"]) == ("store", True)
    (recovered,) = k.told("store_recovered")
    assert 85 <= recovered["seconds"] <= 95
    assert recovered["lost"] == 0
    assert sequences(k) == list(range(1, len(k.notifications) + 1))


async def test_an_event_at_most_once_does_not_run_without_a_record(store, autojump_clock):
    once = with_event(on_interrupted=OnInterrupted.FAIL)
    async with running_kernel(store=store, before=once) as k:
        store.fault = FULL
        await k.clock.advance(25)
        assert k.ran == []
        store.fault = None
        await k.clock.advance(10)
        history = await k.history()
    assert [execution.status for execution in history] == [Status.SKIPPED] * 2 + [Status.COMPLETED]
    assert history[0].reason == "unrecorded"
    assert history[0].start_time is None


async def test_a_queued_run_at_most_once_does_not_run_without_a_record(store, autojump_clock):
    async def long(_config, _execution):
        await trio.sleep(15)

    queued = with_event(
        on_interrupted=OnInterrupted.FAIL, mode="queued", action={"type": "long"}, max_runs=2
    )
    async with running_kernel(store=store, actions={"long": long}, before=queued) as k:
        await k.clock.advance(22)
        store.fault = FULL
        await k.clock.advance(20)
        store.fault = None
        await k.clock.advance(10)
        history = await k.history()
    assert [execution.status for execution in history] == [Status.COMPLETED, Status.SKIPPED]


async def test_a_retry_is_made_although_the_store_does_not_know_of_it(store, autojump_clock):
    attempts = []

    async def fail_once(_config, execution):
        attempts.append(execution.attempt)
        if len(attempts) == 1:
            raise Retryable("not yet")

    event = with_event(action={"type": "fail_once"}, max_runs=1, retry_delay=60)
    async with running_kernel(store=store, actions={"fail_once": fail_once}, before=event) as k:
        # A window of one entry: what lies beyond it is the store's to remember.
        k.kernel.agenda.window = 1
        k.kernel.agenda.restart()
        await k.clock.advance(9)
        store.fault = FULL
        await k.clock.advance(100)
    assert attempts == [1, 2]


async def test_a_state_that_the_store_does_not_have_is_not_forgotten(store, autojump_clock):
    async with running_kernel(store=store, before=with_event()) as k:
        store.fault = FULL
        k.kernel.catalog._limit = 0
        await k.clock.advance(45)
        assert len(k.ran) == 4
        store.fault = None
        await k.clock.advance(10)
        history = await k.history()
    assert [execution.status for execution in history] == [Status.COMPLETED] * 5


async def test_a_damaged_store_is_begun_anew_with_what_is_in_hand(store, autojump_clock):
    async with running_kernel(store=store, before=with_event()) as k:
        await k.clock.advance(15)
        store.fault = DAMAGED
        await k.clock.advance(10)
        (record,) = await store.list_events()
        history = await k.history()
    assert record.event.event_id == "event"
    assert record.state.run_count == 2
    assert [execution.scheduled_time.second for execution in history] == [20]
    assert "begun anew" in k.told("error")[-1]["message"]
    assert sequences(k) == list(range(1, len(k.notifications) + 1))


async def test_a_change_that_the_store_refuses_takes_no_other_with_it(store, autojump_clock):
    def bad(change):
        return isinstance(change, SaveFact) and change.name == "bad"

    store.poison = bad
    async with Records.running(store, Notifier(VirtualClock()), VirtualClock()) as records:
        assert await records.keep([SaveFact("good", 1), SaveFact("bad", 2), SaveFact("fine", 3)])
    facts = await store.facts()
    assert (facts["good"], facts["fine"], "bad" in facts) == (1, 3, False)


async def test_what_still_waits_gets_a_last_try_at_the_end(store, autojump_clock):
    async with running_kernel(store=store, before=with_event()) as k:
        store.fault = FULL
        await k.clock.advance(15)
        store.fault = None
    assert [execution.status for execution in await k.history()] == [Status.COMPLETED]


# -- the backlog -------------------------------------------------------------------------------


def test_the_backlog_holds_the_newest_version_of_each_thing():
    backlog = Backlog()
    older = new_execution(make_event(), START)
    newer = replace(older, status=Status.COMPLETED)
    backlog.add([SaveExecution(older), SaveFact("a", 1), SaveExecution(newer)])
    assert backlog.first(10) == [SaveFact("a", 1), SaveExecution(newer)]


def test_the_backlog_gives_up_the_oldest_executions_and_counts_them():
    backlog = Backlog(history_limit=2)
    runs = [SaveExecution(new_execution(make_event(), START)) for _ in range(5)]
    backlog.add(runs)
    assert backlog.first(10) == runs[3:]
    assert backlog.lost == 3


def test_a_version_that_came_while_an_older_one_was_written_stays_in_the_backlog():
    backlog = Backlog()
    older = new_execution(make_event(), START)
    backlog.add([SaveExecution(older)])
    writing = backlog.first(10)
    newer = SaveExecution(replace(older, status=Status.RUNNING))
    backlog.add([newer])
    backlog.written(writing)
    assert backlog.first(10) == [newer]


def test_the_backlog_knows_whose_state_it_holds():
    backlog = Backlog()
    backlog.add([RemoveEvent("gone")])
    assert not backlog.holds("gone")
    backlog.add([SaveState("lamp", None)])
    assert backlog.holds("lamp")


# -- the journal -------------------------------------------------------------------------------


async def test_a_journal_keeps_every_notification_in_order(store, autojump_clock):
    clock = VirtualClock()
    notifier = Notifier(clock)
    heard: list[Notification] = []
    notifier.listen(heard.append)
    async with Records.running(store, notifier, clock, journal=True) as records:
        notifier.emit("alone", {"message": "without a change"})
        await records.keep([SaveFact("a", 1)], [Told("with", {}), Told("change", {})])
        await trio.sleep(0.1)
        assert await store.notifications(after=0, limit=10) == heard
    assert [item.event_type for item in heard] == ["alone", "with", "change"]


# -- starts ------------------------------------------------------------------------------------


async def test_a_run_that_was_cut_short_is_told_by_the_next_one(store, autojump_clock):
    clock = VirtualClock()
    async with running_kernel(store=store, clock=clock) as first:
        clock.lose_power(1)
        await trio.sleep_forever()
    async with running_kernel(store=store, clock=clock) as second:
        pass
    async with running_kernel(store=store, clock=clock) as third:
        pass
    assert first.told("recovery") == []
    (recovery,) = second.told("recovery")
    assert recovery["unclean"] is True
    assert (recovery["starts"], recovery["unclean_starts"]) == (2, 1)
    assert third.told("recovery") == []


async def test_damage_that_shows_at_start_does_not_stop_the_schedule(store, autojump_clock):
    class DamagedAtFirst(Faulty):
        broken = True

        async def unfinished(self):
            if self.broken:
                raise DAMAGED
            return await self._store.unfinished()

        async def recover(self):
            self.broken = False
            return await self._store.recover()

    async with running_kernel(store=DamagedAtFirst(store), before=with_event()) as k:
        await k.clock.advance(25)
        assert len(k.ran) == 2
