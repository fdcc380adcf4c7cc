"""Requests to a scripted service over a real Mosquitto, with MQTT 5 and 3.1.1."""

import json

import paho.mqtt.client as paho
import pytest
import trio

from alicia_action_service.config import SuccessCheck
from alicia_action_service.presets import PRESETS
from alicia_scheduler.api import Permanent, Retryable, ServiceUnavailable
from alicia_scheduler.testing.mosquitto import Recorder

PROTOCOLS = [("5", paho.MQTTv5), ("3.1.1", paho.MQTTv311)]


def echo(**answer):
    """Answers a request on its own topic, by the fields of its payload."""

    def script(fields, message):
        yield fields["reply_topic"], {"request_id": fields["request_id"], **answer}

    return script


@pytest.mark.parametrize(("protocol", "version"), PROTOCOLS)
async def test_an_answer_by_its_fields_is_the_result(
    mosquitto, asking, bus_service, protocol, version
):
    service = bus_service(mosquitto.port, "meter/get", echo(power=21.5), protocol=version)
    async with service, asking(mosquitto.port, protocol=protocol) as ask:
        result = await ask(request_topic="meter/get", data={"what": "power"})
    sent = json.loads(service.requests[0].payload)
    assert sent.keys() == {"what", "request_id", "reply_topic"}
    assert sent["reply_topic"].startswith("test/rpc/test/")
    assert result.pop("elapsed") >= 0
    assert result == {
        "via": "bus",
        "topic": "meter/get",
        "reply_topic": sent["reply_topic"],
        "answer": {"request_id": sent["request_id"], "power": 21.5},
    }


async def test_with_mqtt_5_an_answer_comes_by_response_topic_and_correlation_data(
    mosquitto, asking, bus_service
):
    def script(fields, message):
        yield message.properties.ResponseTopic, {"ok": 0}, b"somebody else's"
        yield message.properties.ResponseTopic, {"ok": 1}, message.properties.CorrelationData

    async with (
        bus_service(mosquitto.port, "meter/get", script),
        asking(mosquitto.port, protocol="5") as ask,
    ):
        result = await ask(request_topic="meter/get")
    assert result["answer"] == {"ok": 1}


@pytest.mark.parametrize(("protocol", "version"), PROTOCOLS)
async def test_answers_to_others_are_passed_over(mosquitto, asking, bus_service, protocol, version):
    def script(fields, message):
        yield "meter/reply", "no json"
        yield "meter/reply", {"value": "names nobody"}
        yield "meter/reply", {"request_id": "another", "value": "for another"}
        yield "meter/reply", {"request_id": fields["request_id"], "value": "mine"}

    service = bus_service(mosquitto.port, "meter/get", script, protocol=version)
    async with service, asking(mosquitto.port, protocol=protocol) as ask:
        result = await ask(request_topic="meter/get", reply_topic="meter/reply")
    assert result["answer"]["value"] == "mine"


async def test_a_stored_message_is_no_answer(mosquitto, asking, bus_service):
    def script(fields, message):
        yield "meter/reply", {"user_id": "7", "value": "mine"}

    topic = PRESETS["personality"].request_topic
    service = bus_service(mosquitto.port, topic, script)
    async with service, asking(mosquitto.port) as ask:
        await service.store("meter/reply", {"user_id": "7", "value": "stored"})
        data = {"user_id": "7", "personality_id": "x"}
        result = await ask(preset="personality", data=data, reply_topic="meter/reply")
    assert result["answer"]["value"] == "mine"


async def test_a_late_answer_is_not_taken_for_the_next(mosquitto, asking, bus_service, until):
    late = []

    def script(fields, message):
        late.append(fields["request_id"])
        if len(late) == 2:
            yield "meter/reply", {"request_id": late[0], "value": "late"}
            yield "meter/reply", {"request_id": late[1], "value": "mine"}

    options = {"request_topic": "meter/get", "reply_topic": "meter/reply"}
    async with (
        bus_service(mosquitto.port, "meter/get", script),
        asking(mosquitto.port) as ask,
    ):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: ask(**options))
            await until(lambda: late)
            nursery.cancel_scope.cancel()
        result = await ask(**options)
    assert result["answer"]["value"] == "mine"
    assert late[0] != late[1]


