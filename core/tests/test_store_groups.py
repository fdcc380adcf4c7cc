"""Commits that wait together become one transaction, and none of them is ever half done."""

from __future__ import annotations

import threading

import pytest
import trio
import trio.testing

from alicia_scheduler.api import StoreError
from alicia_scheduler.store import groups
from alicia_scheduler.store.groups import GroupCommit
from alicia_scheduler.store.rows import Operation


def change(name):
    return [Operation("a statement", (name,))]


class Disk:
    """Stands in for the writer: notes what it was given, and waits while it is told to."""

    def __init__(self):
        self.transactions = []
        self.go_on = threading.Event()
        self.go_on.set()
        self.refuse = {}
        self.at_work = 0

    def write(self, callers):
        self.at_work += 1
        assert self.at_work == 1
        names = [values[0] for operations in callers for _, values in operations]
        self.transactions.append(names)
        assert self.go_on.wait(60)
        self.at_work -= 1
        return [self.refuse.get(name) for name in names]


@pytest.fixture
def disk():
    return Disk()


async def begin(nursery, commits, name):
    """Start a commit and let it get as far as it can."""
    nursery.start_soon(commits.commit, change(name))
    await trio.testing.wait_all_tasks_blocked()


async def test_commits_that_wait_meanwhile_share_the_next_transaction(disk):
    disk.go_on.clear()
    async with GroupCommit.running(disk.write, 10) as commits, trio.open_nursery() as nursery:
        for name in ("first", "a", "b", "c"):
            await begin(nursery, commits, name)
        disk.go_on.set()
    assert disk.transactions == [["first"], ["a", "b", "c"]]


async def test_a_group_takes_no_further_caller_when_it_is_large(disk, monkeypatch):
    monkeypatch.setattr(groups, "GROUP_OPERATIONS", 2)
    disk.go_on.clear()
    async with GroupCommit.running(disk.write, 10) as commits, trio.open_nursery() as nursery:
        for name in ("first", "a", "b", "c"):
            await begin(nursery, commits, name)
        disk.go_on.set()
    assert disk.transactions == [["first"], ["a", "b"], ["c"]]


async def test_only_the_caller_whose_changes_are_refused_gets_the_error(disk):
    disk.refuse["bad"] = StoreError("no")
    outcomes = {}

    async def commit(commits, name):
        try:
            await commits.commit(change(name))
        except StoreError as error:
            outcomes[name] = str(error)
        else:
            outcomes[name] = "done"

    async with GroupCommit.running(disk.write, 10) as commits, trio.open_nursery() as nursery:
        for name in ("a", "bad", "b"):
            nursery.start_soon(commit, commits, name)
    assert outcomes == {"a": "done", "bad": "no", "b": "done"}


async def test_a_commit_cancelled_while_it_waits_is_withdrawn(disk):
    disk.go_on.clear()
    scope = trio.CancelScope()

    async def cancelled(commits):
        with scope:
            await commits.commit(change("withdrawn"))

    async with GroupCommit.running(disk.write, 10) as commits, trio.open_nursery() as nursery:
        await begin(nursery, commits, "first")
        nursery.start_soon(cancelled, commits)
        await trio.testing.wait_all_tasks_blocked()
        await begin(nursery, commits, "last")
        scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        disk.go_on.set()
    assert scope.cancelled_caught
    assert disk.transactions == [["first"], ["last"]]


async def test_a_commit_cancelled_while_it_is_written_completes(disk):
    disk.go_on.clear()
    reached = []

    async def cancelled(commits):
        with scope:
            await commits.commit(change("written"))
            reached.append("behind the commit")
            await trio.lowlevel.checkpoint()
            reached.append("too far")

    async with GroupCommit.running(disk.write, 10) as commits, trio.open_nursery() as nursery:
        scope = trio.CancelScope()
        nursery.start_soon(cancelled, commits)
        await trio.testing.wait_all_tasks_blocked()
        scope.cancel()
        await trio.testing.wait_all_tasks_blocked()
        disk.go_on.set()
    assert disk.transactions == [["written"]]
    assert reached == ["behind the commit"]
    assert scope.cancelled_caught


async def test_commits_beyond_the_bound_wait_to_get_in_and_can_be_cancelled_there(disk):
    disk.go_on.clear()
    async with GroupCommit.running(disk.write, 2) as commits, trio.open_nursery() as nursery:
        for name in ("first", "a", "b"):
            await begin(nursery, commits, name)
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as outside:
                await begin(outside, commits, "outside")
                scope.cancel()
        await begin(nursery, commits, "late")
        disk.go_on.set()
    assert disk.transactions == [["first"], ["a", "b"], ["late"]]


async def test_leaving_commits_what_still_waits(disk):
    disk.go_on.clear()
    async with trio.open_nursery() as nursery, GroupCommit.running(disk.write, 10) as commits:
        for name in ("first", "a"):
            await begin(nursery, commits, name)
        disk.go_on.set()
    assert disk.transactions == [["first"], ["a"]]


async def test_leaving_by_cancellation_commits_what_still_waits_elsewhere(disk):
    disk.go_on.clear()
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            async with GroupCommit.running(disk.write, 10) as commits:
                for name in ("first", "a"):
                    await begin(nursery, commits, name)
                scope.cancel()
                disk.go_on.set()
                await trio.lowlevel.checkpoint()
    assert disk.transactions == [["first"], ["a"]]


async def test_a_commit_after_closing_is_refused(disk):
    async with GroupCommit.running(disk.write, 10) as commits:
        pass
    with pytest.raises(StoreError, match="the store is closed"):
        await commits.commit(change("late"))


async def test_the_exception_of_the_body_comes_out_as_it_is(disk):
    with pytest.raises(LookupError, match="mine"):
        async with GroupCommit.running(disk.write, 10):
            raise LookupError("mine")


async def test_a_fault_nobody_foresaw_reaches_the_caller_and_the_next_commit_is_tried(disk):
    calls = []

    def write(callers):
        calls.append(callers)
        if len(calls) == 1:
            raise RuntimeError("a defect")
        return [None]

    async with GroupCommit.running(write, 10) as commits:
        with pytest.raises(StoreError, match="a defect"):
            await commits.commit(change("a"))
        await commits.commit(change("b"))
    assert len(calls) == 2
