"""Calls to a scripted Home Assistant over a real socket, and connections that break any time."""

import contextlib
import logging
import ssl

import pytest
import trio
import trustme

from alicia_action_service.home_assistant import session
from alicia_scheduler.api import Permanent, Retryable
from alicia_scheduler.testing.mosquitto import free_port
from alicia_scheduler.testing.web import WebServer, answer


async def test_a_call_carries_service_data_and_target(home, calling):
    async with calling(home) as call:
        result = await call(
            data={"brightness_pct": 40}, target={"area_id": "living", "entity_id": ("light.a",)}
        )
    [sent] = home.calls
    assert sent == {
        "id": 1,
        "type": "call_service",
        "domain": "light",
        "service": "turn_on",
        "service_data": {"brightness_pct": 40},
        "target": {"area_id": "living", "entity_id": ["light.a"]},
    }
    assert result == {
        "via": "home_assistant",
        "service": "light.turn_on",
        "context_id": "c-1",
        "response": None,
    }


async def test_the_response_of_a_service_is_the_result(home, calling):
    home.on_call = lambda talk, command: talk.answer(command, {"forecast": [1, 2]})
    async with calling(home) as call:
        result = await call("weather.get_forecasts", return_response=True)
    assert home.calls[0]["return_response"] is True
    assert result["response"] == {"forecast": [1, 2]}


async def test_many_calls_at_once_have_rising_ids_and_each_its_own_answer(home, calling):
    waiting = []

    async def answer_all_in_one_frame(talk, command):
        waiting.append(command)
        if len(waiting) == 50:
            await talk.say(
                [
                    {
                        "id": each["id"],
                        "type": "result",
                        "success": True,
                        "result": {"response": each["service_data"]},
                    }
                    for each in reversed(waiting)
                ]
            )

    home.on_call = answer_all_in_one_frame
    answers = {}

    async def one(number):
        answers[number] = (await call(data={"n": number}))["response"]

    async with calling(home) as call, trio.open_nursery() as nursery:
        for number in range(50):
            nursery.start_soon(one, number)
    assert [command["id"] for command in home.calls] == list(range(1, 51))
    assert answers == {number: {"n": number} for number in range(50)}


# -- the connection breaks -------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["connected", "hello", "auth", "let in"])
async def test_a_drop_in_any_phase_is_followed_by_another_attempt(
    home, calling, drop, until, phase
):
    home.at[phase] = drop
    async with calling(home) as call:
        await until(lambda: len(home.talks) >= 3)
        del home.at[phase]
        done = False
        with trio.fail_after(60):
            while not done:
                # One that is sent before the end of its session is known fails for good.
                with contextlib.suppress(Retryable, Permanent):
                    await call()
                    done = True
                await trio.sleep(0.01)
    assert len(home.calls) == 1


@pytest.mark.parametrize(
    "words",
    [["no json"], [{"type": "hello"}], [[1, 2]], [{"type": "auth_required"}, {"type": "x"}]],
)
async def test_what_is_not_home_assistant_is_left(home, calling, until, words):
    async def speak(talk):
        for word in words:
            await talk.say(word)

    home.at["hello"] = speak
    async with calling(home) as call:
        await until(lambda: len(home.talks) >= 3)
        with pytest.raises(Retryable) as failure:
            await call()
    assert failure.value.error_class == "connection"
    assert home.calls == []


async def test_a_result_that_got_lost_is_an_unknown_outcome(home, calling, drop, until):
    home.on_call = drop
    async with calling(home) as call:
        with pytest.raises(Permanent, match="nobody knows") as failure:
            await call()
        assert failure.value.error_class == "unknown_outcome"
        await until(lambda: len(home.talks) >= 2 and call.connection.connected)
    assert len(home.calls) == 1


async def test_a_lost_result_may_be_tried_again_where_the_event_says_so(home, calling, drop):
    home.on_call = drop
    async with calling(home) as call:
        with pytest.raises(Retryable) as failure:
            await call(idempotent=True)
    assert failure.value.error_class == "unknown_outcome"


