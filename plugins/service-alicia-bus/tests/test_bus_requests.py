"""The host's own commands by MQTT: what is asked how, what is answered where, who may what."""

import json

import pytest

PREFIX = "alicia/scheduler"
HTTP = {"type": "http_request", "url": "http://127.0.0.1:1/"}
SCRIPT = {"type": "script_execution", "command": ["true"]}


async def test_a_request_is_answered_on_its_response_topic_with_its_correlation_data(
    mosquitto, host_at, client
):
    async with host_at(mosquitto.port):
        await client.registered()
        client.tell(
            f"{PREFIX}/command/stats", b"", response_topic="reply/me", correlation_data=b"\x00\xff7"
        )
        [message] = await client.wait_for("reply/me")
    reply = message.json()
    assert (message.correlation_data, message.retain, message.qos) == (b"\x00\xff7", False, 1)
    assert (message.content_type, message.message_expiry) == ("application/json", 60)
    assert reply["data"].pop("instance") == "attic"
    assert (reply["command"], reply["status"], reply["request_id"]) == ("stats", "ok", None)
    assert "payload" not in reply  # asked plainly, answered plainly


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_without_properties_the_payload_says_where_the_answer_goes(
    protocol, mosquitto, host_at, client_at
):
    with client_at(mosquitto.port, "reply/#", "alicia/#", protocol=protocol) as client:
        async with host_at(mosquitto.port, mqtt=f'protocol = "{protocol}"'):
            await client.registered()
            client.tell(
                f"{PREFIX}/command/events/list", {"reply_topic": "reply/me", "request_id": 7}
            )
            [message] = await client.wait_for("reply/me")
    reply = message.json()
    assert (reply["request_id"], reply["data"]) == ("7", {"events": [], "next": None})


async def test_an_enveloped_request_is_answered_in_an_envelope(mosquitto, host_at, client):
    async with host_at(mosquitto.port):
        await client.registered()
        client.tell(
            f"{PREFIX}/command/stats",
            {"message_id": "m-9", "source": "ai", "payload": {"reply_topic": "reply/me"}},
        )
        [message] = await client.wait_for("reply/me")
    assert message.json()["payload"]["request_id"] == "m-9"
    assert message.json()["destination"] == "ai"


async def test_an_event_lives_through_requests_alone(mosquitto, host_at, client, far):
    async with host_at(mosquitto.port):
        await client.registered()
        ask = client.ask
        base = f"{PREFIX}/command"
        made = await ask(f"{base}/events/create", {"event": far})
        assert made["data"]["event"]["origin"] == "mqtt"
        for name, arguments in (
            ("events/disable", {"event_id": ["f*"]}),
            ("events/enable", {"tag": "none"}),
            ("events/update", {"event_id": "far", "revision": 2, "changes": {"name": "x"}}),
            ("events/skip", {"event_id": "far"}),
            ("events/pause", {"event_id": "far", "duration": 60}),
            ("executions/list", {"event_id": "far"}),
            ("scheduler/pause", {}),
            ("scheduler/resume", {}),
            ("health", {}),
            ("events/delete", {"event_id": "far"}),
        ):
            reply = await ask(f"{base}/{name}", arguments)
            assert reply["status"] == "ok" or reply["error"]["code"] == "not_found", reply
            assert reply["command"] == name
        conflict = await ask(f"{base}/events/create", {"event": far})
        assert conflict["status"] == "ok"
        again = await ask(f"{base}/events/create", {"event": far})
        assert again["error"]["code"] == "conflict"


@pytest.mark.parametrize(
    ("bus", "name", "allowed"),
    [
        ('permission = "read"', "stats", True),
        ('permission = "read"', "events/trigger", False),
        ('permission = "operate"', "events/trigger", True),
        ('permission = "operate"', "events/create", False),
        ("", "events/create", True),
        ("", "plugins/list", False),
        ("", "backup", False),
        ('deny = ["*/delete"]', "events/delete", False),
        ('allow = ["stats"]', "events/list", False),
        ('allow = ["*"]', "plugins/list", True),
        ('allow = ["*"]\ndeny = ["scheduler/*"]', "scheduler/pause", False),
    ],
)
async def test_a8_the_configuration_says_which_commands_the_bus_may_use(
    bus, name, allowed, mosquitto, host_at, client, far
):
    async with host_at(mosquitto.port, bus):
        await client.registered()
        reply = await client.ask(
            f"{PREFIX}/command/{name}", {"event": far} if name.endswith("create") else {}
        )
    assert ((reply["error"] or {}).get("code") != "not_allowed") is allowed


async def test_what_the_bus_may_not_use_is_in_the_audit_log_all_the_same(
    mosquitto, host_at, client, monkeypatch
):
    noted = []
    async with host_at(mosquitto.port, 'deny = ["*/delete", "events/list"]') as host:
        monkeypatch.setattr(host.audit, "note", lambda *line: noted.append(line))
        await client.registered()
        for name in ("events/delete", "events/list"):
            await client.ask(f"{PREFIX}/command/{name}", {"event_id": "x"})
    ((caller, name, arguments, outcome),) = noted
    assert (caller.door, name, outcome) == ("mqtt", "events/delete", "not_allowed")
    assert arguments == {"event_id": "x"}


