"""What is made of answers that are long, odd, packed, broken, or say back what they were told."""

import gzip
import json
import logging
import time
import zlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alicia_action_http import HttpRequestConfig
from alicia_action_http.answer import Answer
from alicia_action_http.charsets import PLAIN, decoded
from alicia_action_http.expectation import BodyCheck, JsonCheck
from alicia_action_http.masking import Mask
from alicia_action_http.unpacking import NotUnpacked, unpacked
from alicia_scheduler.api import Permanent, Retryable
from alicia_scheduler.kernel.attempt import RESULT_LIMIT
from alicia_scheduler.testing.web import answer

TOKEN = "t0ken-of-the-house"


async def failure(action, execution, expected, **fields):
    with pytest.raises(expected) as raised:
        await action.run(HttpRequestConfig(**fields), execution)
    return raised.value


def busy_with(rest):
    """A script that is busy, and then sends more than anybody wants."""

    def script(connection, _line):
        connection.sendall(b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\n" + rest)
        while True:
            connection.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")

    return script


# -- the status comes first ------------------------------------------------------------------------


async def test_an_endless_body_does_not_hide_the_status(serve, action, execution):
    server = serve(busy_with(b"Transfer-Encoding: chunked\r\n\r\n"))
    error = await failure(action, execution, Retryable, url=server.url(), max_response=10**5)
    assert (error.error_class, error.after) == ("http_503", 7)


async def test_a_body_that_never_comes_does_not_hide_the_status(
    serve, action, execution, monkeypatch
):
    monkeypatch.setattr("alicia_action_http.answer.ERROR_TIME", 0.1)

    def script(connection, _line):
        connection.sendall(b"HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 9\r\n\r\nhalf")
        time.sleep(5)

    error = await failure(action, execution, Retryable, url=serve(script).url())
    assert (error.error_class, error.after) == ("http_429", 7)
    assert "half" in str(error)


@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Length: 100\r\n\r\nhalf",
        b"Transfer-Encoding: chunked\r\n\r\nno chunk\r\n",
        b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\nhalf",
    ],
)
async def test_a_broken_body_does_not_hide_the_status(rest, serve, action, execution):
    def script(connection, _line):
        connection.sendall(b"HTTP/1.1 404 No\r\n" + rest)
        connection.close()
        raise OSError

    error = await failure(action, execution, Permanent, url=serve(script).url())
    assert error.error_class == "http_404"


async def test_a_bomb_does_not_hide_the_status(serve, action, execution):
    bomb = gzip.compress(b"\0" * 50_000_000)
    server = serve(answer("500 Oh", bomb, "Content-Encoding: gzip"))
    error = await failure(action, execution, Retryable, url=server.url())
    assert error.error_class == "http_500"


async def test_a_short_error_leaves_the_connection_open(serve, action, execution):
    connections = set()
    reply = answer("404 No", b"sorry")

    def script(connection, line):
        connections.add(connection)
        reply(connection, line)

    server = serve(script)
    for _ in range(2):
        await failure(action, execution, Permanent, url=server.url())
    assert len(connections) == 1


# -- packing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gzip", "deflate"])
async def test_a_packed_body_that_ends_too_soon_is_not_taken_for_whole(
    name, serve, action, execution
):
    packed = (gzip.compress if name == "gzip" else zlib.compress)(b"hello " * 1000)[:-9]
    server = serve(answer("200 OK", packed, f"Content-Encoding: {name}"))
    error = await failure(action, execution, Retryable, url=server.url())
    assert error.error_class == "protocol"


def test_gzip_in_several_pieces_is_read_to_the_end():
    packed = gzip.compress(b"one ") + gzip.compress(b"two") + b"\0\0"
    assert unpacked(packed, 100, whole=True) == b"one two"


@given(st.binary(max_size=2000), st.integers(0, 100))
def test_whatever_is_packed_is_unpacked_or_refused(body, limit):
    for packed in (gzip.compress(body), zlib.compress(body), zlib.compress(body)[2:-4]):
        assert unpacked(packed, limit, whole=True) == body[: limit + 1]
    try:
        assert len(unpacked(body, limit, whole=True)) <= limit + 1
    except NotUnpacked:
        assert len(unpacked(body, limit, whole=False)) <= limit + 1