async def test_on_its_own_topic_an_answer_may_be_anything(mosquitto, asking, bus_service):
    async with (
        bus_service(mosquitto.port, "t", lambda fields, _: [(fields["reply_topic"], "21.5 °C")]),
        asking(mosquitto.port) as ask,
    ):
        result = await ask(request_topic="t")
    assert result["answer"] == "21.5 °C"


async def test_it_is_done_before_the_attempt_times_out(mosquitto, asking):
    async with asking(mosquitto.port) as ask:
        with (
            trio.move_on_after(5) as attempt,
            pytest.raises(Retryable, match="no answer on test/rpc/") as failure,
        ):
            await ask(request_topic="nobody/listens")
    assert not attempt.cancelled_caught
    assert failure.value.error_class == "timeout"


async def test_a_cancelled_call_leaves_no_subscription(mosquitto, asking, until):
    async with asking(mosquitto.port) as ask:
        filters = ask.connection._subscriptions.filters
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: ask(request_topic="nobody/listens", reply_topic="r"))
            await until(lambda: filters() == ["r"])
            nursery.cancel_scope.cancel()
        assert filters() == []


# -- what an answer says ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "kind", "error_class"),
    [
        ({"success": False}, Retryable, "service_error"),
        ({"status": "error", "error": "the lamp is gone"}, Retryable, "service_error"),
        ({"status": "failed", "message": "x"}, Retryable, "service_error"),
        ({"status": "error", "error": {"code": "busy", "message": "x"}}, Retryable, "busy"),
        ({"status": "error", "error": {"code": "not_found"}}, Permanent, "not_found"),
        ({"status": "error", "error": {"code": "x", "retryable": False}}, Permanent, "x"),
        ({"status": "error", "error": {"code": "not_found", "retryable": True}}, Retryable, None),
        ({"success": False, "error": {"code": 5, "message": 6}}, Retryable, "service_error"),
    ],
)
async def test_an_answer_that_says_no_is_a_failure_of_its_class(
    mosquitto, asking, bus_service, answer, kind, error_class
):
    async with bus_service(mosquitto.port, "t", echo(**answer)), asking(mosquitto.port) as ask:
        with pytest.raises(kind) as failure:
            await ask(request_topic="t")
    assert failure.value.error_class == (error_class or "not_found")


@pytest.mark.parametrize(
    ("check", "worked"),
    [
        (SuccessCheck(path="reading.valid", equals=True), True),
        (SuccessCheck(path="reading.valid"), True),
        (SuccessCheck(path="reading.values[0]", equals=1), True),
        (SuccessCheck(path="reading.valid", equals=1), False),
        (SuccessCheck(path="reading.valid", equals="true"), False),
        (SuccessCheck(path="reading.missing"), False),
        (SuccessCheck(path="reading.values[5]", equals=1), False),
    ],
)
async def test_what_must_stand_in_an_answer(mosquitto, asking, bus_service, check, worked):
    script = echo(reading={"valid": True, "values": [1]})
    async with bus_service(mosquitto.port, "t", script), asking(mosquitto.port) as ask:
        if worked:
            await ask(request_topic="t", success=check)
            return
        with pytest.raises(Permanent, match=r"does not hold reading\.") as failure:
            await ask(request_topic="t", success=check)
    assert failure.value.error_class == "unexpected_answer"


async def test_an_answer_where_only_errors_come_is_one(mosquitto, asking, bus_service):
    def script(fields, message):
        yield "t/error", {"error": "somebody else's", "request_id": "another"}
        yield "t/error", {"error": "no voice"}

    async with bus_service(mosquitto.port, "t", script), asking(mosquitto.port) as ask:
        with pytest.raises(Retryable, match="no voice") as failure:
            await ask(request_topic="t", error_topic="t/error")
    assert failure.value.error_class == "service_error"


