"""What a store keeps of events, and its index of what comes next."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from alicia_scheduler.api import Status
from alicia_scheduler.api.store import Due, RemoveEvent, SaveEvent, SaveExecution, SaveState
from alicia_scheduler.testing.contracts.store_base import StorePart, at, ids, run, state
from alicia_scheduler.testing.kernel import make_event

__all__ = ["StoreOfEvents"]


class StoreOfEvents(StorePart):
    """Events, and what comes next."""

    # -- events ----------------------------------------------------------------------------

    @pytest.mark.trio
    async def test_an_event_comes_back_as_it_was_saved(self) -> None:
        async with self.opened() as store:
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

    @pytest.mark.trio
    async def test_saving_an_event_again_replaces_definition_and_state(self) -> None:
        async with self.opened() as store:
            await store.commit([SaveEvent(make_event(), state(at(10), run_count=7))])
            await store.commit([SaveEvent(make_event(name="other", revision=2), state(at(20)))])
            (record,) = await store.list_events()
            assert (record.event.name, record.event.revision) == ("other", 2)
            assert record.state == state(at(20))

    @pytest.mark.trio
    async def test_saving_a_state_leaves_the_definition(self) -> None:
        async with self.opened() as store:
            event = make_event()
            await store.commit([SaveEvent(event, state(at(10)))])
            await store.commit([SaveState("event", state(at(20), last_status=Status.FAILED))])
            (record,) = await store.list_events()
            assert record.event == event
            assert record.state == state(at(20), last_status=Status.FAILED)

    @pytest.mark.trio
    async def test_saving_the_state_of_an_event_that_is_gone_has_no_effect(self) -> None:
        async with self.opened() as store:
            await store.commit([SaveState("gone", state(at(10)))])
            assert await store.list_events() == []
            assert await store.next_due(after=None, limit=10) == []

    @pytest.mark.trio
    async def test_removing_an_event_keeps_its_executions_as_history(self) -> None:
        async with self.opened() as store:
            await store.commit([SaveEvent(make_event(), state(at(10))), SaveExecution(run("r1"))])
            await store.commit([RemoveEvent("event")])
            assert await store.records(["event"]) == {}
            assert await store.next_due(after=None, limit=10) == []
            assert ids(await store.list_executions(event_id="event")) == ["r1"]

    @pytest.mark.trio
    async def test_records_leave_unknown_ids_out(self) -> None:
        async with self.opened() as store:
            await store.commit([SaveEvent(make_event(name), state()) for name in ("a", "b", "c")])
            assert set(await store.records(["c", "unknown", "a"])) == {"a", "c"}

    @pytest.mark.trio
    async def test_events_are_paged_in_order_of_their_id(self) -> None:
        async with self.opened() as store:
            names = ["B", "a", "a.1", "b", "é", "𝄞"]
            await store.commit([SaveEvent(make_event(name), state()) for name in reversed(names)])
            first = await store.list_events(limit=4)
            rest = await store.list_events(after_id=first[-1].event.event_id, limit=4)
            assert [record.event.event_id for record in (*first, *rest)] == names

    @pytest.mark.trio
    async def test_events_are_listed_by_their_origin(self) -> None:
        async with self.opened() as store:
            await store.commit(
                [
                    SaveEvent(make_event(name, origin=origin), state())
                    for name, origin in (("a", "file"), ("b", "api"), ("c", "file"), ("d", "file"))
                ]
            )
            page = await store.list_events(origin="file", after_id="a", limit=1)
            assert [record.event.event_id for record in page] == ["c"]

    # -- what comes next -------------------------------------------------------------------

    @pytest.mark.trio
    async def test_next_due_holds_enabled_events_and_waiting_retries_in_order(self) -> None:
        async with self.opened() as store:
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

    @pytest.mark.trio
    async def test_a_page_of_next_due_begins_behind_the_entry_it_is_asked_to_follow(self) -> None:
        async with self.opened() as store:
            await store.commit([SaveEvent(make_event(name), state(at(5))) for name in "abc"])
            await store.commit([SaveExecution(run("r1", event_id="b", next_attempt_at=at(5)))])
            entries = await store.next_due(after=None, limit=10)
            assert len(entries) == 4
            for place, entry in enumerate(entries):
                assert await store.next_due(after=entry, limit=10) == entries[place + 1 :]

    @pytest.mark.trio
    async def test_an_event_leaves_next_due_when_it_is_disabled(self) -> None:
        async with self.opened() as store:
            await store.commit([SaveEvent(make_event(), state(at(5)))])
            await store.commit([SaveEvent(make_event(enabled=False), state(at(5)))])
            assert await store.next_due(after=None, limit=10) == []

    @pytest.mark.trio
    async def test_saving_a_state_does_not_enable_a_disabled_event(self) -> None:
        async with self.opened() as store:
            await store.commit([SaveEvent(make_event(enabled=False), state(None))])
            await store.commit([SaveState("event", state(at(5)))])
            assert await store.next_due(after=None, limit=10) == []

    @pytest.mark.trio
    async def test_a_retry_leaves_next_due_when_it_starts(self) -> None:
        async with self.opened() as store:
            waiting = run("r1", next_attempt_at=at(5))
            await store.commit([SaveExecution(waiting)])
            await store.commit(
                [SaveExecution(replace(waiting, status=Status.RUNNING, next_attempt_at=None))]
            )
            assert await store.next_due(after=None, limit=10) == []
