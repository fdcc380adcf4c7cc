"""What the Store contract promises, on the embedded store: in a file and in memory."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from alicia_scheduler.api import (
    EventExecution,
    EventState,
    Notification,
    Status,
    Step,
    StoreError,
    Trigger,
)
from alicia_scheduler.api.store import (
    DropNotifications,
    Due,
    ExecutionPlace,
    RemoveEvent,
    SaveEvent,
    SaveExecution,
    SaveFact,
    SaveNotification,
    SaveState,
    SlotTaken,
)
from alicia_scheduler.store import STORE_FILE, SqliteStore
from alicia_scheduler.testing.kernel import make_event

NOON = datetime(2026, 3, 29, 12, 0, 0, 123457, tzinfo=UTC)


def at(seconds):
    return NOON + timedelta(seconds=seconds)


def state(next_due=None, **fields):
    return EventState(next_due=next_due, next_run=next_due, **fields)


def run(execution_id, slot=NOON, event_id="event", **fields):
    return EventExecution(
        execution_id=execution_id, event_id=event_id, revision=1, scheduled_time=slot, **fields
    )


def ids(executions):
    return [execution.execution_id for execution in executions]


@pytest.fixture(params=["file", "memory"])
async def store(request, tmp_path):
    path = tmp_path / STORE_FILE if request.param == "file" else None
    async with SqliteStore.open(path) as opened:
        yield opened


# -- events ----------------------------------------------------------------------------------


async def test_an_event_comes_back_as_it_was_saved(store):
    event = make_event(
        tags=("light", "küche"),
        schedule_config={"expression": "0 7 * * *", "deep": [1, 2.5, None, {"a": True}]},
        starts_at=at(1),
        ends_at=datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        max_runs=3,
        misfire_grace=0.25,
    )
    kept = state(
        at(10), anchor=at(-5), last_run=at(-10), slot_count=4, run_count=3, success_count=2
    )
    await store.commit([SaveEvent(event, kept)])
    record = (await store.records(["event"]))["event"]
    assert record.event == event
    assert record.state == kept


async def test_saving_an_event_again_replaces_definition_and_state(store):
    await store.commit([SaveEvent(make_event(), state(at(10), run_count=7))])
    await store.commit([SaveEvent(make_event(name="other", revision=2), state(at(20)))])
    (record,) = await store.list_events()
    assert (record.event.name, record.event.revision) == ("other", 2)
    assert record.state == state(at(20))


async def test_saving_a_state_leaves_the_definition(store):
    event = make_event()
    await store.commit([SaveEvent(event, state(at(10)))])
    await store.commit([SaveState("event", state(at(20), last_status=Status.FAILED))])
    (record,) = await store.list_events()
    assert record.event == event
    assert record.state == state(at(20), last_status=Status.FAILED)


async def test_saving_the_state_of_an_event_that_is_gone_has_no_effect(store):
    await store.commit([SaveState("gone", state(at(10)))])
    assert await store.list_events() == []
    assert await store.next_due(after=None, limit=10) == []


async def test_removing_an_event_keeps_its_executions_as_history(store):
    await store.commit([SaveEvent(make_event(), state(at(10))), SaveExecution(run("r1"))])
    await store.commit([RemoveEvent("event")])
    assert await store.records(["event"]) == {}
    assert await store.next_due(after=None, limit=10) == []
    assert ids(await store.list_executions(event_id="event")) == ["r1"]


async def test_records_leave_unknown_ids_out(store):
    await store.commit([SaveEvent(make_event(name), state()) for name in ("a", "b", "c")])
    assert set(await store.records(["c", "unknown", "a"])) == {"a", "c"}


async def test_events_are_paged_in_order_of_their_id(store):
    names = ["B", "a", "a.1", "b", "é", "𝄞"]
    await store.commit([SaveEvent(make_event(name), state()) for name in reversed(names)])
    first = await store.list_events(limit=4)
    rest = await store.list_events(after_id=first[-1].event.event_id, limit=4)
    assert [record.event.event_id for record in (*first, *rest)] == names


async def test_events_are_listed_by_their_origin(store):
    await store.commit(
        [
            SaveEvent(make_event(name, origin=origin), state())
            for name, origin in (("a", "file"), ("b", "api"), ("c", "file"), ("d", "file"))
        ]
    )
    page = await store.list_events(origin="file", after_id="a", limit=1)
    assert [record.event.event_id for record in page] == ["c"]


# -- what comes next -------------------------------------------------------------------------


async def test_next_due_holds_enabled_events_and_waiting_retries_in_order(store):
    await store.commit(
        [
            SaveEvent(make_event("late"), state(at(30))),
            SaveEvent(make_event("b"), state(at(10))),
            SaveEvent(make_event("a"), state(at(10))),
            SaveEvent(make_event("off", enabled=False), state(at(1))),
            SaveEvent(make_event("done"), state(None)),
            SaveExecution(run("r2", event_id="a", next_attempt_at=at(10))),
            SaveExecution(run("r1", at(1), event_id="a", next_attempt_at=at(10))),
            SaveExecution(run("r3", at(2), event_id="a")),
        ]
    )
    assert await store.next_due(after=None, limit=10) == [
        Due(at(10), "a"),
        Due(at(10), "a", "r1"),
        Due(at(10), "a", "r2"),
        Due(at(10), "b"),
        Due(at(30), "late"),
    ]


async def test_a_page_of_next_due_begins_behind_the_entry_it_is_asked_to_follow(store):
    await store.commit([SaveEvent(make_event(name), state(at(5))) for name in "abc"])
    await store.commit([SaveExecution(run("r1", event_id="b", next_attempt_at=at(5)))])
    entries = await store.next_due(after=None, limit=10)
    assert len(entries) == 4
    for place, entry in enumerate(entries):
        assert await store.next_due(after=entry, limit=10) == entries[place + 1 :]


async def test_an_event_leaves_next_due_when_it_is_disabled(store):
    await store.commit([SaveEvent(make_event(), state(at(5)))])
    await store.commit([SaveEvent(make_event(enabled=False), state(at(5)))])
    assert await store.next_due(after=None, limit=10) == []


async def test_saving_a_state_does_not_enable_a_disabled_event(store):
    await store.commit([SaveEvent(make_event(enabled=False), state(None))])
    await store.commit([SaveState("event", state(at(5)))])
    assert await store.next_due(after=None, limit=10) == []


async def test_a_retry_leaves_next_due_when_it_starts(store):
    waiting = run("r1", next_attempt_at=at(5))
    await store.commit([SaveExecution(waiting)])
    await store.commit(
        [SaveExecution(replace(waiting, status=Status.RUNNING, next_attempt_at=None))]
    )
    assert await store.next_due(after=None, limit=10) == []


# -- executions ------------------------------------------------------------------------------


async def test_an_execution_comes_back_as_it_was_saved(store):
    execution = run(
        "r1",
        status=Status.FAILED,
        trigger=Trigger.MANUAL,
        start_time=at(0.000001),
        end_time=at(2.5),
        result={"published": True, "sizes": [1, 2.5], "note": "\x00 ä 𝄞"},
        error_message="no answer\nfrom the broker",
        retry_count=2,
        reason="timeout",
        next_attempt_at=at(60),
    )
    await store.commit([SaveExecution(execution)])
    assert await store.execution("r1") == execution


async def test_an_unknown_execution_is_none(store):
    assert await store.execution("unknown") is None


async def test_saving_an_execution_again_replaces_it(store):
    await store.commit([SaveExecution(run("r1", result={"a": 1}, next_attempt_at=at(5)))])
    done = run("r1", status=Status.COMPLETED, start_time=at(1), end_time=at(2), retry_count=1)
    await store.commit([SaveExecution(done)])
    assert await store.list_executions() == [done]


async def test_an_execution_cannot_move_to_another_slot(store):
    await store.commit([SaveExecution(run("r1"))])
    with pytest.raises(StoreError, match="cannot move to another event or slot"):
        await store.commit([SaveExecution(run("r1", at(1)))])
    assert (await store.execution("r1")).scheduled_time == NOON


async def test_executions_are_listed_newest_slot_first_then_newest_inserted(store):
    await store.commit(
        [
            SaveExecution(run("first", at(5), trigger=Trigger.MANUAL)),
            SaveExecution(run("old", at(1))),
            SaveExecution(run("second", at(5), trigger=Trigger.MANUAL)),
            SaveExecution(run("other", at(9), event_id="other")),
        ]
    )
    await store.commit([SaveExecution(run("first", at(5), status=Status.COMPLETED))])
    assert ids(await store.list_executions()) == ["other", "second", "first", "old"]
    assert ids(await store.list_executions(event_id="event", limit=2)) == ["second", "first"]


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ({Status.FAILED}, ["failed"]),
        ({Status.COMPLETED}, ["completed"]),
        ({Status.PENDING, Status.RUNNING}, ["running", "pending"]),
        ({Status.SKIPPED, Status.COMPLETED}, ["skipped", "completed"]),
        (set(), []),
    ],
)
async def test_executions_are_listed_by_status(store, statuses, expected):
    await store.commit(
        [
            SaveExecution(run(status.value, at(place), status=status))
            for place, status in enumerate(Status)
        ]
    )
    assert sorted(ids(await store.list_executions(statuses=statuses))) == sorted(expected)
    of_event = await store.list_executions(event_id="event", statuses=statuses)
    assert sorted(ids(of_event)) == sorted(expected)


async def test_unfinished_are_pending_and_running_oldest_slot_first(store):
    await store.commit(
        [
            SaveExecution(run("running", at(3), status=Status.RUNNING)),
            SaveExecution(run("done", at(2), status=Status.COMPLETED)),
            SaveExecution(run("retry", at(1), next_attempt_at=at(60))),
            SaveExecution(run("missed", at(0), status=Status.MISSED)),
        ]
    )
    assert ids(await store.unfinished()) == ["retry", "running"]


# -- a slot runs once ------------------------------------------------------------------------


@pytest.mark.parametrize("trigger", [Trigger.SCHEDULE, Trigger.CATCHUP])
async def test_a_slot_is_refused_a_second_execution(store, trigger):
    await store.commit([SaveExecution(run("r1"))])
    with pytest.raises(SlotTaken) as caught:
        await store.commit([SaveExecution(run("r2", trigger=trigger))])
    refused = caught.value
    assert (refused.execution_id, refused.event_id, refused.scheduled_time) == ("r2", "event", NOON)
    assert ids(await store.list_executions()) == ["r1"]


@pytest.mark.parametrize("trigger", [Trigger.MANUAL, Trigger.RECOVERY, Trigger.RETRY])
async def test_a_slot_may_run_again_on_purpose(store, trigger):
    await store.commit([SaveExecution(run("r1"))])
    await store.commit([SaveExecution(run("r2", trigger=trigger))])
    await store.commit([SaveExecution(run("r3", trigger=trigger))])
    assert len(await store.list_executions()) == 3


async def test_another_event_may_use_the_same_slot(store):
    await store.commit([SaveExecution(run("r1")), SaveExecution(run("r2", event_id="other"))])
    assert len(await store.list_executions()) == 2


async def test_a_slot_stays_taken_when_its_execution_changes(store):
    await store.commit([SaveExecution(run("r1"))])
    await store.commit([SaveExecution(run("r1", status=Status.FAILED, trigger=Trigger.RECOVERY))])
    with pytest.raises(SlotTaken):
        await store.commit([SaveExecution(run("r2"))])


async def test_an_event_made_anew_may_use_its_old_slots(store):
    await store.commit([SaveEvent(make_event(), state()), SaveExecution(run("r1"))])
    await store.commit([RemoveEvent("event")])
    await store.commit([SaveEvent(make_event(), state()), SaveExecution(run("r2"))])
    assert ids(await store.list_executions()) == ["r2", "r1"]


# -- commits ---------------------------------------------------------------------------------


async def test_changes_are_applied_in_order(store):
    await store.commit(
        [
            SaveEvent(make_event(name="one"), state()),
            RemoveEvent("event"),
            SaveEvent(make_event(name="two"), state()),
            SaveState("event", state(at(5))),
        ]
    )
    (record,) = await store.list_events()
    assert (record.event.name, record.state.next_due) == ("two", at(5))


async def test_changes_are_applied_all_or_none(store):
    await store.commit([SaveExecution(run("r1"))])
    with pytest.raises(SlotTaken):
        await store.commit(
            [
                SaveEvent(make_event(), state(at(5))),
                SaveExecution(run("r0", at(1))),
                SaveExecution(run("r2")),
            ]
        )
    assert await store.list_events() == []
    assert ids(await store.list_executions()) == ["r1"]


async def test_a_commit_of_nothing_is_fine(store):
    await store.commit([])
    assert await store.list_events() == []


async def test_a_result_that_json_cannot_hold_is_refused_by_name(store):
    with pytest.raises(StoreError, match="the result of r1 cannot be stored as JSON"):
        await store.commit([SaveExecution(run("r1", result={"socket": object()}))])
    assert await store.execution("r1") is None


async def test_text_that_is_no_text_is_refused_and_the_store_goes_on(store):
    with pytest.raises(StoreError, match="surrogates not allowed"):
        await store.commit([SaveExecution(run("r1", error_message="\udcff"))])
    await store.commit([SaveExecution(run("r2"))])
    assert ids(await store.list_executions()) == ["r2"]


@pytest.mark.parametrize("name", [STORE_FILE, None])
async def test_a_closed_store_refuses_commits_and_reads(tmp_path, name):
    async with SqliteStore.open(name and tmp_path / name) as store:
        pass
    with pytest.raises(StoreError, match="closed"):
        await store.commit([SaveExecution(run("r1"))])
    with pytest.raises(StoreError, match="closed"):
        await store.list_events()


async def test_asking_for_text_that_is_no_text_is_a_store_error(store):
    with pytest.raises(StoreError):
        await store.execution("\udcff")


async def test_the_steps_of_an_execution_keep_their_order_and_offsets(store):
    steps = (Step("due", 0.0), Step("queued", 0.000001), Step("started", 0.25))
    await store.commit([SaveExecution(run("r1", steps=steps))])
    assert (await store.execution("r1")).steps == steps


# -- facts -----------------------------------------------------------------------------------


async def test_a_new_store_knows_no_facts(store):
    assert await store.facts() == {}


async def test_a_fact_is_replaced_by_a_later_one(store):
    await store.commit([SaveFact("sequence", 1), SaveFact("stopped", {"at": 1.5, "clean": True})])
    await store.commit([SaveFact("sequence", 2)])
    assert await store.facts() == {"sequence": 2, "stopped": {"at": 1.5, "clean": True}}


async def test_a_fact_that_json_cannot_hold_is_refused_with_its_whole_commit(store):
    with pytest.raises(StoreError, match="the fact limits cannot be stored as JSON"):
        await store.commit([SaveFact("sequence", 1), SaveFact("limits", object())])
    assert await store.facts() == {}


# -- pages of executions ---------------------------------------------------------------------


async def test_a_page_of_executions_begins_behind_the_last_one_of_the_page_before(store):
    runs = [run(f"r{number}", at(number // 3), trigger=Trigger.MANUAL) for number in range(10)]
    await store.commit([SaveExecution(execution) for execution in runs])
    pages, after = [], None
    while page := await store.list_executions(after=after, limit=4):
        pages.append(ids(page))
        after = ExecutionPlace(page[-1].scheduled_time, page[-1].execution_id)
    assert pages == [["r9", "r8", "r7", "r6"], ["r5", "r4", "r3", "r2"], ["r1", "r0"]]


async def test_a_place_whose_execution_is_gone_begins_its_slot_again(store):
    runs = [run(f"r{number}", at(number // 2), trigger=Trigger.MANUAL) for number in range(6)]
    await store.commit([SaveExecution(execution) for execution in runs])
    page = await store.list_executions(after=ExecutionPlace(at(1), "gone"))
    assert ids(page) == ["r3", "r2", "r1", "r0"]


async def test_the_failures_of_one_event_are_listed_newest_first(store):
    runs = [
        run(f"r{number}", at(number), status=status)
        for number, status in enumerate([Status.FAILED, Status.COMPLETED, Status.FAILED])
    ]
    await store.commit([SaveExecution(execution) for execution in runs])
    failed = await store.list_executions(event_id="event", statuses=[Status.FAILED])
    assert ids(failed) == ["r2", "r0"]


def told(sequence):
    data = {"event_id": "lamp", "lateness": 0.25}
    return Notification(
        event_type="execution_started",
        event_data=data,
        timestamp=at(sequence),
        source="event_scheduler",
        sequence=sequence,
    )


async def test_kept_notifications_are_read_in_order_of_their_numbers(store):
    await store.commit([SaveNotification(told(2)), SaveNotification(told(1))])
    await store.commit([SaveNotification(told(3))])
    assert await store.notifications(after=0, limit=2) == [told(1), told(2)]
    assert await store.notifications(after=2, limit=2) == [told(3)]
    assert await store.notifications(after=3, limit=2) == []


async def test_notifications_are_dropped_up_to_a_number(store):
    await store.commit([SaveNotification(told(number)) for number in (1, 2, 3)])
    await store.commit([DropNotifications(2)])
    assert await store.notifications(after=0, limit=10) == [told(3)]