async def test_calls_that_wait_behind_a_full_socket_were_not_sent(home, calling):
    stopped = trio.Event()

    async def read_no_more(talk):
        stopped.set()
        await trio.sleep_forever()

    home.at["let in"] = read_no_more
    classes = []

    async def one(data):
        with pytest.raises((Permanent, Retryable)) as failure:
            await call(data=data)
        classes.append(failure.value.error_class)
        assert (type(failure.value) is Permanent) is (classes[-1] == "unknown_outcome")

    async with calling(home) as call:
        await stopped.wait()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one, {"n": 1})
            await trio.testing.wait_all_tasks_blocked(0.05)
            for _ in range(40):
                nursery.start_soon(one, {"x": "x" * 900_000})
            await trio.testing.wait_all_tasks_blocked(0.2)
            await trio.aclose_forcefully(home.talks[-1].stream)
    assert set(classes) == {"unknown_outcome", "connection"}
    assert len(classes) == 41


async def test_without_home_assistant_a_call_fails_at_once_and_may_be_tried_again(home, calling):
    home.port = free_port()
    async with calling(home) as call:
        with pytest.raises(Retryable, match="no connection to Home Assistant") as failure:
            await call()
    assert failure.value.error_class == "connection"


async def test_ids_begin_anew_on_a_new_connection(home, calling, drop, until):
    async with calling(home) as call:
        await call()
        await call()
        home.on_call = drop
        with pytest.raises(Permanent):
            await call()
        home.on_call = lambda talk, command: talk.answer(command)
        await until(lambda: call.connection.connected)
        await call()
    assert [[each["id"] for each in talk.commands] for talk in home.talks] == [[1, 2, 3], [1]]


async def test_a_home_assistant_that_falls_silent_is_left(home, calling, monkeypatch, until):
    monkeypatch.setattr(session, "PONG_WITHIN", 0.1)
    home.pongs = False
    async with calling(home, keepalive=0.1) as call:
        await until(lambda: len(home.talks) >= 2)
        home.pongs = True
        await until(lambda: call.connection.connected)
        await call()


async def test_a_pong_keeps_the_connection(home, calling, monkeypatch, until):
    monkeypatch.setattr(session, "PONG_WITHIN", 5)
    async with calling(home, keepalive=0.02) as call:
        await until(lambda: len(home.talks[0].commands) >= 5)
        await call()
    assert len(home.talks) == 1


async def test_the_log_has_a_line_when_it_goes_and_one_when_it_is_back(
    home, calling, drop, until, caplog
):
    caplog.set_level(logging.INFO)
    home.at["hello"] = drop
    async with calling(home) as call:
        await until(lambda: len(home.talks) >= 4)
        del home.at["hello"]
        await until(lambda: call.connection.connected)
    lines = [line.getMessage() for line in caplog.records if "Home Assistant" in line.getMessage()]
    assert len(lines) == 2
    assert "no connection to Home Assistant at 127.0.0.1: it closed the connection" in lines[0] or (
        "broke" in lines[0]
    )
    assert "connected to Home Assistant 2026.8.1" in lines[1]


# -- the token -------------------------------------------------------------------------------


async def test_a_refused_token_is_told_and_not_tried_again(home, calling, until, caplog):
    async with calling(home, token="wrong-canary") as call:
        await until(lambda: home.tokens)
        with pytest.raises(Permanent, match="Invalid access token") as failure:
            await call()
        assert failure.value.error_class == "auth_invalid"
        await trio.sleep(0.3)  # ten times the wait before another attempt
    assert home.tokens == ["wrong-canary"]
    assert len(home.talks) == 1
    assert "refuses the token" in caplog.text
    assert "canary" not in caplog.text + str(failure.value)


def test_the_token_is_never_shown():
    from alicia_action_service import HomeAssistantConfig

    config = HomeAssistantConfig(url="http://x", token="canary")
    assert "canary" not in f"{config!r}{config}"


