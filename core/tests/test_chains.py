"""Events that follow others: triggered by how an execution ended, once, whatever happens."""

from __future__ import annotations

import itertools

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from alicia_scheduler.api import ConfigError, Permanent, Retryable, Status, StoreError, Trigger
from alicia_scheduler.config.document import Document
from alicia_scheduler.config.load import configuration
from alicia_scheduler.host.check import check_configuration
from alicia_scheduler.host.registry import Registry
from alicia_scheduler.kernel.chains import find_cycle
from alicia_scheduler.kernel.definitions import save_event, sync_origin
from alicia_scheduler.kernel.steering import pause
from alicia_scheduler.store import SqliteStore
from alicia_scheduler.testing.clock import START, VirtualClock
from alicia_scheduler.testing.kernel import make_event, running_kernel

NEVER = {"schedule_type": "at", "schedule_config": {"epochs": []}}


async def give(_config, _execution):
    return {"level": 7}


async def fail(_config, _execution):
    raise Permanent("no water")


ACTIONS = {"give": give, "fail": fail}


def saved(*events):
    async def save(k):
        for event in events:
            await save_event(k.kernel, event)

    return save


def follower(event_id, **fields):
    return make_event(event_id, **NEVER, **fields)


@pytest.mark.parametrize(
    ("action", "followers"),
    [("give", {"success", "complete"}), ("fail", {"failure", "complete"})],
)
async def test_an_execution_triggers_the_events_of_how_it_ended(action, followers, autojump_clock):
    first = make_event(
        action={"type": action},
        max_runs=1,
        on_success=("success",),
        on_failure=("failure",),
        on_complete=("complete",),
    )
    events = [follower("success"), follower("failure"), follower("complete"), first]
    async with running_kernel(actions=ACTIONS, before=saved(*events)) as k:
        await k.clock.advance(15)
    assert {execution.event_id for execution in k.ran} == followers


async def test_a_chained_execution_names_the_one_it_follows(autojump_clock):
    first = make_event(action={"type": "give"}, max_runs=1, on_success=("next",))
    async with running_kernel(actions=ACTIONS, before=saved(follower("next"), first)) as k:
        await k.clock.advance(15)
        (parent,) = await k.history()
        (execution,) = await k.history("next")
        found = await k.store.execution(execution.parent_id)
    assert execution.trigger is Trigger.CHAIN
    assert execution.parent_id == parent.execution_id
    assert execution.scheduled_time == parent.end_time
    assert found.result == {"level": 7}


async def test_a_failure_triggers_only_when_no_attempt_follows(autojump_clock):
    async def never(_config, _execution):
        raise Retryable("not yet")

    first = make_event(
        action={"type": "never"}, max_runs=1, max_retries=2, retry_delay=5.0, on_failure=("alarm",)
    )
    async with running_kernel(
        actions={"never": never}, before=saved(follower("alarm"), first)
    ) as k:
        await k.clock.advance(20)
        assert k.ran == []
        await k.clock.advance(20)
    assert len(k.ran) == 1


async def test_an_event_that_is_named_twice_runs_once(autojump_clock):
    first = make_event(
        action={"type": "give"}, max_runs=1, on_success=("next", "next"), on_complete=("next",)
    )
    async with running_kernel(actions=ACTIONS, before=saved(follower("next"), first)) as k:
        await k.clock.advance(15)
    assert len(k.ran) == 1


async def test_a_chain_goes_through_any_number_of_events(autojump_clock):
    events = [
        follower(f"e{number}", on_complete=(f"e{number + 1}",) if number < 9 else ())
        for number in range(10)
    ]
    first = make_event(max_runs=1, on_complete=("e0",))
    async with running_kernel(before=saved(*reversed(events), first)) as k:
        await k.clock.advance(15)
    assert [execution.event_id for execution in k.ran] == ["event"] + [f"e{n}" for n in range(10)]


