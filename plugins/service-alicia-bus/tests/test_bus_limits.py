"""What must not happen: commands twice, late, without bound, or by a message of any shape."""

import json
import logging

import pytest
import trio

PREFIX = "alicia/scheduler"
GIVEN = {"command": "trigger_event", "source": "ai", "event_id": "far"}


async def runs(host):
    return await host.kernel.store.list_executions(limit=100)


async def test_what_is_retained_and_no_command_is_no_error(mosquitto, host_at, client, caplog):
    # Its own availability lies there, and whatever others leave.
    client.publish(f"{PREFIX}/availability", b"online", retain=True)
    await client.wait_for(f"{PREFIX}/availability")
    async with host_at(mosquitto.port):
        await client.registered()
        assert (await client.command("get_stats"))["status"] == "ok"
    assert "retained command" not in caplog.text


async def test_a_retained_command_is_ignored_at_every_connection_and_told_once(
    mosquitto, host_at, client, far, caplog
):
    # T5
    client.tell(f"{PREFIX}/x", {"command": "create_event", "event": far}, retain=True)
    async with host_at(mosquitto.port) as host:
        await client.registered()
        mosquitto_again = (await client.command("get_stats"))["data"]["total_events"]
        assert await host.kernel.store.list_events(limit=10) == []
    assert mosquitto_again == 0
    told = [r for r in caplog.records if "retained command" in r.getMessage()]
    assert len(told) == 1


STALE = {
    "ttl over": {"timestamp": -400.0, "ttl": 300},
    "the bus's ttl over": {"timestamp": -400.0},
    "ISO": {"timestamp": "2020-01-01T00:00:00+00:00"},
}
FRESH = {
    "within ttl": {"timestamp": -200.0, "ttl": 300},
    "within the tolerance": {"timestamp": -20.0, "ttl": 1},
    "from a clock ahead": {"timestamp": 4_000_000.0, "ttl": 1},
    "no time": {"ttl": 1},
    "ISO": {"timestamp": "2900-01-01T00:00:00Z"},
}


@pytest.mark.parametrize(
    ("times", "code"),
    [(times, "expired") for times in STALE.values()]
    + [(times, None) for times in FRESH.values()]
    + [
        ({"timestamp": True}, "invalid_format"),
        ({"timestamp": []}, "invalid_format"),
        ({"timestamp": "yesterday"}, "invalid_format"),
        ({"timestamp": "2020-01-01T00:00:00"}, "invalid_format"),
        ({"timestamp": -1.0, "ttl": "long"}, "invalid_format"),
        ({"timestamp": 10**400}, "invalid_format"),
    ],
)
async def test_b7_a_stale_command_is_refused(times, code, mosquitto, host_at, client):
    async with host_at(mosquitto.port) as host:
        await client.registered()
        if isinstance(times.get("timestamp"), float):
            now = host.clock.now().timestamp()
            times = times | {"timestamp": now + times["timestamp"]}
        reply = await client.command("get_stats", **times)
    assert (reply["error"] or {}).get("code") == code


async def test_b7_the_time_of_the_outermost_envelope_counts(mosquitto, host_at, client):
    inner = {"message_id": "m", "timestamp": 4e9, "payload": {"command": "get_stats"}}
    outer = {"message_id": "n", "timestamp": 1.0, "source": "ai", "payload": inner}
    async with host_at(mosquitto.port):
        await client.registered()
        client.tell(f"{PREFIX}/x", outer)
        [reply] = await client.wait_for(f"{PREFIX}/response/ai")
    assert reply.json()["error"]["code"] == "expired"


async def test_a_request_that_comes_again_is_answered_again_and_done_once(
    mosquitto, host_at, client, far
):
    async with host_at(mosquitto.port) as host:
        await client.registered()
        await client.command("create_event", event=far)
        for _ in range(3):
            client.tell(f"{PREFIX}/x", GIVEN | {"request_id": "r-1"})
        client.tell(
            f"{PREFIX}/x",
            {"message_id": "m", "source": "ai", "payload": GIVEN | {"request_id": "r-1"}},
        )
        await client.until(lambda: len(client.of(f"{PREFIX}/response/ai")) >= 1)
        client.tell(f"{PREFIX}/x", GIVEN | {"request_id": "r-1"})
        client.tell(f"{PREFIX}/x", {"command": "get_stats", "source": "ai", "request_id": "end"})
        await client.answer(f"{PREFIX}/response/ai", "end")
        replies = [m.json() for m in client.of(f"{PREFIX}/response/ai")]
        assert len(await runs(host)) == 1
    ids = {r["data"]["execution_id"] for r in replies if r["request_id"] == "r-1"}
    assert len(ids) == 1


