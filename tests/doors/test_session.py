"""What a connection can count on, through whichever door."""

import json

import pytest
import trio
from tests.doors.house import client, friend, open_house, stranger

from alicia_scheduler.control import session as session_room
from alicia_scheduler.control.tokens import create_token


async def test_the_owner_of_the_socket_is_greeted_without_a_question(tmp_path):
    async with open_house(tmp_path) as house, client(house.socket) as opened:
        assert await opened.next() == {"type": "auth_ok"}


async def test_an_auth_message_that_nobody_asked_for_does_no_harm(tmp_path):
    async with open_house(tmp_path) as house, friend(house) as opened:
        answer = await opened.ask({"type": "auth", "access_token": "x"}, {"id": 1, "type": "ping"})
        assert answer == {"id": 1, "type": "pong"}


async def test_an_answer_carries_the_id_of_its_command(tmp_path):
    async with open_house(tmp_path) as house, friend(house) as opened:
        answer = await opened.ask({"id": 7, "type": "echo", "a": 1})
        assert (answer["id"], answer["type"], answer["success"]) == (7, "result", True)
        assert answer["result"]["arguments"] == {"a": 1}


async def test_an_id_that_does_not_increase_is_refused_and_nothing_is_done(tmp_path):
    async with open_house(tmp_path) as house, friend(house) as opened:
        await opened.ask({"id": 5, "type": "echo"})
        for number in (5, 4):
            answer = await opened.ask({"id": number, "type": "echo"})
            assert (answer["id"], answer["success"]) == (number, False)
            assert answer["error"]["code"] == "id_reuse"
        assert len(house.commands.begun) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "[]",
        "null",
        "17",
        '"text"',
        "{}",
        '{"id": 1}',
        '{"type": "echo"}',
        '{"id": 0, "type": "echo"}',
        '{"id": -1, "type": "echo"}',
        '{"id": 1.5, "type": "echo"}',
        '{"id": true, "type": "echo"}',
        '{"id": "1", "type": "echo"}',
        '{"id": 1, "type": 1}',
        '{"id": 1, "type": ""}',
        '{"id": 1, "type": "' + "x" * 200 + '"}',
        '{"id": 9007199254740993, "type": "echo"}',
        '{"id": 1, "type": "echo", "n": ' + "9" * 5000 + "}",
        '{"id": 1, "type": "echo", "n": 1e999}',
        '{"id": 1, "type": "echo", "n": NaN}',
        '{"id": 1, "type": "echo", "n": Infinity}',
        '{"id": 1, "type": "echo", "n": "\\ud800"}',
        '{"id": 1, "type": "echo", "n": ' + "[" * 70 + "]" * 70 + "}",
        "[" * 100_000,
        '{"a":' * 50_000,
    ],
    ids=lambda text: text[:40],
)
async def test_what_is_no_command_is_answered_and_the_connection_goes_on(tmp_path, text):
    async with open_house(tmp_path) as house, friend(house) as opened:
        answer = await opened.ask(text)
        assert answer["error"]["code"] == "invalid_format"
        assert await opened.ask({"id": 1, "type": "ping"}) == {"id": 1, "type": "pong"}


async def test_of_a_key_given_twice_the_last_counts(tmp_path):
    async with open_house(tmp_path) as house, friend(house) as opened:
        answer = await opened.ask('{"id": 1, "id": 2, "type": "wait", "type": "echo"}')
        assert (answer["id"], answer["success"]) == (2, True)


async def test_an_unknown_command_is_refused(tmp_path):
    async with open_house(tmp_path) as house, friend(house) as opened:
        answer = await opened.ask({"id": 1, "type": "no/such"})
        assert answer["error"]["code"] == "unknown_command"


async def test_a_defect_in_a_command_is_told_and_the_connection_goes_on(tmp_path, caplog):
    async with open_house(tmp_path) as house, friend(house) as opened:
        answer = await opened.ask({"id": 1, "type": "break"})
        assert answer["error"]["code"] == "unknown_error"
        assert "a defect" not in json.dumps(answer)
        assert (await opened.ask({"id": 2, "type": "echo"}))["success"]
    assert "a defect" in caplog.text


async def test_several_commands_may_come_in_one_frame(tmp_path):
    async with open_house(tmp_path) as house, friend(house) as opened:
        await opened.send([{"id": 1, "type": "ping"}, {"id": 1, "type": "ping"}, 3])
        assert await opened.next() == {"id": 1, "type": "pong"}
        assert (await opened.next())["error"]["code"] == "id_reuse"
        assert (await opened.next())["error"]["code"] == "invalid_format"