# -- answers that say no, or do not come -----------------------------------------------------


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("home_assistant_error", Retryable),
        ("unknown_error", Retryable),
        ("timeout", Retryable),
        ("service_validation_error", Permanent),
        ("not_found", Permanent),
        ("not_supported", Permanent),
        ("invalid_format", Permanent),
        ("unauthorized", Permanent),
        ("a_code_of_tomorrow", Permanent),
    ],
)
async def test_a_refusal_has_the_class_of_its_code(home, calling, code, kind):
    home.on_call = lambda talk, command: talk.refuse(command, code, "the lamp is gone")
    async with calling(home) as call:
        with pytest.raises(kind, match="the lamp is gone") as failure:
            await call()
    assert failure.value.error_class == code


async def test_a_refusal_without_words_is_one_too(home, calling):
    home.on_call = lambda talk, command: talk.say({"id": command["id"], "type": "result"})
    async with calling(home) as call:
        with pytest.raises(Retryable) as failure:
            await call()
    assert failure.value.error_class == "unknown_error"


async def test_an_answer_that_comes_too_late_is_passed_over(home, calling, until):
    late = []

    async def keep(talk, command):
        late.append((talk, command))

    home.on_call = keep
    async with calling(home) as call:
        with pytest.raises(Permanent, match="did not answer in time") as failure:
            await call(answer_timeout=1)
        assert failure.value.error_class == "unknown_outcome"

        async def answer_both(talk, command):
            await talk.answer(late[0][1], "late")
            await talk.answer(command, "mine")

        home.on_call = answer_both
        assert (await call())["response"] == "mine"
    assert len(home.talks) == 1


async def test_the_outcome_is_told_before_the_attempt_times_out(home, calling):
    async def silence(talk, command):
        pass

    home.on_call = silence
    async with calling(home) as call:
        with trio.move_on_after(5) as attempt, pytest.raises(Permanent) as failure:
            await call(answer_timeout=30)
    assert not attempt.cancelled_caught
    assert failure.value.error_class == "unknown_outcome"


async def test_a_cancelled_call_disturbs_no_other(home, calling):
    async def silence(talk, command):
        pass

    home.on_call = silence
    async with calling(home) as call:
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(call)
            await trio.testing.wait_all_tasks_blocked(0.05)
            nursery.cancel_scope.cancel()
        home.on_call = lambda talk, command: talk.answer(command, "here")
        assert (await call())["response"] == "here"
    assert len(home.talks) == 1


@pytest.mark.parametrize(
    "noise",
    [
        {"id": 99, "type": "result", "success": True},
        {"id": None, "type": "result", "success": False},
        {"id": "1", "type": "result"},
        {"id": 1, "type": "event", "event": {}},
        [],
        [1, None, "x"],
        7,
    ],
)
async def test_messages_that_answer_nothing_are_passed_over(home, calling, noise):
    async def noisy(talk, command):
        await talk.say(noise)
        await talk.answer(command, "mine")

    home.on_call = noisy
    async with calling(home) as call:
        assert (await call())["response"] == "mine"


# -- the way there ---------------------------------------------------------------------------


async def test_a_certificate_is_checked_against_the_given_authority(
    home, calling, nursery, tmp_path, until
):
    authority = trustme.CA()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    ours = tmp_path / "ours.pem"
    authority.cert_pem.write_to_path(str(ours))
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    secure = type(home)()

    async def serve(*, task_status):
        await secure.serve(task_status=task_status, tls=tls)

    scope = await nursery.start(serve)
    url = f"wss://127.0.0.1:{secure.port}"
    async with calling(secure, url=url, ca_file=str(ours)) as call:
        await until(lambda: call.connection.connected)
        await call()
    async with calling(secure, url=url, ca_file=str(other)) as call:
        with pytest.raises(Retryable, match="certificate") as failure:
            await call()
    assert failure.value.error_class == "connection"
    async with calling(secure, url=url, verify=False) as call:
        await until(lambda: call.connection.connected)
        await call()
    scope.cancel()


async def test_a_web_server_that_opens_no_websocket_is_named(home, calling):
    server = WebServer(answer("404 Not Found"))
    try:
        async with calling(home, url=server.url()) as call:
            with pytest.raises(Retryable, match="HTTP 404") as failure:
                await call()
    finally:
        server.close()
    assert failure.value.error_class == "connection"
