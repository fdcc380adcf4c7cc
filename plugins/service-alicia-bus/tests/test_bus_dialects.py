"""The original's commands in every dialect of the bus (T3, B1, B2), and what they answer."""

import json

import pytest

PREFIX = "alicia/scheduler"

FORMS = {
    "flat": lambda body: body | {"source": "ai"},
    "enveloped": lambda body: {
        "message_id": "m-1",
        "message_type": "command",
        "source": "ai",
        "payload": body,
    },
    "double": lambda body: {
        "message_id": "m-2",
        "message_type": "event",
        "source": "ai",
        "routing": {"hops": 0, "max_hops": 10},
        "payload": {"message_id": "m-1", "message_type": "command", "source": "x", "payload": body},
    },
    "command outside": lambda body: {
        "message_id": "m-1",
        "message_type": "command",
        "source": "ai",
        "command": body["command"],
        "payload": body,
    },
}


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize("form", FORMS)
async def test_b1_b2_a_command_in_any_dialect_creates_one_event_and_tells_its_id(
    form, protocol, mosquitto, host_at, far, client_at
):
    with client_at(mosquitto.port, "alicia/#", protocol=protocol) as client:
        async with host_at(mosquitto.port) as host:
            await client.registered()
            body = {"command": "create_event", "request_id": "r-1", "event": far}
            client.tell(f"{PREFIX}/x", FORMS[form](body))
            reply = await client.answer(f"{PREFIX}/response/ai", "r-1")
            events = await host.kernel.store.list_events(limit=10)
    assert (reply["command"], reply["status"], reply["error"]) == ("create_event", "ok", None)
    assert [record.event.event_id for record in events] == [reply["data"]["event_id"]]
    assert reply["data"]["next_run"] == 4_000_000_000.0


STYLES = {
    "standard": ({"payload", "routing", "message_id"}, {"command", "status"}),
    "hybrid": ({"payload", "routing", "message_id", "command", "status"}, set()),
    "flat": ({"message_id", "source", "command", "status"}, {"payload"}),
    "none": ({"command", "status"}, {"payload", "message_id", "source"}),
}


@pytest.mark.parametrize("style", STYLES)
async def test_a_reply_is_wrapped_as_configured(style, mosquitto, host_at, client):
    there, missing = STYLES[style]
    async with host_at(mosquitto.port, f'envelope = "{style}"'):
        await client.wait_for("alicia/system/discovery/register")
        client.tell(f"{PREFIX}/x", {"command": "get_stats", "source": "ai"})
        [message] = await client.wait_for(f"{PREFIX}/response/ai")
    reply = message.json()
    assert there <= reply.keys()
    assert not missing & reply.keys()
    inner = reply.get("payload", reply)
    assert inner["status"] == "ok"
    assert inner["data"]["total_events"] == 0


async def test_both_kinds_of_readers_understand_a_hybrid_reply(mosquitto, host_at, client, far):
    # T4: one looks at the top, the other into the payload.
    async with host_at(mosquitto.port):
        await client.registered()
        reply = await client.command("create_event", event=far)
    assert reply["data"] == reply["payload"]["data"]
    assert (reply["source"], reply["message_type"]) == ("event_scheduler", "response")
    assert reply["destination"] == "tester"


async def test_every_flat_command_answers(mosquitto, host_at, client, far):
    async with host_at(mosquitto.port):
        await client.registered()
        created = await client.command("create_event", event=far)
        assert created["data"]["event"]["name"] == "far away"
        assert created["data"]["warnings"] == []
        got = await client.command("get_event", event_id="far")
        assert list(got["data"]["event"]) == [
            *("event_id", "name", "description", "schedule_type", "schedule_config", "action"),
            *("enabled", "max_retries", "retry_delay", "timeout", "created_at", "updated_at"),
            *("next_run", "last_run", "last_status", "run_count", "success_count"),
            *("failure_count", "tags"),
        ]
        assert got["data"]["event"]["last_status"] == "pending"
        assert got["data"]["event"]["action"]["qos"] == 1
        listed = await client.command("list_events")
        assert [event["event_id"] for event in listed["data"]["events"]] == ["far"]
        edited = await client.command("update_event", event_id="far", event={"name": "nearer"})
        assert edited["data"]["event"]["name"] == "nearer"
        assert edited["data"]["next_run"] == 4_000_000_000.0
        triggered = await client.command("trigger_event", event_id="far")
        execution_id = triggered["data"]["execution_id"]
        assert len(await client.wait_for("home/far")) == 1
        await client.until(lambda: True)
        runs = await until_final(client, "far")
        assert [run["execution_id"] for run in runs] == [execution_id]
        assert runs[0]["status"] == "completed"
        assert isinstance(runs[0]["start_time"], float)
        assert (await client.command("disable_event", event_id="far"))["data"]["enabled"] is False
        assert (await client.command("enable_event", event_id="far"))["data"]["enabled"] is True
        cancelled = await client.command("cancel_event", event_id="far")
        assert cancelled["data"]["enabled"] is False
        stats = (await client.command("get_stats"))["data"]
        assert (stats["total_events"], stats["active_events"]) == (1, 0)
        assert (stats["completed_executions"], stats["failed_executions"]) == (1, 0)
        assert (await client.command("delete_event", event_id="far"))["status"] == "ok"
        gone = await client.command("get_event", event_id="far")
        assert (gone["status"], gone["error"]["code"]) == ("error", "not_found")
        missing = await client.command("cancel_execution", execution_id="none")
        assert missing["error"]["code"] == "not_found"


