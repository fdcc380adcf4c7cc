"""What every store keeps: commits that are all or none and last, and the answers after them.

The parts are in the modules beside this one.
"""

from __future__ import annotations

import pytest
import trio

from alicia_scheduler.api import StoreError
from alicia_scheduler.api.store import (
    DropNotifications,
    RemoveEvent,
    SaveEvent,
    SaveExecution,
    SaveFact,
    SaveNotification,
    SaveState,
    SlotTaken,
)
from alicia_scheduler.testing.contracts.cancelling import cancel_at_each_await
from alicia_scheduler.testing.contracts.store_base import at, ids, run, state, told
from alicia_scheduler.testing.contracts.store_events import StoreOfEvents
from alicia_scheduler.testing.contracts.store_executions import StoreOfExecutions
from alicia_scheduler.testing.kernel import make_event

__all__ = ["StoreContract"]


class StoreContract(StoreOfEvents, StoreOfExecutions):
    """What every store keeps. Subclass it in a plugin's tests, under a name with ``Test``."""

    # -- commits ---------------------------------------------------------------------------

    @pytest.mark.trio
    async def test_changes_are_applied_in_order(self) -> None:
        async with self.opened() as store:
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

    @pytest.mark.trio
    async def test_changes_are_applied_all_or_none(self) -> None:
        async with self.opened() as store:
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

    @pytest.mark.trio
    async def test_a_commit_of_nothing_is_fine(self) -> None:
        async with self.opened() as store:
            await store.commit([])
            assert await store.list_events() == []

    @pytest.mark.trio
    async def test_a_result_that_json_cannot_hold_is_refused_by_name(self) -> None:
        async with self.opened() as store:
            with pytest.raises(StoreError, match="r1"):
                await store.commit([SaveExecution(run("r1", result={"socket": object()}))])
            assert await store.execution("r1") is None

    @pytest.mark.trio
    async def test_text_that_is_no_text_is_refused_and_the_store_goes_on(self) -> None:
        async with self.opened() as store:
            with pytest.raises(StoreError):
                await store.commit([SaveExecution(run("r1", error_message="\udcff"))])
            await store.commit([SaveExecution(run("r2"))])
            assert ids(await store.list_executions()) == ["r2"]

    @pytest.mark.trio
    async def test_asking_for_text_that_is_no_text_is_a_store_error(self) -> None:
        async with self.opened() as store:
            with pytest.raises(StoreError):
                await store.execution("\udcff")

    # -- facts -----------------------------------------------------------------------------

    @pytest.mark.trio
    async def test_a_new_store_knows_no_facts(self) -> None:
        async with self.opened() as store:
            assert await store.facts() == {}

    @pytest.mark.trio
    async def test_a_fact_is_replaced_by_a_later_one(self) -> None:
        async with self.opened() as store:
            await store.commit(
                [SaveFact("sequence", 1), SaveFact("stopped", {"at": 1.5, "clean": True})]
            )
            await store.commit([SaveFact("sequence", 2)])
            assert await store.facts() == {"sequence": 2, "stopped": {"at": 1.5, "clean": True}}

    @pytest.mark.trio
    async def test_a_fact_that_json_cannot_hold_is_refused_with_its_whole_commit(self) -> None:
        async with self.opened() as store:
            with pytest.raises(StoreError, match="limits"):
                await store.commit([SaveFact("sequence", 1), SaveFact("limits", object())])
            assert await store.facts() == {}

    # -- notifications -------------------------------------------------------------------

    @pytest.mark.trio
    async def test_kept_notifications_are_read_in_order_of_their_numbers(self) -> None:
        async with self.opened() as store:
            await store.commit([SaveNotification(told(2)), SaveNotification(told(1))])
            await store.commit([SaveNotification(told(3))])
            assert await store.notifications(after=0, limit=2) == [told(1), told(2)]
            assert await store.notifications(after=2, limit=2) == [told(3)]
            assert await store.notifications(after=3, limit=2) == []

    @pytest.mark.trio
    async def test_notifications_are_dropped_up_to_a_number(self) -> None:
        async with self.opened() as store:
            await store.commit([SaveNotification(told(number)) for number in (1, 2, 3)])
            await store.commit([DropNotifications(2)])
            assert await store.notifications(after=0, limit=10) == [told(3)]

    @pytest.mark.trio
    async def test_it_says_up_to_which_notification_too_many_wait(self) -> None:
        async with self.opened() as store:
            await store.commit([SaveNotification(told(number)) for number in range(1, 11)])
            assert await store.excess_notifications(count=10, size=1_000_000) == 0
            assert await store.excess_notifications(count=4, size=1_000_000) == 6
            assert await store.excess_notifications(count=10, size=1) >= 9

    # -- how long it lasts ---------------------------------------------------------------

    @pytest.mark.trio
    async def test_a_commit_that_is_cancelled_is_withdrawn_whole(self) -> None:
        async with self.opened() as store:
            number = 0
            came_through: set[str] = set()

            async def commit() -> None:
                nonlocal number
                number += 1
                name = f"n{number}"
                await store.commit([SaveFact(name, 1), SaveExecution(run(name, at(number)))])
                came_through.add(name)

            await cancel_at_each_await(commit, "a commit")
            there = set(ids(await store.list_executions(limit=1000)))
            assert set(await store.facts()) == there, "a cancelled commit was applied in parts"
            assert there == came_through, (
                "when Cancelled leaves commit(), nothing of it may be applied: withdraw it, or "
                "let it come through and return"
            )

    @pytest.mark.trio
    async def test_what_is_durable_is_there_when_it_is_opened_again(self) -> None:
        async with self.opened() as store:
            if not store.durable:
                pytest.skip("this store says that it does not outlive the process")
            await store.commit(
                [
                    SaveEvent(make_event(), state(at(10), run_count=7)),
                    SaveExecution(run("r1")),
                    SaveFact("sequence", 41),
                    SaveNotification(told(41)),
                ]
            )
        async with self.opened() as store:
            (record,) = await store.list_events()
            assert (record.event, record.state) == (make_event(), state(at(10), run_count=7))
            assert await store.list_executions() == [run("r1")]
            assert await store.facts() == {"sequence": 41}
            assert await store.notifications(after=0, limit=10) == [told(41)]
            with pytest.raises(SlotTaken):
                await store.commit([SaveExecution(run("r2"))])

    @pytest.mark.trio
    async def test_a_closed_store_refuses_commits_and_reads(self) -> None:
        async with self.opened() as store:
            pass
        with pytest.raises(StoreError):
            await store.commit([SaveExecution(run("r1"))])
        with pytest.raises(StoreError):
            await store.list_events()

    @pytest.mark.trio
    async def test_reads_and_commits_go_on_beside_each_other(self) -> None:
        async with self.opened() as store:

            async def write(first: int) -> None:
                for number in range(first, first + 20):
                    await store.commit([SaveExecution(run(f"r{number}", at(number)))])
                    found = await store.execution(f"r{number}")
                    assert found is not None, "what was committed is not there to be read"

            async with trio.open_nursery() as nursery:
                for first in (0, 100, 200):
                    nursery.start_soon(write, first)
            assert len(await store.list_executions(limit=1000)) == 60

    @pytest.mark.trio
    async def test_a_store_that_is_whole_tells_of_no_damage(self) -> None:
        async with self.opened() as store:
            await store.commit([SaveEvent(make_event(), state(at(1))), SaveExecution(run("r1"))])
            await store.list_events()
            await store.list_executions()
            assert await store.damaged() == []