# -- the broker ------------------------------------------------------------------------------


async def test_without_a_broker_it_fails_at_once_and_may_be_tried_again(mosquitto, asking, until):
    async with asking(mosquitto.port) as ask:
        mosquitto.kill()
        await until(lambda: not ask.connection.connected)
        with pytest.raises(Retryable) as failure:
            await ask(request_topic="t")
    assert failure.value.error_class == "connection"


async def test_a_broker_that_acknowledges_nothing_is_no_service_that_is_silent(mosquitto, asking):
    async with asking(mosquitto.port) as ask:
        mosquitto.freeze()
        with pytest.raises(Retryable, match="did not acknowledge") as failure:
            await ask(request_topic="t", expect_answer=False, answer_timeout=0.3)
        mosquitto.thaw()
    assert failure.value.error_class == "connection"


async def test_an_answer_is_heard_after_the_broker_was_away(mosquitto, asking, bus_service, until):
    service = bus_service(mosquitto.port, "t", lambda *_: [])
    async with service, asking(mosquitto.port) as ask, trio.open_nursery() as nursery:
        results = []

        async def call():
            results.append(await ask(request_topic="t"))

        nursery.start_soon(call)
        await until(lambda: service.requests)
        fields = json.loads(service.requests[0].payload)
        mosquitto.restart()
        await until(lambda: not ask.connection.connected)
        await until(lambda: ask.connection.connected)
        while not results:
            # The connection may be there a moment before its subscriptions are.
            service.publish(fields["reply_topic"], {"request_id": fields["request_id"], "ok": 1})
            await trio.sleep(0.05)
    assert results[0]["answer"]["ok"] == 1


async def test_without_the_service_mqtt_it_fails_and_may_be_tried_again():
    from alicia_action_service import ServiceCallConfig, open_service_call
    from alicia_scheduler.testing.context import TestContext

    async with open_service_call(TestContext("action-service")) as action:
        with pytest.raises(ServiceUnavailable):
            await action.run(ServiceCallConfig(via="bus", request_topic="t"), None)


async def test_where_no_answer_is_expected_the_brokers_word_is_enough(mosquitto, asking):
    with Recorder(mosquitto.port, "t") as recorder:
        async with asking(mosquitto.port, protocol="5") as ask:
            result = await ask(request_topic="t", data={"a": 1}, expect_answer=False)
        [sent] = await recorder.wait_for("t")
    assert result == {"via": "bus", "topic": "t"}
    assert sent.json() == {"a": 1}
    assert sent.message_expiry == 30
    assert dict(sent.user_properties) == {
        "event_id": "evening",
        "execution_id": "x-1",
        "scheduled_time": "1772346600.0",
        "attempt": "1",
        "idempotency_key": "evening/1772346600.000000/1",
    }


# -- the services of the Alicia bus ----------------------------------------------------------

EXAMPLES = {
    "tts": ({"text": "hello"}, {}, "alicia/voice/tts/request"),
    "assistant": ({"text": "hello"}, {}, "alicia/voice/ai/request"),
    "announce": (
        {"speaker_ids": ["a"], "audio_path": "x.wav"},
        {},
        "alicia/devices/speakers/announce",
    ),
    "sonos": (
        {"command": "set_volume", "volume": 20},
        {"speaker_id": "bath"},
        "alicia/devices/sonos/bath/command",
    ),
    "device_command": ({"command": "on"}, {"device_id": "lamp"}, "alicia/devices/lamp/command"),
    "device_control": ({"command": "on"}, {"device_id": "lamp"}, "alicia/devices/lamp/control"),
    "ha_service": (
        {"domain": "light", "service": "turn_on", "service_data": {"entity_id": "light.a"}},
        {},
        "alicia/integration/ha/service",
    ),
    "ha_state": (
        {"command": "get_state"},
        {"entity_id": "light.a"},
        "alicia/integration/ha/command",
    ),
    "personality": ({"user_id": "u", "personality_id": "p"}, {}, "alicia/personality/activate"),
    "capability": ({"anything": 1}, {"name": "lights"}, "capability:lights"),
}