async def until_final(client, event_id):
    for _ in range(200):
        reply = await client.command("get_executions", event_id=event_id, status="completed")
        if reply["data"]["executions"]:
            return reply["data"]["executions"]
    raise AssertionError("the execution does not end")


async def test_the_topic_names_the_command_where_the_message_does_not(
    mosquitto, host_at, client, far
):
    async with host_at(mosquitto.port):
        await client.registered()
        reply = await client.ask(f"{PREFIX}/create_event", {"event": far})
    assert reply["command"] == "create_event"


async def test_an_unknown_command_is_answered_with_the_near_one(mosquitto, host_at, client):
    async with host_at(mosquitto.port):
        await client.registered()
        reply = await client.command("create_evnt")
    assert reply["error"]["code"] == "unknown_command"
    assert "create_event" in reply["error"]["hint"]


REFUSED = {
    "A2 junk in a counter is not written": (
        {"run_count": "junk", "event_id": "other", "name": "n"},
        None,
    ),
    "A3 a bad schedule type": ({"schedule_type": "sometimes"}, "not_supported"),
    "S3 a cron that is none": (
        {"schedule_type": "cron", "schedule_config": {"cron": "99 99 99 99 99"}},
        "invalid_format",
    ),
    "S7 a time that is none": ({"schedule_config": {"timestamp": "soon"}}, "invalid_format"),
    "S14 a key that means nothing": ({"schedule_config": {"every": 5}}, "invalid_format"),
    "X13 an action type that is none": ({"action": {"type": "dance"}}, "not_supported"),
}


@pytest.mark.parametrize("case", REFUSED)
async def test_an_edit_by_the_bus_is_checked_as_any_other(case, mosquitto, host_at, client, far):
    changes, code = REFUSED[case]
    async with host_at(mosquitto.port):
        await client.registered()
        created = await client.command("create_event", event=far)
        before = created["data"]["event"]
        reply = await client.command("update_event", event_id="far", event=changes)
        after = (await client.command("get_event", event_id="far"))["data"]["event"]
    if code is None:
        assert reply["data"]["warnings"] == ["not set, the scheduler keeps it: event_id, run_count"]
        assert after | {"updated_at": 0} == before | {"name": "n", "updated_at": 0}
    else:
        assert reply["status"] == "error"
        assert reply["error"]["code"] in (code, "invalid_format")
        assert after == before


async def test_x14_metadata_of_a_run_is_not_written_into_the_definition(
    mosquitto, host_at, client, far
):
    async with host_at(mosquitto.port):
        await client.registered()
        await client.command("create_event", event=far)
        await client.command("trigger_event", event_id="far")
        await client.wait_for("home/far")
        event = (await client.command("get_event", event_id="far"))["data"]["event"]
    assert event["action"]["message"] == {"on": True}
    assert json.loads(client.of("home/far")[0].payload).keys() >= {"execution_id", "triggered_by"}


@pytest.mark.parametrize("limit", [-1, 0, 1001, "all", True, 1.5])
async def test_a7_a_limit_is_checked(limit, mosquitto, host_at, client):
    async with host_at(mosquitto.port):
        await client.registered()
        reply = await client.command("get_executions", limit=limit)
    assert reply["error"]["path"] == ["limit"]


async def test_x16_cancelling_an_event_can_cancel_what_runs_of_it(mosquitto, host_at, client, far):
    slow = far | {"event_id": "slow", "action": {"topic": "home/far", "completion": "report"}}
    async with host_at(mosquitto.port):
        await client.registered()
        await client.command("create_event", event=slow)
        triggered = await client.command("trigger_event", event_id="slow")
        await client.wait_for("home/far")
        kept = await client.command("cancel_event", event_id="slow")
        assert kept["data"]["cancelled_executions"] == []
        reply = await client.command("cancel_event", event_id="slow", cancel_running=True)
    assert reply["data"]["cancelled_executions"] == [triggered["data"]["execution_id"]]
