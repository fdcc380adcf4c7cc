"""What a store keeps of executions; and that a slot runs once."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from alicia_scheduler.api import Status, Step, StoreError, Trigger
from alicia_scheduler.api.store import (
    Change,
    ExecutionPlace,
    RemoveEvent,
    SaveEvent,
    SaveExecution,
    SaveFact,
    SlotTaken,
    Store,
)
from alicia_scheduler.testing.contracts.store_base import NOON, StorePart, at, ids, run, state
from alicia_scheduler.testing.kernel import make_event

__all__ = ["StoreOfExecutions"]


class StoreOfExecutions(StorePart):
    """Executions, pages of them, their slots, and how they go."""

    # -- executions ------------------------------------------------------------------------

    @pytest.mark.trio
    async def test_an_execution_comes_back_as_it_was_saved(self) -> None:
        async with self.opened() as store:
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

    @pytest.mark.trio
    async def test_an_unknown_execution_is_none(self) -> None:
        async with self.opened() as store:
            assert await store.execution("unknown") is None

    @pytest.mark.trio
    async def test_saving_an_execution_again_replaces_it(self) -> None:
        async with self.opened() as store:
            await store.commit([SaveExecution(run("r1", result={"a": 1}, next_attempt_at=at(5)))])
            done = run(
                "r1", status=Status.COMPLETED, start_time=at(1), end_time=at(2), retry_count=1
            )
            await store.commit([SaveExecution(done)])
            assert await store.list_executions() == [done]

    @pytest.mark.trio
    async def test_an_execution_cannot_move_to_another_slot(self) -> None:
        async with self.opened() as store:
            await store.commit([SaveExecution(run("r1"))])
            with pytest.raises(StoreError):
                await store.commit([SaveExecution(run("r1", at(1)))])
            assert await store.execution("r1") == run("r1")

    @pytest.mark.trio
    async def test_executions_are_listed_newest_slot_first_then_newest_inserted(self) -> None:
        async with self.opened() as store:
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
            assert ids(await store.list_executions(event_id="event", limit=2)) == [
                "second",
                "first",
            ]

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
    @pytest.mark.trio
    async def test_executions_are_listed_by_status(
        self, statuses: set[Status], expected: list[str]
    ) -> None:
        async with self.opened() as store:
            await store.commit(
                [
                    SaveExecution(run(status.value, at(place), status=status))
                    for place, status in enumerate(Status)
                ]
            )
            assert sorted(ids(await store.list_executions(statuses=statuses))) == sorted(expected)
            of_event = await store.list_executions(event_id="event", statuses=statuses)
            assert sorted(ids(of_event)) == sorted(expected)

    @pytest.mark.trio
    async def test_unfinished_are_pending_and_running_oldest_slot_first(self) -> None:
        async with self.opened() as store:
            await store.commit(
                [
                    SaveExecution(run("running", at(3), status=Status.RUNNING)),
                    SaveExecution(run("done", at(2), status=Status.COMPLETED)),
                    SaveExecution(run("retry", at(1), next_attempt_at=at(60))),
                    SaveExecution(run("missed", at(0), status=Status.MISSED)),
                ]
            )
            assert ids(await store.unfinished()) == ["retry", "running"]

    # -- pages of executions ---------------------------------------------------------------

    @pytest.mark.trio
    async def test_a_page_of_executions_begins_behind_the_last_one_of_the_page_before(self) -> None:
        async with self.opened() as store:
            runs = [
                run(f"r{number}", at(number // 3), trigger=Trigger.MANUAL) for number in range(10)
            ]
            await store.commit([SaveExecution(execution) for execution in runs])
            pages, after = [], None
            while page := await store.list_executions(after=after, limit=4):
                pages.append(ids(page))
                after = ExecutionPlace(page[-1].scheduled_time, page[-1].execution_id)
            assert pages == [["r9", "r8", "r7", "r6"], ["r5", "r4", "r3", "r2"], ["r1", "r0"]]

    @pytest.mark.trio
    async def test_a_place_whose_execution_is_gone_begins_its_slot_again(self) -> None:
        async with self.opened() as store:
            runs = [
                run(f"r{number}", at(number // 2), trigger=Trigger.MANUAL) for number in range(6)
            ]
            await store.commit([SaveExecution(execution) for execution in runs])
            page = await store.list_executions(after=ExecutionPlace(at(1), "gone"))
            assert ids(page) == ["r3", "r2", "r1", "r0"]

    @pytest.mark.trio
    async def test_the_failures_of_one_event_are_listed_newest_first(self) -> None:
        async with self.opened() as store:
            runs = [
                run(f"r{number}", at(number), status=status)
                for number, status in enumerate([Status.FAILED, Status.COMPLETED, Status.FAILED])
            ]
            await store.commit([SaveExecution(execution) for execution in runs])
            failed = await store.list_executions(event_id="event", statuses=[Status.FAILED])
            assert ids(failed) == ["r2", "r0"]

    # -- a slot runs once ------------------------------------------------------------------

    @pytest.mark.parametrize("trigger", [Trigger.SCHEDULE, Trigger.CATCHUP])
    @pytest.mark.trio
    async def test_a_slot_is_refused_a_second_execution(self, trigger: Trigger) -> None:
        async with self.opened() as store:
            await store.commit([SaveExecution(run("r1"))])
            with pytest.raises(SlotTaken) as caught:
                await store.commit([SaveExecution(run("r2", trigger=trigger))])
            refused = caught.value
            assert (refused.execution_id, refused.event_id, refused.scheduled_time) == (
                "r2",
                "event",
                NOON,
            )
            assert ids(await store.list_executions()) == ["r1"]

    @pytest.mark.parametrize("trigger", [Trigger.MANUAL, Trigger.RECOVERY, Trigger.RETRY])
    @pytest.mark.trio
    async def test_a_slot_may_run_again_on_purpose(self, trigger: Trigger) -> None:
        async with self.opened() as store:
            await store.commit([SaveExecution(run("r1"))])
            await store.commit([SaveExecution(run("r2", trigger=trigger))])
            await store.commit([SaveExecution(run("r3", trigger=trigger))])
            assert len(await store.list_executions()) == 3

    @pytest.mark.trio
    async def test_another_event_may_use_the_same_slot(self) -> None:
        async with self.opened() as store:
            await store.commit(
                [SaveExecution(run("r1")), SaveExecution(run("r2", event_id="other"))]
            )
            assert len(await store.list_executions()) == 2

    @pytest.mark.trio
    async def test_a_slot_stays_taken_when_its_execution_changes(self) -> None:
        async with self.opened() as store:
            await store.commit([SaveExecution(run("r1"))])
            await store.commit(
                [SaveExecution(run("r1", status=Status.FAILED, trigger=Trigger.RECOVERY))]
            )
            with pytest.raises(SlotTaken):
                await store.commit([SaveExecution(run("r2"))])

    @pytest.mark.trio
    async def test_an_event_made_anew_may_use_its_old_slots(self) -> None:
        async with self.opened() as store:
            await store.commit([SaveEvent(make_event(), state()), SaveExecution(run("r1"))])
            await store.commit([RemoveEvent("event")])
            await store.commit([SaveEvent(make_event(), state()), SaveExecution(run("r2"))])
            assert ids(await store.list_executions()) == ["r2", "r1"]

    @pytest.mark.trio
    async def test_a_refusal_names_an_execution_of_the_refused_commit(self) -> None:
        """The kernel leaves the named execution out and commits the rest again; a name that is
        not among them would make it try for ever."""
        async with self.opened() as store:
            await store.commit([SaveExecution(run("r1")), SaveExecution(run("r2", at(1)))])
            mine = [run("n0", at(9)), run("n1", at(1)), run("n2", NOON), run("n3", at(10))]
            refused: list[str] = []
            while True:
                try:
                    await store.commit([SaveExecution(each) for each in mine])
                    break
                except SlotTaken as taken:
                    assert taken.execution_id in ids(mine), (
                        f"SlotTaken names {taken.execution_id}, which is not in the commit: name "
                        "the execution that was refused, not the one that has the slot"
                    )
                    (named,) = [each for each in mine if each.execution_id == taken.execution_id]
                    told = (taken.event_id, taken.scheduled_time)
                    assert told == (named.event_id, named.scheduled_time)
                    refused.append(taken.execution_id)
                    mine.remove(named)
            assert sorted(refused) == ["n1", "n2"]

    @pytest.mark.trio
    async def test_of_commits_at_the_same_time_each_is_refused_for_itself(self) -> None:
        async with self.opened() as store:
            await store.commit([SaveExecution(run("r1"))])
            named: dict[int, str] = {}

            async def commit(number: int) -> None:
                taken = number % 2 == 1
                slot = NOON if taken else at(number + 1)
                changes: list[Change] = [
                    SaveFact(f"fact {number}", 1),
                    SaveExecution(run(f"n{number}", slot)),
                ]
                try:
                    await store.commit(changes)
                except SlotTaken as error:
                    named[number] = error.execution_id

            async with trio.open_nursery() as nursery:
                for number in range(20):
                    nursery.start_soon(commit, number)
            assert named == {number: f"n{number}" for number in range(1, 20, 2)}, (
                "commits that share a transaction must fail one by one: only the one whose slot "
                "is taken, with the name of its own execution"
            )
            assert set(await store.facts()) == {f"fact {number}" for number in range(0, 20, 2)}

    @pytest.mark.trio
    async def test_the_steps_of_an_execution_keep_their_order_and_offsets(self) -> None:
        async with self.opened() as store:
            steps = (Step("due", 0.0), Step("queued", 0.000001), Step("started", 0.25))
            await store.commit([SaveExecution(run("r1", steps=steps))])
            assert await store.execution("r1") == run("r1", steps=steps)

    # -- how they go ---------------------------------------------------------------------

    @pytest.mark.trio
    async def test_history_is_trimmed_by_age_and_what_is_unfinished_stays(self) -> None:
        async with self.opened() as store:
            await store.commit(
                [
                    SaveExecution(run("old", at(-100), status=Status.COMPLETED)),
                    SaveExecution(run("unfinished", at(-99), status=Status.RUNNING)),
                    SaveExecution(run("new", at(100), status=Status.COMPLETED)),
                ]
            )
            assert await self._trimmed(store, older_than=at(0)) == 1
            assert ids(await store.list_executions()) == ["new", "unfinished"]

    @pytest.mark.trio
    async def test_of_each_event_the_newest_stay(self) -> None:
        async with self.opened() as store:
            runs = [
                run(f"{event}{number}", at(number), event, status=Status.COMPLETED)
                for event in ("a", "b")
                for number in range(5)
            ]
            await store.commit([SaveExecution(each) for each in runs])
            assert await self._trimmed(store, per_event=2) == 6
            assert sorted(ids(await store.list_executions())) == ["a3", "a4", "b3", "b4"]

    @pytest.mark.trio
    async def test_of_each_status_the_newest_stay_however_old(self) -> None:
        async with self.opened() as store:
            statuses = [Status.FAILED, Status.FAILED, Status.COMPLETED, Status.COMPLETED]
            runs = [run(f"r{n}", at(n), status=status) for n, status in enumerate(statuses)]
            await store.commit([SaveExecution(each) for each in runs])
            await self._trimmed(store, older_than=at(1000), keep_per_status=1)
            assert ids(await store.list_executions()) == ["r3", "r1"]

    @pytest.mark.trio
    async def test_history_is_trimmed_in_bites(self) -> None:
        async with self.opened() as store:
            runs = [run(f"r{n}", at(n), status=Status.COMPLETED) for n in range(20)]
            await store.commit([SaveExecution(each) for each in runs])
            assert await store.trim(older_than=at(1000), limit=5) <= 5
            assert len(await store.list_executions(limit=100)) >= 15

    async def _trimmed(self, store: Store, **rules: Any) -> int:
        deleted = 0
        for _ in range(100):
            bite = await store.trim(**rules)
            if not bite:
                return deleted
            deleted += bite
        raise AssertionError("trim() never returns 0: say when the walk is at its end")