ANSWERS = {
    "tts": lambda sent: (
        "alicia/voice/tts/response",
        {"session_id": sent["session_id"], "synthesis": {"success": True}},
    ),
    "assistant": lambda sent: (
        "alicia/voice/ai/response",
        {"session_id": sent["session_id"], "ai_response": {"success": True, "response": "hi"}},
    ),
    "device_command": lambda sent: (
        "alicia/devices/lamp/response",
        {"command_id": sent["command_id"], "status": "completed"},
    ),
    "device_control": lambda sent: (
        "alicia/devices/lamp/response",
        {"command_id": sent["command_id"], "status": "completed"},
    ),
    "ha_state": lambda sent: (
        "alicia/devices/ha_light.a/status",
        {"entity_id": "light.a", "state": "on", "attributes": {}},
    ),
    "personality": lambda sent: ("alicia/personality/activated", {"personality_id": "p"}),
}


def test_every_preset_has_an_example():
    assert EXAMPLES.keys() == PRESETS.keys()
    assert {name for name, preset in PRESETS.items() if preset.reply_topic} == ANSWERS.keys()


def twice_wrapped(fields):
    """As the services of the bus answer that wrap what is wrapped."""
    inner = {"message_id": "i", "message_type": "response", "payload": fields}
    return {"message_id": "o", "source": "it", "routing": {"hops": 0}, "payload": inner}


@pytest.mark.parametrize("dialect", [dict, twice_wrapped])
@pytest.mark.parametrize("name", sorted(EXAMPLES))
async def test_a_preset_is_asked_and_answers_as_its_service_does(
    mosquitto, asking, bus_service, name, dialect
):
    data, target, topic = EXAMPLES[name]

    def script(fields, message):
        if name in ANSWERS:
            where, answer = ANSWERS[name](fields["payload"])
            yield where, dialect(answer)

    service = bus_service(mosquitto.port, topic, script)
    async with service, asking(mosquitto.port) as ask:
        result = await ask(preset=name, data=data, target=target)
    assert result["topic"] == topic
    assert ("answer" in result) is (name in ANSWERS)
    if name in ANSWERS:
        sent = json.loads(service.requests[0].payload)
        assert sent["source"] == "event_scheduler"
        assert data.items() <= sent["payload"].items()
        # Those who look at the top find the same, where the envelope has no such key.
        assert sent["payload"].items() <= sent.items()
        assert result["answer"] == ANSWERS[name](sent["payload"])[1]


@pytest.mark.parametrize("session", [None, "kitchen"])
async def test_a_conversation_goes_on_in_the_session_that_the_event_names(
    mosquitto, asking, bus_service, session
):
    def script(fields, message):
        yield ANSWERS["assistant"](fields["payload"])

    service = bus_service(mosquitto.port, "alicia/voice/ai/request", script)
    data = {"text": "x"} | ({"session_id": session} if session else {})
    async with service, asking(mosquitto.port) as ask:
        await ask(preset="assistant", data=data)
    sent = json.loads(service.requests[0].payload)["session_id"]
    assert sent == session or (session is None and len(sent) == 32)


async def test_a_preset_that_says_no_fails(mosquitto, asking, bus_service):
    def script(fields, message):
        yield (
            "alicia/voice/tts/response",
            {
                "session_id": fields["session_id"],
                "synthesis": {"success": False},
                "error": "no voice",
            },
        )

    async with (
        bus_service(mosquitto.port, "alicia/voice/tts/request", script),
        asking(mosquitto.port) as ask,
    ):
        with pytest.raises(Retryable, match="no voice"):
            await ask(preset="tts", data={"text": "x"})