async def test_a8_scripts_cannot_come_from_the_bus_unless_allowed(mosquitto, host_at, client, far):
    scripted = far | {"action": SCRIPT}
    async with host_at(mosquitto.port) as host:
        await client.registered()
        for refused in (
            await client.command("create_event", event=scripted),
            await client.ask(f"{PREFIX}/command/events/create", {"event": scripted}),
        ):
            assert refused["error"]["code"] == "not_allowed"
        assert (await client.command("create_event", event=far))["status"] == "ok"
        for refused in (
            await client.command("update_event", event_id="far", event={"action": SCRIPT}),
            await client.ask(
                f"{PREFIX}/command/events/update",
                {"event_id": "far", "revision": 1, "changes": {"action": SCRIPT}},
            ),
        ):
            assert refused["error"]["code"] == "not_allowed"
        [record] = await host.kernel.store.list_events(limit=10)
        assert record.event.action["type"] == "mqtt_publish"


async def test_a8_scripts_can_come_from_the_bus_when_allowed(mosquitto, host_at, client, far):
    async with host_at(mosquitto.port, 'allow_actions = ["script_execution"]'):
        await client.registered()
        reply = await client.command("create_event", event=far | {"action": SCRIPT})
    assert reply["status"] == "ok"


async def test_commands_of_one_sender_are_carried_out_in_their_order(
    mosquitto, host_at, client, far
):
    async with host_at(mosquitto.port):
        await client.registered()
        client.tell(f"{PREFIX}/x", {"command": "create_event", "source": "ai", "event": far})
        client.tell(f"{PREFIX}/x", {"command": "disable_event", "source": "ai", "event_id": "far"})
        client.tell(f"{PREFIX}/x", {"command": "get_event", "source": "ai", "event_id": "far"})
        replies = await client.wait_for(f"{PREFIX}/response/ai", 3)
    assert [reply.json()["status"] for reply in replies] == ["ok"] * 3
    assert replies[2].json()["data"]["event"]["enabled"] is False


BAD_REPLY_TOPICS = {
    "a wildcard": "reply/+",
    "the broker's own": "$SYS/x",
    "our commands": f"{PREFIX}/anything",
    "our requests": f"{PREFIX}/command/events/create",
    "our reports": "alicia/events/x",
    "our control": "alicia/services/event_scheduler/control",
    "no text": 5,
    "empty": "",
    "a control character": "reply/\u0001",
    "far too long": "x" * 2000,
}


@pytest.mark.parametrize("case", BAD_REPLY_TOPICS)
async def test_b6_an_answer_goes_nowhere_where_it_would_do_harm(
    case, mosquitto, host_at, client, far
):
    async with host_at(mosquitto.port) as host:
        await client.registered()
        client.tell(
            f"{PREFIX}/x",
            {
                "command": "create_event",
                "event": far,
                "source": "ai",
                "reply_topic": BAD_REPLY_TOPICS[case],
            },
        )
        [refusal] = await client.wait_for(f"{PREFIX}/response/ai")
        assert refusal.json()["error"]["path"] == ["reply_topic"]
        assert await host.kernel.store.list_events(limit=10) == []


async def test_reply_topics_can_be_limited(mosquitto, host_at, client):
    async with host_at(mosquitto.port, 'reply_topics = ["reply/+"]'):
        await client.registered()
        for topic in ("home/door/set", "reply/me"):
            client.tell(f"{PREFIX}/command/stats", {"reply_topic": topic})
        await client.wait_for("reply/me")
    assert client.of("home/door/set") == []


async def test_the_sender_is_in_the_audit_log(mosquitto, host_at, client, far, tmp_path):
    state = tmp_path / "state"
    command = {"command": "create_event", "event": far, "source": "evil\nname", "request_id": "r"}
    async with host_at(mosquitto.port, state=state):
        await client.registered()
        client.tell(f"{PREFIX}/x", command)
        await client.answer(f"{PREFIX}/response/evil_name", "r")
    [log] = state.glob("*audit*")
    [line] = [line for line in log.read_text().splitlines() if "evil_name" in line]
    assert json.loads(line)["door"] == "mqtt"


async def test_without_the_dialects_nothing_is_answered(mosquitto, host_at, client):
    async with host_at(mosquitto.port, "requests = false\nflat_commands = false"):
        await client.registered()
        client.tell(f"{PREFIX}/command/stats", {"reply_topic": "reply/me"})
        client.tell(f"{PREFIX}/x", {"command": "get_stats", "reply_topic": "reply/me"})
        client.tell("alicia/system/health/check", {})
        await client.wait_for("alicia/system/health/event_scheduler", 2)  # sent later than those
    assert client.of("reply/me") == []
