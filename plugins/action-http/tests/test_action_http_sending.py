"""What is sent, what is shown of it before, and what is never shown."""

import dataclasses
import json

import msgspec
import pytest

from alicia_action_http import HttpRequestConfig, alicia_action_types, preview_request
from alicia_action_http.faults import explained
from alicia_action_http.masking import Mask
from alicia_action_http.request import request_of
from alicia_scheduler.api import ConfigError, Permanent
from alicia_scheduler.testing.web import answer

TOKEN = "t0ken-of-the-house"
(KIND,) = alicia_action_types()


async def failure(action, execution, expected, **fields):
    with pytest.raises(expected) as raised:
        await action.run(HttpRequestConfig(**fields), execution)
    return raised.value


# -- the idempotency key ---------------------------------------------------------------------------


async def test_every_attempt_for_a_slot_has_the_same_key(serve, action, execution):
    server = serve(answer())
    config = HttpRequestConfig(url=server.url(), method="POST")
    again = msgspec.structs.replace(execution, retry_count=1, execution_id="x")
    for attempt in (execution, again):
        await action.run(config, attempt)
    first, second = (
        [line for line in head.split("\r\n") if line.lower().startswith("idempotency-key")]
        for head in server.heads
    )
    assert first == second != []
    assert execution.idempotency_key != again.idempotency_key


def test_another_slot_has_another_key(execution):
    from datetime import timedelta

    config = HttpRequestConfig(url="http://a/", method="POST")
    later = msgspec.structs.replace(
        execution, scheduled_time=execution.scheduled_time + timedelta(seconds=1)
    )
    keys = {request_of(config, one).headers["idempotency-key"] for one in (execution, later)}
    assert len(keys) == 2


# -- redirects -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    ["http://[::1", "http://xn--/", "http://a:99999/", "http://user@a/", "http://[v1.a]/", "//[/"],
)
async def test_a_redirect_to_what_is_no_url_fails_for_good(target, serve, action, execution):
    server = serve(answer("302 Found", b"", f"Location: {target}"))
    error = await failure(action, execution, Permanent, url=server.url(), follow_redirects=True)
    assert error.error_class == "redirects"


# -- what is never shown ---------------------------------------------------------------------------


def test_a_repr_shows_no_header_query_or_body():
    config = HttpRequestConfig(
        url=f"https://example.org/a?token={TOKEN}",
        method="POST",
        headers={"X-Odd": TOKEN},
        query={"a": TOKEN},
        body=TOKEN,
    )
    assert repr(config) == "HttpRequestConfig(POST https://example.org/a)"


@pytest.mark.parametrize("value", [f" {TOKEN}", f"{TOKEN} ", f"{TOKEN}\n", f"{TOKEN}\x7f"])
def test_a_header_that_http_cannot_carry_is_refused_and_not_quoted(value):
    with pytest.raises(ConfigError) as raised:
        HttpRequestConfig(url="http://a/", headers={"X-Odd": value})
    assert raised.value.path == ("headers", "X-Odd")
    assert TOKEN not in str(raised.value)


def test_a_header_is_written_once():
    with pytest.raises(ConfigError):
        HttpRequestConfig(url="http://a/", headers={"X-A": "1", "x-a": "2"})


def test_what_the_library_refuses_to_send_is_not_quoted():
    import httpcore

    with pytest.raises(Permanent) as raised, explained("a", Mask()):
        raise httpcore.LocalProtocolError(f"Illegal header value b'{TOKEN}'")
    assert TOKEN not in str(raised.value)


# -- the preview -----------------------------------------------------------------------------------


def test_a_preview_shows_what_would_be_sent(execution):
    config = HttpRequestConfig(
        url=f"https://example.org/lamp?token={TOKEN}",
        method="PUT",
        query={"room": "kitchen"},
        headers={"Authorization": f"Bearer {TOKEN}", "X-Short": "abc", "Accept": "text/plain"},
        json={"state": "ON", "say": TOKEN},
    )
    shown = preview_request(config, execution)
    assert shown["method"] == "PUT"
    assert shown["url"] == "https://example.org/lamp?token=***&room=kitchen"
    assert shown["headers"]["authorization"] == shown["headers"]["x-short"] == "***"
    assert shown["headers"]["accept"] == "text/plain"
    assert shown["headers"]["content-type"] == "application/json"
    assert shown["headers"]["idempotency-key"].startswith(execution.event_id)
    assert json.loads(shown["body"]) == {"state": "ON", "say": "***"}
    assert TOKEN not in json.dumps(shown)


def test_a_preview_of_a_request_without_body_has_none(execution):
    assert preview_request(HttpRequestConfig(url="http://a/"), execution)["body"] is None


def test_a_preview_of_what_cannot_be_sent_says_so(execution):
    config = HttpRequestConfig(url="http://a/", method="POST", body="\ud800")
    with pytest.raises(Permanent):
        preview_request(config, execution)


def test_the_type_offers_preview_check_and_a_minute():
    assert dataclasses.is_dataclass(KIND)
    assert KIND.preview is preview_request
    assert KIND.check is not None
    assert KIND.default_timeout == 60


@pytest.mark.parametrize("size", [-1, 8 * 1024 * 1024 + 1])
def test_no_answer_is_larger_than_8_mib(size):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"url": "http://a/", "max_response": size}, HttpRequestConfig)