async def test_other_words_under_the_same_id_are_another_command(mosquitto, host_at, client, far):
    async with host_at(mosquitto.port) as host:
        await client.registered()
        await client.command("create_event", event=far)
        for source in ("ai", "ai", "other"):
            client.tell(f"{PREFIX}/x", GIVEN | {"request_id": "1", "source": source})
        client.tell(
            f"{PREFIX}/x",
            {"command": "cancel_event", "event_id": "far", "source": "ai", "request_id": "1"},
        )
        await client.wait_for(f"{PREFIX}/response/other", 1)
        await client.until(
            lambda: (
                "cancel_event" in {m.json()["command"] for m in client.of(f"{PREFIX}/response/ai")}
            )
        )
        assert len(await runs(host)) == 2


async def test_correlation_data_is_an_id_too(mosquitto, host_at, client, far):
    async with host_at(mosquitto.port) as host:
        await client.registered()
        await client.command("create_event", event=far)
        for _ in range(2):
            client.tell(
                f"{PREFIX}/command/events/trigger",
                {"event_id": "far"},
                response_topic="reply/me",
                correlation_data=b"7",
            )
        await client.wait_for("reply/me", 1)
        await client.command("get_stats")
        assert len(await runs(host)) == 1


async def test_commands_without_an_id_are_all_carried_out(mosquitto, host_at, client, far):
    async with host_at(mosquitto.port) as host:
        await client.registered()
        await client.command("create_event", event=far | {"mode": "parallel"})
        for _ in range(3):
            client.tell(f"{PREFIX}/x", GIVEN)
        await client.wait_for(f"{PREFIX}/response/ai", 3)
        assert len(await runs(host)) == 3


async def test_b6_what_the_host_says_itself_is_no_command(mosquitto, host_at, client, far):
    async with host_at(mosquitto.port, mqtt='protocol = "3.1.1"', more="[sinks.mqtt]") as host:
        await client.registered()
        body = {"command": "create_event", "event": far}
        client.tell(f"{PREFIX}/x", body | {"source": "event_scheduler"})
        client.tell(
            f"{PREFIX}/x", {"message_id": "m", "source": "event_scheduler", "payload": body}
        )
        client.tell(f"{PREFIX}/x", body | {"message_type": "response", "source": "other"})
        await client.command("get_stats")
        assert await host.kernel.store.list_events(limit=10) == []


HOSTILE = {
    "nothing": b"",
    "no JSON": b"{not json",
    "invalid UTF-8": b'{"command": "\xff\xfe"}',
    "NaN": b'{"command": NaN}',
    "infinity": b'{"command": "get_stats", "limit": 1e999}',
    "a lone surrogate": b'{"command": "\\ud800"}',
    "a bomb of lists": b'{"command":' + b"[" * 100_000,
    "a bomb of objects": b'{"payload":{"message_id":1,' * 5000 + b'"command":1' + b"}" * 10000,
    "a megabyte": b'{"command": "' + b"x" * 1_000_000 + b'"}',
    "a list": b'["command"]',
    "a text": b'"command"',
    "a number": b"1",
    "null": b"null",
    "a command that is a number": b'{"command": 1}',
    "a command that is an object": b'{"command": {"a": []}}',
    "a source that is a list": b'{"command": "get_stats", "source": []}',
    "an id that is an object": b'{"command": "get_stats", "source": "x", "request_id": {}}',
    "an id without end": b'{"command": "get_stats", "request_id": "' + b"x" * 5000 + b'"}',
    "an id too large": b'{"command": "get_stats", "request_id": ' + b"9" * 400 + b"}",
    "an event that is a list": b'{"command": "create_event", "event": [1]}',
    "an event of wrong types": b'{"command": "create_event", "event": {"name": 1, "tags": 2,'
    b' "schedule_type": [], "schedule_config": 5, "action": "x", "enabled": "y"}}',
    "keys of Python": b'{"command": "create_event", "self": 1, "event": {"name": "a"}, "name": 1}',
    "an id of an event with a path": b'{"command": "get_event", "event_id": "../../x\\u0000"}',
    "fields of odd names": b'{"command": "get_event", "event_id": "a", "": 1, "\\n": 2}',
    "a deep event": b'{"command": "create_event", "event": {"action": '
    + b'{"message":' * 500
    + b"1"
    + b"}" * 500
    + b"}}",
}


