"""The client that the command line speaks through."""

import pytest
import trio
from tests.doors.house import PATIENCE, open_house

from alicia_scheduler.api.control import CommandError
from alicia_scheduler.control import client as client_room
from alicia_scheduler.control import subscriptions as subscriptions_room
from alicia_scheduler.control.client import NoHost, Remote, call, connected
from alicia_scheduler.control.tokens import create_token


@pytest.fixture(params=["unix", "tcp"])
def where(request, tmp_path):
    """Both ways to a host: given the house, where it is."""
    secret = create_token(tmp_path, "cli")
    return lambda house: tmp_path if request.param == "unix" else Remote(house.url, secret)


async def test_a_session_carries_commands_and_their_answers(tmp_path, where):
    async with open_house(tmp_path) as house, connected(where(house)) as session:
        answer = await session.request("echo", name="lamp", nested={"a": [1]})
        assert answer["arguments"] == {"name": "lamp", "nested": {"a": [1]}}
        assert await session.request("ping") is None


async def test_a_refusal_raises_what_the_host_said_and_the_session_goes_on(tmp_path, where):
    async with open_house(tmp_path) as house, connected(where(house)) as session:
        with pytest.raises(CommandError) as caught:
            await session.request("subscribe", event_id=[1])
        assert (caught.value.code, caught.value.path) == ("invalid_format", ("event_id", 0))
        assert (await session.request("echo"))["arguments"] == {}


async def test_commands_of_a_session_may_overlap(tmp_path, where):
    async with open_house(tmp_path) as house, connected(where(house)) as session:
        async with trio.open_nursery() as nursery:
            answers = []

            async def wait():
                answers.append(await session.request("wait"))

            nursery.start_soon(wait)
            while not house.commands.begun:
                await trio.sleep(0.01)
            await session.request("echo")
            house.commands.go.set()
        assert answers == ["waited"]


async def test_a_subscription_is_iterated_over(tmp_path, where):
    async with open_house(tmp_path) as house, connected(where(house)) as session:
        for _ in range(5):
            house.tell()
        subscription = await session.subscribe(event_id=["lamp"], after=2)
        assert (subscription.next, subscription.lost) == (3, False)
        house.tell(event_id="other")
        house.tell()
        seen = []
        with trio.fail_after(PATIENCE):
            async for notification in subscription:
                seen.append(notification["sequence"])
                assert (await session.request("echo"))["arguments"] == {}
                if len(seen) == 4:
                    await session.unsubscribe(subscription)
        assert seen == [3, 4, 5, 7]


async def test_who_takes_no_notifications_is_told_and_can_still_give_commands(
    tmp_path, where, monkeypatch
):
    monkeypatch.setattr(client_room, "AHEAD_LIMIT", 5)
    # All of them are on their way before the answer is.
    monkeypatch.setattr(subscriptions_room, "PACE", 0.0)
    async with open_house(tmp_path) as house, connected(where(house)) as session:
        subscription = await session.subscribe()
        for _ in range(50):
            house.tell()
        await session.request("echo")
        with trio.fail_after(PATIENCE), pytest.raises(CommandError, match="faster"):
            async for _ in subscription:
                pass
        assert (await session.request("echo"))["arguments"] == {}


async def test_when_the_host_goes_everything_that_waits_says_so(tmp_path, where):
    async def house_until(stop, *, task_status):
        async with open_house(tmp_path) as house:
            task_status.started(house)
            await stop.wait()

    async def expect_no_host(waiting):
        with pytest.raises(NoHost, match="the host stops"):
            await waiting()

    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        house = await nursery.start(house_until, stop)
        async with connected(where(house)) as session:
            subscription = await session.subscribe()
            async with trio.open_nursery() as waiters:
                waiters.start_soon(expect_no_host, lambda: session.request("wait"))
                waiters.start_soon(expect_no_host, subscription.__anext__)
                while not house.commands.begun:
                    await trio.sleep(0.01)
                stop.set()
            with pytest.raises(NoHost):
                await session.request("echo")


async def test_what_the_block_raises_comes_out_as_it_is(tmp_path, where):
    async with open_house(tmp_path) as house:
        with pytest.raises(ZeroDivisionError):
            async with connected(where(house)):
                raise ZeroDivisionError


def test_without_a_host_there_is_no_host(tmp_path):
    with pytest.raises(NoHost, match="no host answers at"):
        call(tmp_path, "echo")


async def test_one_call_is_one_command(tmp_path, where):
    async with open_house(tmp_path) as house:
        answer = await trio.to_thread.run_sync(lambda: call(where(house), "echo", name="x"))
        assert answer["arguments"] == {"name": "x"}


async def test_a_host_that_does_not_answer_in_time_is_no_host(tmp_path, where):
    async with open_house(tmp_path) as house:
        with pytest.raises(NoHost, match="has not answered for"):
            await trio.to_thread.run_sync(lambda: call(where(house), "wait", timeout=0.3))