# -- text and size ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("charset", "body", "text"),
    [
        ("iso-8859-1", b"gr\xfc\xdfe", "grüße"),
        ('"Shift_JIS"', "猫".encode("shift_jis"), "猫"),
        ("idna", "grüße".encode(), "grüße"),
        ("unicode_escape", b"\\x41", "\\x41"),
        ("rot13", b"abc", "abc"),
        ("punycode", b"abc-", "abc-"),
        ("../x", b"abc", "abc"),
    ],
)
async def test_only_charsets_of_text_are_taken(charset, body, text, serve, action, execution):
    server = serve(answer("200 OK", body, f"Content-Type: text/plain; charset={charset}"))
    assert (await action.run(HttpRequestConfig(url=server.url()), execution))["body"] == text


@given(st.binary(max_size=200))
def test_any_bytes_are_text_in_any_charset(body):
    for charset in PLAIN:
        decoded(body, f"text/plain; charset={charset}").encode()


@pytest.mark.parametrize("kind", ["text/plain", "application/json", "text/plain; charset=utf-16"])
@pytest.mark.parametrize(
    "body",
    [
        b"\0" * 100_000,
        b"\0" * 16_000,
        "😀".encode() * 25_000,
        b"[" + b"1e15," * 3000 + b"1]",
        b'["' + rb"\u0001" * 2500 + b'"]',
        b"[" * 16_000,
        b"9" * 16_000,
        b'"\\ud800"',
    ],
)
async def test_a_result_is_never_so_long_that_the_host_cuts_it(
    body, kind, serve, action, execution
):
    fillers = [f"{name}: {'ÿ' * 600}" for name in ("ETag", "Last-Modified", "Location", "Date")]
    server = serve(answer("200 OK", body, f"Content-Type: {kind}", *fillers))
    config = HttpRequestConfig(url=server.url("/" + "a" * 30_000))
    result = await action.run(config, execution)
    assert len(msgspec.json.encode(result)) < RESULT_LIMIT
    assert result["size"] == len(body)


@given(st.binary(max_size=40_000), st.sampled_from(["application/json", "text/plain", "x/y"]))
def test_whatever_the_bytes_are_the_result_fits(body, kind):
    import httpx

    found = Answer(200, "", "http://a/", httpx.Headers({"content-type": kind}), body, Mask())
    assert len(msgspec.json.encode(found.result(1.0))) < RESULT_LIMIT


async def test_a_large_body_is_not_read_as_json(serve, action, execution):
    server = serve(answer(body=b"[" + b"1," * 300_000 + b"1]"))
    check = BodyCheck(json=JsonCheck(path="[0]", equals=1))
    error = await failure(action, execution, Permanent, url=server.url(), expect_body=check)
    assert "too many to be read as JSON" in str(error)


# -- what we told in confidence --------------------------------------------------------------------


HEADERS = {
    "Authorization": f"Bearer {TOKEN}",
    "X-Api-Key": 'key"with\\odd/signs',
    "Cookie": "a=1; session=cookie-of-the-house",
}
TOLD = (TOKEN, 'key"with\\odd/signs', "cookie-of-the-house")


def echo(status, kind, make):
    """A server that says back what it was told."""

    def script(connection, _line):
        body = make().encode()
        head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nETag: {TOKEN}\r\n"
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)

    return script


def shown_in(text):
    escaped = [json.dumps(value)[1:-1] for value in TOLD]
    return [value for value in (*TOLD, *escaped, "odd/signs", "odd\\/signs") if value in text]


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        ("text/plain", lambda: f"you said {' '.join(TOLD)}"),
        ("application/json", lambda: json.dumps({"headers": HEADERS, TOKEN: [TOKEN]})),
        ("text/plain", lambda: json.dumps(HEADERS).replace("/", "\\/")),
        ("text/plain", lambda: "x" * (16 * 1024 - 9) + TOKEN + "y" * 100_000),
        ("text/plain", lambda: "x" * (16 * 1024 + 4) + TOKEN),
    ],
)
@pytest.mark.parametrize("status", ["200 OK", "500 Oh", "404 No"])
async def test_what_a_server_echoes_is_masked(status, kind, make, serve, action, execution):
    server = serve(echo(status, kind, make))
    config = HttpRequestConfig(url=server.url(), headers=HEADERS)
    try:
        said = json.dumps(await action.run(config, execution))
    except (Retryable, Permanent) as error:
        said = str(error)
    assert TOKEN[:9] not in said
    assert shown_in(said) == []