@pytest.mark.parametrize("topic", ["x", "create_event", "command/events/create", "command/stats"])
async def test_no_message_of_any_shape_stops_the_door(topic, mosquitto, host_at, client):
    async with host_at(mosquitto.port, "max_rate = 1000"):
        await client.registered()
        for payload in HOSTILE.values():
            client.tell(f"{PREFIX}/{topic}", payload)
            client.tell(f"{PREFIX}/{topic}", payload, response_topic="reply/me")
        for where in ("alicia/events/x", "alicia/services/event_scheduler/control"):
            for payload in HOSTILE.values():
                client.tell(where, payload)
        reply = await client.command("get_stats")
        assert reply["status"] == "ok"
        assert reply["data"]["total_events"] == 0
    replies = [message.json() for message in client.of("reply/me")]
    assert {reply["status"] for reply in replies} <= {"ok", "error"}
    codes = {(reply["error"] or {}).get("code") for reply in replies}
    assert "unknown_error" not in codes


async def test_a_name_of_any_length_is_answered_shortly(mosquitto, host_at, client):
    async with host_at(mosquitto.port):
        await client.registered()
        client.tell(f"{PREFIX}/command/{'x' * 5000}", b"", response_topic="reply/me")
        [message] = await client.wait_for("reply/me")
    assert message.json()["error"]["code"] == "not_allowed"
    assert len(message.payload) < 1000


async def test_a_flood_is_refused_and_the_schedule_goes_on(mosquitto, host_at, client, caplog):
    events = """
[events.tick]
schedule_type = "interval"
schedule_config = { type = "seconds", value = 1 }
action = { topic = "home/tick", qos = 1 }
"""
    flood = json.dumps({"command": "get_stats", "source": "flood"}).encode()
    with caplog.at_level(logging.WARNING):
        async with host_at(mosquitto.port, "max_rate = 20\nmax_waiting = 10", events=events):
            await client.registered()
            await client.wait_for("home/tick")
            before = len(client.of("home/tick"))
            for _ in range(3000):
                client.tell(f"{PREFIX}/x", flood, qos=0)
            await client.wait_for("home/tick", before + 2)
            await until_answered(client)
    # What is too much is not even read, so nobody is told, and the log is not flooded either.
    assert len(client.of(f"{PREFIX}/response/flood")) < 1500
    told = [r for r in caplog.records if "faster than" in r.getMessage()]
    assert 1 <= len(told) <= 4


async def until_answered(client):
    """Somebody else is served again once the flood is over."""
    for number in range(50):
        client.tell(
            f"{PREFIX}/command/stats", b"", response_topic=f"reply/{number}", correlation_data=b"1"
        )
        [message] = await client.wait_for(f"reply/{number}")
        if message.json()["status"] == "ok":
            return
        assert message.json()["error"]["code"] == "busy"
        await trio.sleep(0.1)
    raise AssertionError("nobody is served")


async def test_more_commands_than_may_wait_are_refused(mosquitto, host_at, client, far):
    async with host_at(
        mosquitto.port, "max_in_flight = 1\nmax_waiting = 1\nmax_rate = 1000"
    ) as host:
        await client.registered()
        async with host_stalled(host):
            for number in range(5):
                client.tell(f"{PREFIX}/x", GIVEN | {"request_id": f"r-{number}"})
            busy = await client.wait_for(f"{PREFIX}/response/ai", 3)
        assert {m.json()["error"]["code"] for m in busy[:3]} == {"busy"}


class Stalled:
    def __init__(self, commands):
        self.go = trio.Event()
        self.commands = commands

    async def execute(self, caller, name, arguments):
        await self.go.wait()
        return await self.commands.execute(caller, name, arguments)


class host_stalled:
    """While the block is open, no command of the host comes to its end."""

    def __init__(self, host):
        self.host = host

    async def __aenter__(self):
        surroundings = self.host._surroundings
        self.stalled = surroundings.commands = Stalled(surroundings.commands)
        return self.stalled

    async def __aexit__(self, *_):
        self.stalled.go.set()
        self.host._surroundings.commands = self.stalled.commands


async def test_a_command_that_takes_too_long_is_given_up(mosquitto, host_at, client):
    async with host_at(mosquitto.port, "command_timeout = 0.2") as host:
        await client.registered()
        async with host_stalled(host):
            reply = await client.command("get_stats")
    assert reply["error"]["code"] == "timeout"