async def test_a_follower_keeps_its_own_rules_of_overlap(autojump_clock):
    async def long(_config, _execution):
        await trio.sleep(100)

    first = make_event(max_runs=3, on_success=("next",))
    slow = follower("next", action={"type": "long"})
    async with running_kernel(actions={"long": long}, before=saved(slow, first)) as k:
        await k.clock.advance(150)
        history = await k.history("next")
    assert [execution.reason for execution in history] == [None, "overlap", "overlap"]


@pytest.mark.parametrize("how", ["disabled", "paused"])
async def test_a_follower_that_is_halted_is_recorded_as_skipped(how, autojump_clock):
    async def before(k):
        await save_event(k.kernel, follower("next", enabled=how != "disabled"))
        if how == "paused":
            await pause(k.kernel, "next")
        await save_event(k.kernel, make_event(max_runs=1, on_success=("next",)))

    async with running_kernel(before=before) as k:
        await k.clock.advance(15)
        (execution,) = await k.history("next")
    assert (execution.status, execution.reason) == (Status.SKIPPED, how)


async def test_a_follower_that_is_gone_is_told_and_nothing_else_suffers(autojump_clock):
    first = make_event(max_runs=1, on_success=("gone", "next"))
    async with running_kernel(before=saved(follower("next"), first)) as k:
        await k.clock.advance(15)
    (error,) = k.told("error")
    assert error["class"] == "chain"
    assert "'gone': there is no such event" in error["message"]
    assert [execution.event_id for execution in k.ran] == ["event", "next"]


async def test_a_failure_for_want_of_time_for_another_attempt_triggers_too(autojump_clock):
    async def never(_config, _execution):
        raise Retryable("not yet")

    clock = VirtualClock()
    fields = {"max_runs": 1, "max_retries": 3, "retry_delay": 20.0, "retry_max_age": 60.0}
    first = make_event(action={"type": "never"}, on_failure=("alarm",), **fields)
    async with SqliteStore.open(None) as store:
        actions = {"never": never}
        before = saved(follower("alarm"), first)
        async with running_kernel(store=store, clock=clock, actions=actions, before=before):
            await clock.advance(15)
            clock.lose_power(600)
            await trio.sleep_forever()
        async with running_kernel(store=store, clock=clock, actions=actions) as k:
            await clock.advance(10)
            [failed] = await k.history()
            [alarm] = await k.history("alarm")
    assert "retry_max_age" in failed.error_message
    assert alarm.parent_id == failed.execution_id


async def test_a_follower_is_found_though_the_catalog_lets_go_of_it_meanwhile(
    autojump_clock, monkeypatch
):
    first = make_event("first", max_runs=1, on_success=("second",))
    async with running_kernel(
        before=saved(follower("third"), follower("second", on_success=("third",)), first)
    ) as k:
        read = k.kernel.store.execution

        async def read_and_trim(execution_id):
            k.kernel.catalog.remove("third")
            return await read(execution_id)

        monkeypatch.setattr(k.kernel.store, "execution", read_and_trim)
        await k.clock.advance(15)
    assert [execution.event_id for execution in k.ran] == ["first", "second", "third"]


async def test_a_store_that_cannot_be_read_is_told_as_that(autojump_clock, monkeypatch):
    first = make_event(max_runs=1, on_success=("next",))
    async with running_kernel(before=saved(follower("next"), first)) as k:

        async def refuse(_event_ids):
            raise StoreError("input/output error")

        k.kernel.catalog.remove("next")
        monkeypatch.setattr(k.kernel.store, "records", refuse)
        await k.clock.advance(15)
    messages = [error["message"] for error in k.told("error")]
    assert any("'next': the store cannot be read" in message for message in messages)


async def test_what_follows_an_execution_that_ends_while_the_host_stops_runs_at_the_next_start(
    autojump_clock,
):
    async def slow(_config, _execution):
        await trio.sleep(5)

    clock = VirtualClock()
    first = make_event(action={"type": "slow"}, max_runs=1, on_success=("next",))
    async with SqliteStore.open(None) as store:
        before = saved(follower("next"), first)
        async with running_kernel(store=store, clock=clock, actions={"slow": slow}, before=before):
            await clock.advance(12)
        async with running_kernel(store=store, clock=clock, actions={"slow": slow}) as k:
            await clock.advance(5)
            ends = [execution.status for execution in await k.history("next")]
    assert ends == [Status.COMPLETED]


