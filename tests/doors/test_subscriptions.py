"""Notifications to those who subscribe: which, from where on, and what becomes of the slow."""

import json
from datetime import UTC, datetime

import pytest
import trio
from tests.doors.house import PATIENCE, friend, open_house
from wsproto.frame_protocol import FrameProtocol

from alicia_scheduler.api.model import Notification
from alicia_scheduler.control import replay as replay_room
from alicia_scheduler.control import subscriptions as subscriptions_room
from alicia_scheduler.control.messages import text_frame
from alicia_scheduler.control.replay import Reader, ReplayLog
from alicia_scheduler.control.wire import Wire


def told(message):
    return message["event"]["sequence"]


async def subscribed(opened, number=1, **arguments):
    answer = await opened.ask({"id": number, "type": "subscribe", **arguments})
    assert answer["success"], answer
    return answer["result"]


async def test_a_notification_arrives_in_its_wire_form_with_the_id_of_the_subscription(tmp_path):
    async with open_house(tmp_path) as house, friend(house) as opened:
        await subscribed(opened, 3)
        house.tell("execution_started", "lamp", status="running")
        message = await opened.next()
        assert (message["id"], message["type"]) == (3, "event")
        event = message["event"]
        assert event["event_type"] == "execution_started"
        assert event["event_data"] == {"event_id": "lamp", "status": "running"}
        assert event["source"] == "event_scheduler"
        assert (event["sequence"], type(event["timestamp"])) == (1, float)


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        ({}, [1, 2, 3, 4, 5]),
        ({"event_type": "a"}, [1, 3]),
        ({"event_type": ["a", "c"]}, [1, 3, 4, 5]),
        ({"event_id": "lamp"}, [1, 2]),
        ({"event_id": ["la*", "d?or"]}, [1, 2, 3]),
        ({"tag": ["night"]}, [3]),
        ({"tag": "own"}, [4]),
        ({"event_type": "a", "event_id": "lamp"}, [1]),
        ({"event_id": "nothing"}, []),
    ],
)
async def test_filters_choose_by_type_and_by_event(tmp_path, filters, wanted):
    async with open_house(tmp_path) as house, friend(house) as opened:
        house.tags["door"] = ["night"]
        await subscribed(opened, 1, **filters)
        house.tell("a", "lamp")
        house.tell("b", "lamp")
        house.tell("a", "door")
        house.tell("c", "heating", tags=["own"])
        house.notifier.emit("c", {"message": "about no event"})
        await subscribed(opened, 2, event_id="the-end") if not wanted else None
        assert [told(await opened.next()) for _ in wanted] == wanted


@pytest.mark.parametrize(
    "arguments",
    [
        {"event_type": 1},
        {"event_type": ["a", 1]},
        {"event_id": []},
        {"no_such": 1},
        {"after": -1},
        {"after": "1"},
        {"event_id": ["x" * 300]},
        {"tag": ["x"] * 101},
    ],
)
async def test_wrong_filters_are_refused_at_their_place(tmp_path, arguments):
    async with open_house(tmp_path) as house, friend(house) as opened:
        answer = await opened.ask({"id": 1, "type": "subscribe", **arguments})
        assert answer["error"]["code"] == "invalid_format"
        assert answer["error"]["path"]


async def test_what_is_kept_beyond_a_number_comes_first(tmp_path):
    async with open_house(tmp_path) as house, friend(house) as opened:
        for _ in range(10):
            house.tell()
        assert await subscribed(opened, after=6) == {"subscription": 1, "next": 7, "lost": False}
        house.tell()
        assert [told(await opened.next()) for _ in range(5)] == [7, 8, 9, 10, 11]


async def test_without_a_number_only_what_is_new_comes(tmp_path):
    async with open_house(tmp_path) as house, friend(house) as opened:
        house.tell()
        assert await subscribed(opened) == {"subscription": 1, "next": 2, "lost": False}
        house.tell()
        assert told(await opened.next()) == 2


async def test_an_answer_says_when_something_is_no_longer_kept(tmp_path):
    async with open_house(tmp_path, replay=10) as house:
        for _ in range(1000):
            house.tell()
        async with friend(house) as opened:
            answer = await subscribed(opened, after=1)
            assert answer["lost"]
            assert 1000 - 10 - replay_room.SPARE <= answer["next"] <= 991
        async with friend(house) as opened:
            assert not (await subscribed(opened, after=995))["lost"]


@pytest.mark.parametrize(("after", "lost"), [(40, True), (41, True), (42, False), (43, True)])
async def test_what_was_told_before_this_run_of_the_host_counts_as_lost(tmp_path, after, lost):
    async with open_house(tmp_path, last=42) as house, friend(house) as opened:
        answer = await subscribed(opened, after=after)
        assert answer == {"subscription": 1, "next": 43, "lost": lost}


async def test_an_ended_subscription_is_silent(tmp_path):
    async with open_house(tmp_path) as house, friend(house) as opened:
        await subscribed(opened, 1)
        await subscribed(opened, 2, event_type="b")
        assert (await opened.ask({"id": 3, "type": "unsubscribe", "subscription": 1}))["success"]
        house.tell("a")
        house.tell("b")
        assert (await opened.next())["id"] == 2


async def test_a_subscription_that_is_none_cannot_be_ended(tmp_path):
    async with open_house(tmp_path) as house, friend(house) as opened:
        answer = await opened.ask({"id": 1, "type": "unsubscribe", "subscription": 9})
        assert answer["error"]["code"] == "not_found"