async def test_coalescing_may_be_offered(tmp_path):
    offer = {"id": 1, "type": "supported_features", "features": {"coalesce_messages": 1}}
    async with open_house(tmp_path) as house, friend(house) as opened:
        assert (await opened.ask(offer))["success"]


async def test_a_long_command_holds_up_no_other(tmp_path):
    async with open_house(tmp_path) as house, friend(house) as opened:
        await opened.send({"id": 1, "type": "wait"})
        assert (await opened.ask({"id": 2, "type": "echo"}))["id"] == 2
        house.commands.go.set()
        assert await opened.next() == {
            "id": 1,
            "type": "result",
            "success": True,
            "result": "waited",
        }


async def test_commands_begin_in_the_order_of_their_ids(tmp_path):
    async with open_house(tmp_path) as house, friend(house) as opened:
        await opened.send([{"id": n, "type": "echo", "n": n} for n in range(1, 201)])
        for _ in range(200):
            await opened.next()
        assert [item["n"] for item in house.commands.begun] == list(range(1, 201))


async def test_only_so_many_commands_of_a_connection_run_at_once(tmp_path):
    async with open_house(tmp_path) as house, friend(house) as opened, friend(house) as other:
        await opened.send([{"id": n, "type": "wait"} for n in range(1, 41)])
        while len(house.commands.begun) < session_room.AT_ONCE:
            await trio.sleep(0.01)
        assert (await other.ask({"id": 1, "type": "ping"}))["type"] == "pong"
        assert len(house.commands.begun) == session_room.AT_ONCE
        house.commands.go.set()
        assert {(await opened.next())["id"] for _ in range(40)} == set(range(1, 41))


async def test_a_command_ends_with_the_connection_that_gave_it(tmp_path):
    async with open_house(tmp_path) as house:
        ended = trio.Event()

        async def execute(caller, name, arguments):
            try:
                await trio.sleep_forever()
            finally:
                ended.set()

        house.commands.execute = execute
        async with friend(house) as opened:
            await opened.send({"id": 1, "type": "wait"})
        with trio.fail_after(60):
            await ended.wait()


async def test_binary_messages_end_the_connection_with_a_reason(tmp_path):
    async with open_house(tmp_path) as house, friend(house) as opened:
        await opened.send(b"\x00\x01")
        reason = await opened.closed()
        assert (reason.code, reason.reason) == (1003, "messages are text")


async def test_a_message_that_is_too_large_ends_the_connection_with_a_reason(tmp_path):
    async with open_house(tmp_path, max_message=10_000) as house, friend(house) as opened:
        await opened.send('"' + "x" * 20_000 + '"')
        reason = await opened.closed()
        assert (reason.code, reason.reason) == (1009, "a message has 10000 bytes at the most")


async def test_a_large_answer_arrives_whole(tmp_path):
    async with open_house(tmp_path) as house, friend(house) as opened:
        answer = await opened.ask({"id": 1, "type": "large", "size": 900_000})
        assert len(answer["result"]) == 900_000


async def test_a_far_side_that_has_gone_without_a_word_is_cut_off(tmp_path, monkeypatch):
    monkeypatch.setattr(session_room, "HEARTBEAT", 0.2)
    async with open_house(tmp_path) as house:
        stream = await trio.open_unix_socket(str(house.socket))
        async with stream:
            await stream.send_all(
                b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            received = b""
            with trio.fail_after(60):
                while chunk := await stream.receive_some():
                    received += chunk
        assert received.endswith(b"no answer to a ping")


async def test_a_quiet_far_side_that_answers_pings_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(session_room, "HEARTBEAT", 2)
    async with open_house(tmp_path) as house, friend(house) as opened:
        await trio.sleep(7)
        assert (await opened.ask({"id": 1, "type": "ping"}))["type"] == "pong"


async def test_a_far_side_that_takes_nothing_is_cut_off(tmp_path, monkeypatch):
    secret = create_token(tmp_path, "stuck")
    monkeypatch.setattr(session_room, "HEARTBEAT", 0.2)
    async with open_house(tmp_path) as house, stranger(house, secret) as stuck:
        await stuck.send([{"id": n, "type": "large", "size": 900_000} for n in range(1, 17)])
        with trio.fail_after(60):
            while house.tcp._sessions:
                await trio.sleep(0.01)


async def test_who_is_connected_when_the_host_stops_is_told(tmp_path):
    async with trio.open_nursery() as nursery:
        house, stop = await nursery.start(_house_until_stopped, tmp_path)
        async with friend(house) as opened:
            stop.set()
            reason = await opened.closed()
        assert (reason.code, reason.reason) == (1001, "the host stops")


async def _house_until_stopped(folder, *, task_status):
    stop = trio.Event()
    async with open_house(folder) as house:
        task_status.started((house, stop))
        await stop.wait()