async def test_what_the_next_slot_supersedes_triggers_nothing(autojump_clock):
    async def never(_config, _execution):
        raise Retryable("not yet")

    first = make_event(
        action={"type": "never"}, max_runs=2, max_retries=1, retry_delay=60.0, on_failure=("alarm",)
    )
    async with running_kernel(
        actions={"never": never}, before=saved(follower("alarm"), first)
    ) as k:
        await k.clock.advance(60)
        assert next(execution.reason for execution in await k.history()) == "superseded"
        assert k.ran == []


@pytest.mark.parametrize("instant", [10, 10.5, 11])
async def test_a_power_cut_neither_loses_nor_doubles_a_follower(instant, autojump_clock):
    clock = VirtualClock()
    first = make_event(max_runs=1, on_success=("next",))
    async with SqliteStore.open(None) as store:
        async with running_kernel(store=store, clock=clock, before=saved(follower("next"), first)):
            await clock.advance(instant)
            clock.lose_power(1)
            await trio.sleep_forever()
        async with running_kernel(store=store, clock=clock) as k:
            await clock.advance(10)
            followers = await k.history("next")
    ends = [execution.status for execution in followers]
    assert ends.count(Status.COMPLETED) == 1
    assert set(ends) <= {Status.COMPLETED, Status.INTERRUPTED}


# -- circles -----------------------------------------------------------------------------------


async def test_an_event_that_would_trigger_itself_is_refused(autojump_clock):
    async with running_kernel() as k:
        await save_event(k.kernel, follower("a", on_success=("b",)))
        await save_event(k.kernel, follower("b", on_failure=("c",)))
        with pytest.raises(ConfigError, match="c -> a -> b -> c"):
            await save_event(k.kernel, follower("c", on_complete=("a",)))
        assert "c" not in await k.store.records(["c"])


async def test_a_circle_that_a_file_and_the_api_close_together_ends(autojump_clock):
    async with running_kernel() as k:
        await save_event(k.kernel, follower("a", on_success=("b",)))
        closing = make_event("b", max_runs=1, on_success=("a",))
        await sync_origin(k.kernel, "file", [closing])
        await k.clock.advance(100)
    assert [execution.event_id for execution in k.ran] == ["b", "a"]
    assert "in the first place" in k.told("error")[0]["message"]


graphs = st.dictionaries(
    st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdef"), max_size=3), min_size=1
)


@given(graphs)
def test_a_circle_is_found_exactly_when_an_event_can_reach_itself(graph):
    events = {name: make_event(name, on_success=tuple(targets)) for name, targets in graph.items()}
    for begin in graph:
        reached, ahead = set(), set(graph[begin])
        while ahead:
            reached |= ahead
            ahead = {target for name in ahead for target in graph.get(name, ())} - reached
        circle = find_cycle(events, begin)
        assert (circle is not None) == (begin in reached)
        if circle is not None:
            assert circle[0] == circle[-1] == begin
            assert all(after in graph[name] for name, after in itertools.pairwise(circle))


FILE = """
[events.a]
schedule_type = "nowhere"
schedule_config = {{}}
action = {{ type = "nothing" }}
on_success = ["{target}"]
[events.bee]
schedule_type = "nowhere"
schedule_config = {{}}
action = {{ type = "nothing" }}
on_failure = ["a"]
"""


def checked(text):
    document = Document.parse(text, "home.toml")
    return check_configuration(configuration(document), Registry([]), now=START)


def test_a_circle_in_a_file_is_a_mistake_with_its_place():
    issues = [str(issue) for issue in checked(FILE.format(target="bee")).issues]
    (circle,) = [issue for issue in issues if "a -> bee -> a" in issue]
    assert circle.startswith("home.toml:2: events.a: the event would trigger itself")


def test_a_follower_that_the_file_does_not_have_is_told_with_the_near_name():
    unresolved = checked(FILE.format(target="be")).unresolved
    assert any("no event 'be' in this file (did you mean 'bee'?)" in line for line in unresolved)