async def test_a_connection_has_so_many_subscriptions_at_the_most(tmp_path):
    async with open_house(tmp_path, max_subscriptions=2) as house, friend(house) as opened:
        await subscribed(opened, 1)
        await subscribed(opened, 2)
        answer = await opened.ask({"id": 3, "type": "subscribe"})
        assert answer["error"]["code"] == "too_many"
        await opened.ask({"id": 4, "type": "unsubscribe", "subscription": 1})
        await subscribed(opened, 5)


@pytest.mark.parametrize("filters", [{}, {"event_id": "even"}], ids=["all", "every second"])
async def test_between_replay_and_live_nothing_is_missing_and_nothing_comes_twice(
    tmp_path, filters
):
    total = 4000
    seen = {moment: [] for moment in range(0, 3000, 600)}

    async def flood(house):
        for number in range(1, total + 1):
            house.tell(event_id="odd" if number % 2 else "even")
            while any(got and got[-1] < number - 1000 for got in seen.values()):
                await trio.sleep(0)  # nobody is to be overtaken here
            if number % 7 == 0:
                await trio.sleep(0)

    async def follow(house, moment, got):
        while house.log.last < moment:
            await trio.sleep(0)
        async with friend(house) as opened:
            after = max(0, house.log.last - 100)
            assert not (await subscribed(opened, after=after, **filters))["lost"]
            got.append(after)
            while got[-1] < total:
                got.append(told(await opened.next()))

    async with open_house(tmp_path) as house, trio.open_nursery() as nursery:
        for moment, got in seen.items():
            nursery.start_soon(follow, house, moment, got)
        nursery.start_soon(flood, house)
    for after, *numbers in seen.values():
        wanted = range(after + 1, total + 1)
        assert numbers == [n for n in wanted if not filters or n % 2 == 0]


async def test_a_slow_reader_is_cut_off_with_a_reason_and_nobody_else_notices(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(replay_room, "BACKLOG_LIMIT", 2000)
    monkeypatch.setattr(subscriptions_room, "GRACE", 20)
    async with open_house(tmp_path) as house, friend(house) as slow, friend(house) as quick:
        await subscribed(slow)
        await subscribed(quick)
        seen = []
        for _ in range(100):
            for _ in range(50):
                house.tell(padding="x" * 1000)
            seen += [told(await quick.next()) for _ in range(50)]
        assert seen == list(range(1, 5001))
        reason = await slow.closed()
        assert reason.code == 1013
        assert reason.reason.startswith("too slow: notifications up to ")
        assert (await quick.ask({"id": 2, "type": "ping"}))["type"] == "pong"


async def test_a_reader_that_takes_nothing_at_all_is_gone_after_a_grace(tmp_path, monkeypatch):
    monkeypatch.setattr(replay_room, "BACKLOG_LIMIT", 2000)
    monkeypatch.setattr(subscriptions_room, "GRACE", 0.1)
    async with open_house(tmp_path) as house:
        stream = await trio.open_unix_socket(str(house.socket))
        async with stream:
            command = json.dumps({"id": 1, "type": "subscribe"}).encode()
            await stream.send_all(
                b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            await stream.receive_some()
            await stream.send_all(bytes([0x81, 0x80 | len(command), 0, 0, 0, 0]) + command)
            with trio.fail_after(PATIENCE):
                while not house.log._readers:
                    await trio.sleep(0.01)
                for _ in range(10_000):
                    house.tell(padding="x" * 500)
                    await trio.sleep(0)
                while house.log._readers:
                    await trio.sleep(0.01)


async def test_a_notification_without_a_wire_form_is_told_without_its_data(tmp_path):
    async with open_house(tmp_path) as house, friend(house) as opened:
        await subscribed(opened)
        house.tell(odd=object())
        house.tell()
        message = await opened.next()
        assert message["event"]["event_data"] == {"event_id": "lamp"}
        assert told(await opened.next()) == 2


async def test_what_is_kept_is_bounded_in_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(replay_room, "BACKLOG_SIZE", 100_000)
    async with open_house(tmp_path, replay=50) as house, friend(house) as opened:
        for _ in range(100):
            house.tell(padding="x" * 5000)
        answer = await subscribed(opened, after=0)
        assert answer["lost"]
        assert 100 - 20 < answer["next"] <= 100


async def test_in_a_flood_a_send_carries_what_came_meanwhile(tmp_path, monkeypatch):
    sends = []
    plain = Wire.send_frames

    async def counted(self, frames):
        sends.append(len(frames))
        await plain(self, frames)

    monkeypatch.setattr(Wire, "send_frames", counted)
    async with open_house(tmp_path) as house, friend(house) as opened:
        await subscribed(opened)
        for _ in range(400):
            house.tell()
            await trio.lowlevel.checkpoint()
        heard = [told(await opened.next()) for _ in range(400)]
    assert heard == list(range(1, 401))
    assert len(sends) < 200


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_a_shared_frame_is_the_one_that_wsproto_would_make(size):
    text = "ä" + "x" * (size - 2) if size > 1 else "x" * size
    frame = FrameProtocol(client=False, extensions=[]).send_data(text, fin=True)
    assert text_frame(text) == bytes(frame)


def test_a_frame_is_made_once_for_all_who_have_the_same_number():
    log = ReplayLog(10, lambda _event: frozenset())
    log.add(Reader(0, trio.Event()))
    log.append(
        Notification(
            event_type="told",
            event_data={"event_id": "lamp"},
            timestamp=datetime.now(UTC),
            source="test",
            sequence=1,
        )
    )
    assert log.frame(0, 1) is log.frame(0, 1)
    assert log.frame(0, 2) != log.frame(0, 1)