async def test_a_value_that_an_end_cuts_through_is_masked(serve, action, execution):
    for cut in range(1, len(TOKEN)):
        server = serve(answer("500 Oh", f"{'x' * 40} {TOKEN}".encode()))
        fields = {"url": server.url(), "headers": HEADERS, "max_response": 41 + cut}
        error = await failure(action, execution, Retryable, **fields)
        assert "xx" in str(error)
        assert TOKEN[:1] not in str(error).rpartition("xx")[2]
        server.close()


@pytest.mark.parametrize("status", ["200 OK", f"404 {TOKEN}"])
async def test_what_is_said_against_an_answer_is_masked(status, serve, action, execution):
    server = serve(answer(status, json.dumps({"a": "x" * 95 + TOKEN}).encode()))
    fields = {
        "url": server.url(),
        "headers": HEADERS,
        "expect_body": BodyCheck(json=JsonCheck(path="a", equals="b")),
    }
    error = await failure(action, execution, Permanent, **fields)
    assert TOKEN[:4] not in str(error)


async def test_an_answer_that_is_no_http_is_masked(serve, action, execution):
    def script(connection, _line):
        connection.sendall(f"HTTP/1.1 {TOKEN}\r\n\r\n".encode())

    error = await failure(action, execution, Retryable, url=serve(script).url(), headers=HEADERS)
    assert error.error_class == "protocol"
    assert TOKEN not in str(error)


async def test_a_basic_password_is_masked_also_without_its_packing(serve, action, execution):
    import base64

    basic = base64.b64encode(b"user:password-of-the-house").decode()
    server = serve(answer(body=f"{basic} password-of-the-house".encode()))
    config = HttpRequestConfig(url=server.url(), headers={"Authorization": f"Basic {basic}"})
    assert (await action.run(config, execution))["body"] == "*** ***"


async def test_a_secret_parameter_of_the_url_is_masked_and_others_are_not(serve, action, execution):
    server = serve(answer(body=f"{TOKEN} in Frankfurt".encode()))
    config = HttpRequestConfig(url=server.url(f"/?token={TOKEN}"), query={"city": "Frankfurt"})
    assert (await action.run(config, execution))["body"] == "*** in Frankfurt"


async def test_harmless_headers_are_not_masked(serve, action, execution):
    server = serve(answer("200 OK", b"{}", "Content-Type: application/json"))
    config = HttpRequestConfig(url=server.url(), headers={"Accept": "application/json"})
    result = await action.run(config, execution)
    assert result["headers"]["content-type"] == "application/json"


async def test_a_location_is_kept_without_its_secrets(serve, action, execution):
    target = "Location: https://user:pw@example.org/there?code=abc#d"
    server = serve(answer("302 Found", b"", target))
    config = HttpRequestConfig(url=server.url(), expect_status=(302,))
    result = await action.run(config, execution)
    assert result["headers"]["location"] == "https://example.org/there"


async def test_the_libraries_log_no_heads(serve, action, execution, caplog):
    server = serve(answer("200 OK", b"", f"Set-Cookie: s={TOKEN}"))
    with caplog.at_level(logging.DEBUG):
        await action.run(HttpRequestConfig(url=server.url()), execution)
    assert TOKEN not in caplog.text


@given(st.text("ab", min_size=8, max_size=12), st.text("ab", max_size=60), st.integers(0, 40))
def test_no_value_is_left_whole_in_an_excerpt(value, text, length):
    shown = Mask([value]).excerpt(text, length)
    assert len(shown) <= length
    assert value not in shown
