"""What the bus is told of this service (§1.10), and how it obeys the orchestrator."""

import signal

import pytest

HEALTH = "alicia/system/health/event_scheduler"
STATUS = "alicia/services/event_scheduler/status"
CONTROL = "alicia/services/event_scheduler/control"


async def test_it_registers_when_it_comes_and_unregisters_when_it_goes(mosquitto, host_at, client):
    # X18, C10
    async with host_at(mosquitto.port):
        await client.registered()
        await client.wait_for(STATUS)
        [registration] = client.of("alicia/system/discovery/register")
    [farewell] = await client.wait_for("alicia/system/discovery/unregister")
    told = registration.json()["payload"]
    assert (told["service_name"], told["status"]) == ("event_scheduler", "online")
    assert told["capabilities"][:2] == ["event_scheduling", "cron_scheduling"]
    assert told["instance_id"] == "attic"
    assert farewell.json()["payload"]["status"] == "offline"
    assert [m.json()["state"] for m in client.of(STATUS)] == ["running", "stopped"]
    assert not registration.retain
    topics = [m.topic for m in client.messages]
    last = max(n for n, m in enumerate(client.messages) if m.payload == b"offline")
    assert topics.index("alicia/system/discovery/unregister") < last


async def test_b3_it_answers_a_health_check(mosquitto, host_at, client):
    async with host_at(mosquitto.port):
        await client.registered()
        await client.wait_for(HEALTH, 1)
        client.tell("alicia/system/health/check", b"whatever")
        health = (await client.wait_for(HEALTH, 2))[1].json()
    assert (health["service_name"], health["status"], health["errors"]) == (
        "event_scheduler",
        "healthy",
        0,
    )
    assert isinstance(health["uptime"], float)
    assert health["payload"].keys() >= {"messages_processed", "timestamp", "mqtt_connected"}


async def test_it_reports_its_health_from_time_to_time_if_configured(mosquitto, host_at, client):
    async with host_at(mosquitto.port, beat=0.05):
        await client.wait_for(HEALTH, 4)


@pytest.mark.parametrize(
    ("command", "state"),
    [
        ({"command": "maintenance", "mode": "on"}, "maintenance"),
        ({"command": "stop", "task_id": "t", "timestamp": None}, "stopped"),
    ],
)
async def test_the_orchestrator_can_halt_the_schedule_and_let_it_run(
    command, state, mosquitto, host_at, client
):
    command = {key: value for key, value in command.items() if value is not None}
    async with host_at(mosquitto.port) as host:
        await client.registered()
        reply = await client.ask(CONTROL, command, source="orchestrator")
        assert reply["data"] == {"state": state}
        assert host.kernel.paused_until is not None
        back = (
            {"command": "start"}
            if state == "stopped"
            else {"command": "maintenance", "mode": "off"}
        )
        reply = await client.ask(CONTROL, back, source="orchestrator")
        assert host.kernel.paused_until is None
        states = [m.json()["state"] for m in await client.wait_for(STATUS, 3)]
    assert states[:3] == ["running", state, "running"]


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ({"command": "scale", "replicas": 3}, "not_supported"),
        ({"command": "maintenance"}, "invalid_format"),
        ({"command": "dance"}, "unknown_command"),
    ],
)
async def test_what_the_orchestrator_cannot_have_is_refused(
    command, code, mosquitto, host_at, client
):
    async with host_at(mosquitto.port):
        await client.registered()
        reply = await client.ask(CONTROL, command)
    assert reply["error"]["code"] == code


async def test_who_may_only_read_cannot_halt_the_schedule(mosquitto, host_at, client):
    async with host_at(mosquitto.port, 'permission = "read"') as host:
        await client.registered()
        reply = await client.ask(CONTROL, {"command": "stop"})
        assert host.kernel.paused_until is None
    assert reply["error"]["code"] == "not_allowed"


async def test_b3_restart_reloads_by_default(mosquitto, host_at, client):
    reloads = []
    async with host_at(mosquitto.port) as host:

        async def reload(**_):
            reloads.append(1)
            return {}

        host.reload = reload
        await client.registered()
        reply = await client.ask(
            "alicia/event_scheduler/command",
            {"command": "restart", "reason": "health_monitor_triggered"},
        )
        pushed = await client.ask(
            "alicia/services/event_scheduler/config/attic",
            {"command": "reload_config", "config": {}},
        )
    assert reply["data"] == {"restart": "reload"}
    assert pushed["status"] == "ok"
    assert len(reloads) == 2


async def test_restart_can_end_the_process_after_its_answer(
    mosquitto, host_at, client, monkeypatch
):
    raised, noted = [], []
    monkeypatch.setattr(signal, "raise_signal", raised.append)
    async with host_at(mosquitto.port, 'restart = "exit"\nallow = ["*"]') as host:
        monkeypatch.setattr(host.audit, "note", lambda *line: noted.append(line))
        await client.registered()
        topic = "alicia/event_scheduler/command"
        reply = await client.ask(topic, {"command": "restart"})
        assert reply["status"] == "ok"
        while not raised:
            await client.command("get_stats")
    assert raised == [signal.SIGTERM]
    ((caller, name, _, outcome),) = noted
    assert (caller.door, name, outcome) == ("mqtt", "scheduler/restart", "ok")


async def test_restart_can_be_ignored_and_that_is_in_the_audit_log(
    mosquitto, host_at, client, monkeypatch
):
    noted = []
    async with host_at(mosquitto.port, 'restart = "ignore"') as host:
        monkeypatch.setattr(host.audit, "note", lambda *line: noted.append(line))
        await client.registered()
        reply = await client.ask("alicia/event_scheduler/command", {"command": "restart"})
    assert reply["error"]["code"] == "not_allowed"
    assert [(line[1], line[3]) for line in noted] == [("scheduler/restart", "not_allowed")]


async def test_without_registration_and_control_only_health_is_told(mosquitto, host_at, client):
    async with host_at(mosquitto.port, "registration = false\ncontrol = false") as host:
        await client.wait_for(HEALTH)
        client.tell(CONTROL, {"command": "stop"})
        await client.command("get_stats")
        assert host.kernel.paused_until is None
    assert client.of("alicia/system/discovery/register") == []
