"""Requests against a real server that answers well, badly, slowly, endlessly or not at all."""

import gzip
import json
import logging
import socket
import ssl
import threading
import time
import zlib
from datetime import UTC, datetime

import pytest
import trio
import trustme

from alicia_action_http import HttpRequestConfig
from alicia_action_http.expectation import BodyCheck, JsonCheck
from alicia_action_http.faults import retry_after
from alicia_scheduler.api import Permanent, Retryable
from alicia_scheduler.testing.web import answer


async def failure(action, execution, expected, **fields):
    with pytest.raises(expected) as raised:
        await action.run(HttpRequestConfig(**fields), execution)
    return raised.value


# -- what is sent ----------------------------------------------------------------------------


async def test_a_request_carries_method_query_headers_and_json(serve, action, execution):
    server = serve(answer(body=b"{}"))
    config = HttpRequestConfig(
        url=server.url("/lamp?a=1"),
        method="POST",
        query={"b": 2},
        headers={"X-Api-Key": "geheim"},
        json={"state": "ON"},
    )
    await action.run(config, execution)
    head = server.heads[0]
    assert head.startswith("POST /lamp?a=1&b=2 HTTP/1.1")
    assert "x-api-key: geheim" in head.lower()
    assert json.loads(server.bodies[0]) == {"state": "ON"}


@pytest.mark.parametrize(
    ("content", "sent", "kind"),
    [
        ({"form": {"a": "ä", "b": "2"}}, b"a=%C3%A4&b=2", "application/x-www-form-urlencoded"),
        ({"body": "grüße"}, "grüße".encode(), None),
        ({"json": None}, b"null", "application/json"),
    ],
)
async def test_a_body_is_sent_as_form_text_or_json(content, sent, kind, serve, action, execution):
    server = serve(answer())
    await action.run(HttpRequestConfig(url=server.url(), method="PUT", **content), execution)
    assert server.bodies == [sent]
    assert kind is None or f"content-type: {kind}" in server.heads[0].lower()


async def test_requests_to_one_server_share_a_connection(serve, action, execution):
    connections = []
    reply = answer(body=b"ok")

    def script(connection, line):
        connections.append(connection)
        reply(connection, line)

    server = serve(script)
    for _ in range(3):
        await action.run(HttpRequestConfig(url=server.url()), execution)
    assert len(set(connections)) == 1


# -- what the result keeps -----------------------------------------------------------------------


async def test_the_result_keeps_status_json_and_harmless_headers(serve, action, execution):
    server = serve(
        answer("201 Made", b'{"id": 7}', "Content-Type: application/json", "Set-Cookie: s=geheim")
    )
    result = await action.run(HttpRequestConfig(url=server.url("/a?token=geheim")), execution)
    assert (result["status"], result["json"], result["size"]) == (201, {"id": 7}, 9)
    assert result["headers"] == {"content-length": "9", "content-type": "application/json"}
    assert result["url"] == server.url("/a")
    assert "geheim" not in json.dumps(result)


async def test_a_long_body_is_kept_in_short(serve, action, execution):
    server = serve(answer(body=b"x" * 100_000))
    result = await action.run(HttpRequestConfig(url=server.url()), execution)
    assert (len(result["body"]), result["cut"], result["size"]) == (16 * 1024, True, 100_000)


async def test_a_body_that_is_no_text_does_no_harm(serve, action, execution):
    server = serve(answer("200 OK", bytes(range(256)), "Content-Type: application/json; charset=x"))
    result = await action.run(HttpRequestConfig(url=server.url()), execution)
    json.dumps(result)
    assert result["size"] == 256


# -- what is expected ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "expected"), [("404 Not Found", (404,)), ("302 Found", ("3xx",)), ("204 x", (204,))]
)
async def test_an_expected_status_is_success(status, expected, serve, action, execution):
    server = serve(answer(status))
    config = HttpRequestConfig(url=server.url(), expect_status=expected)
    assert (await action.run(config, execution))["status"] == int(status[:3])


@pytest.mark.parametrize("status", ["400 No", "401 No", "404 No", "302 Found"])
async def test_any_other_status_fails_for_good(status, serve, action, execution):
    server = serve(answer(status, b"sorry"))
    error = await failure(action, execution, Permanent, url=server.url())
    assert error.error_class == f"http_{status[:3]}"
    assert "sorry" in str(error)


@pytest.mark.parametrize("status", ["408 x", "425 x", "429 x", "500 x", "502 x", "503 x"])
async def test_a_status_that_may_pass_is_tried_again(status, serve, action, execution):
    server = serve(answer(status))
    error = await failure(action, execution, Retryable, url=server.url())
    assert (error.error_class, error.after) == (f"http_{status[:3]}", None)


async def test_retry_after_is_honoured(serve, action, execution):
    server = serve(answer("503 Busy", b"", "Retry-After: 120"))
    error = await failure(action, execution, Retryable, url=server.url())
    assert error.after == 120


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("1" * 400, 111111111.0),
        ("Sun, 01 Mar 2026 12:00:00 +99999999999999", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value, seconds):
    assert retry_after(value, datetime(2026, 3, 1, 12, tzinfo=UTC)) == seconds


@pytest.mark.parametrize(
    ("check", "complaint"),
    [
        (BodyCheck(contains="dark"), "does not contain 'dark'"),
        (BodyCheck(matches="^lamp$"), "does not match"),
        (BodyCheck(json=JsonCheck(path="lamp.level")), "has nothing at 'lamp.level'"),
        (BodyCheck(json=JsonCheck(path="lamp.on", equals=False)), "lamp.on is true, not false"),
        (BodyCheck(json=JsonCheck(path="lamp.on", equals=1)), "lamp.on is true, not 1"),
    ],
)
async def test_a_body_that_is_not_as_expected_fails_for_good(
    check, complaint, serve, action, execution
):
    server = serve(answer(body=b'{"lamp": {"on": true}}'))
    error = await failure(action, execution, Permanent, url=server.url(), expect_body=check)
    assert complaint in str(error)
    assert error.error_class == "unexpected_body"


async def test_a_body_that_is_as_expected_is_success(serve, action, execution):
    server = serve(answer(body=b'{"lamp": {"on": true}}'))
    check = BodyCheck(contains="lamp", matches="o.", json=JsonCheck(path="lamp.on", equals=True))
    await action.run(HttpRequestConfig(url=server.url(), expect_body=check), execution)


async def test_a_regular_expression_without_end_is_ended(serve, action, execution):
    server = serve(answer(body=b"a" * 5000 + b"b"))
    check = BodyCheck(matches="(a+)+(a+)+c")
    error = await failure(action, execution, Permanent, url=server.url(), expect_body=check)
    assert error.error_class in ("regex", "unexpected_body")


# -- servers that misbehave ----------------------------------------------------------------------


async def test_a_server_that_is_not_there_is_tried_again(serve, action, execution):
    server = serve(answer())
    server.close()
    error = await failure(action, execution, Retryable, url=server.url())
    assert error.error_class == "connection"
    assert "Connection refused" in str(error)


async def test_a_name_that_nobody_has_is_tried_again(action, execution):
    error = await failure(action, execution, Retryable, url="http://nowhere.invalid/")
    assert error.error_class == "connection"


def close_at_once(connection, _line):
    connection.close()
    raise OSError


def close_in_the_body(connection, _line):
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    close_at_once(connection, _line)


def speak_no_http(connection, _line):
    connection.sendall(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")
    close_at_once(connection, _line)


def send_endless_headers(connection, _line):
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    for number in range(200_000):
        connection.sendall(f"X-{number}: y\r\n".encode())


@pytest.mark.parametrize(
    "script", [close_at_once, close_in_the_body, speak_no_http, send_endless_headers]
)
async def test_a_broken_answer_is_tried_again(script, serve, action, execution):
    error = await failure(action, execution, Retryable, url=serve(script).url())
    assert error.error_class in ("connection", "protocol")


async def test_a_server_that_says_nothing_is_given_up(serve, action, execution):
    server = serve(lambda _connection, _line: time.sleep(5))
    error = await failure(action, execution, Retryable, url=server.url(), read_timeout=0.2)
    assert error.error_class == "timeout"


async def test_a_drip_ends_with_the_time_out_of_the_event(serve, action, execution):
    def drip(connection, _line):
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(100):
            connection.sendall(b"x")
            time.sleep(0.05)

    config = HttpRequestConfig(url=serve(drip).url(), read_timeout=10)
    with trio.move_on_after(0.5) as scope:
        await action.run(config, execution)
    assert scope.cancelled_caught


def endless(connection, _line):
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"10000\r\n" + b"x" * 65536 + b"\r\n")


async def test_an_endless_body_is_cut_off(serve, action, execution):
    server = serve(endless)
    error = await failure(action, execution, Permanent, url=server.url(), max_response=10**6)
    assert error.error_class == "too_large"


async def test_a_body_that_unpacks_to_too_much_is_cut_off(serve, action, execution):
    bomb = gzip.compress(b"\0" * 50_000_000)
    server = serve(answer("200 OK", bomb, "Content-Encoding: gzip"))
    error = await failure(action, execution, Permanent, url=server.url())
    assert error.error_class == "too_large"


async def test_after_any_fault_the_next_request_works(serve, action, execution):
    broken, sound = serve(endless), serve(answer(body=b"ok"))
    await failure(action, execution, Permanent, url=broken.url(), max_response=10)
    assert (await action.run(HttpRequestConfig(url=sound.url()), execution))["body"] == "ok"


# -- redirects -----------------------------------------------------------------------------------

SECRETS = {"Authorization": "Bearer geheim", "X-Api-Key": "geheim", "Cookie": "s=geheim"}


def to(target, status="302 Found"):
    return answer(status, b"", f"Location: {target}")


async def test_redirects_are_not_followed_unless_told(serve, action, execution):
    server = serve(to("/other"))
    error = await failure(action, execution, Permanent, url=server.url())
    assert error.error_class == "http_302"
    assert len(server.heads) == 1


async def test_a_redirect_to_another_origin_carries_no_header_of_ours(serve, action, execution):
    other = serve(answer(body=b"there"))
    server = serve(to(other.url()))
    config = HttpRequestConfig(url=server.url(), follow_redirects=True, headers=SECRETS)
    assert (await action.run(config, execution))["body"] == "there"
    assert "geheim" in server.heads[0]
    assert "geheim" not in other.heads[0]


async def test_a_redirect_within_the_origin_keeps_them(serve, action, execution):
    def script(connection, line):
        (to("/b") if line.startswith("GET /a") else answer(body=b"b"))(connection, line)

    server = serve(script)
    config = HttpRequestConfig(url=server.url("/a"), follow_redirects=True, headers=SECRETS)
    assert (await action.run(config, execution))["body"] == "b"
    assert all("geheim" in head for head in server.heads)


async def test_a_loop_of_redirects_ends(serve, action, execution):
    server = serve(to("/again"))
    error = await failure(action, execution, Permanent, url=server.url(), follow_redirects=True)
    assert error.error_class == "redirects"
    assert len(server.heads) == 6


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://a/", "http://", "//"])
async def test_a_redirect_to_something_else_than_the_web_is_refused(
    target, serve, action, execution
):
    server = serve(to(target))
    error = await failure(action, execution, Permanent, url=server.url(), follow_redirects=True)
    assert error.error_class == "redirects"


async def test_a_body_is_not_sent_on_to_another_origin(serve, action, execution):
    other = serve(answer())
    server = serve(to(other.url(), "307 Temporary"))
    fields = {"method": "POST", "body": "geheim", "follow_redirects": True}
    error = await failure(action, execution, Permanent, url=server.url(), **fields)
    assert error.error_class == "redirects"
    assert other.heads == []


async def test_a_see_other_after_a_post_is_got(serve, action, execution):
    def script(connection, line):
        (to("/b", "303 See") if line.startswith("POST") else answer(body=b"b"))(connection, line)

    server = serve(script)
    config = HttpRequestConfig(
        url=server.url(), method="POST", body="x", follow_redirects=True, headers=SECRETS
    )
    assert (await action.run(config, execution))["body"] == "b"
    assert server.bodies == [b"x", b""]


async def test_a_redirect_to_a_host_that_is_not_allowed_is_refused(serve, action, execution):
    server = serve(to("http://127.0.0.2:1/"))
    fields = {"follow_redirects": True, "allow_hosts": ("127.0.0.1",)}
    error = await failure(action, execution, Permanent, url=server.url(), **fields)
    assert error.error_class == "forbidden"


# -- where nobody may go ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    ["169.254.169.254", "169.254.1.1", "[fe80::1]", "[::ffff:169.254.169.254]", "[fd00:ec2::254]"],
)
async def test_metadata_services_are_not_asked(address, action, execution):
    error = await failure(action, execution, Permanent, url=f"http://{address}/latest")
    assert error.error_class == "forbidden"


async def test_a_redirect_to_a_metadata_service_is_refused(serve, action, execution):
    server = serve(to("http://169.254.169.254/latest"))
    error = await failure(action, execution, Permanent, url=server.url(), follow_redirects=True)
    assert error.error_class == "forbidden"


async def test_a_name_is_looked_up_once_and_checked_as_it_is_used(
    serve, action, execution, monkeypatch
):
    answers = iter(["169.254.169.254", "127.0.0.1"])
    asked = []

    async def getaddrinfo(host, port, **_):
        asked.append(host)
        return [(2, 1, 6, "", (next(answers), port))]

    monkeypatch.setattr(trio.socket, "getaddrinfo", getaddrinfo)
    error = await failure(action, execution, Permanent, url="http://rebinding.example/")
    assert (error.error_class, asked) == ("forbidden", ["rebinding.example"])


# -- TLS -----------------------------------------------------------------------------------------


@pytest.fixture
def authority(tmp_path):
    made = trustme.CA()
    made.cert_pem.write_to_path(tmp_path / "ca.pem")
    made.file = str(tmp_path / "ca.pem")
    return made


async def test_a_certificate_of_a_named_authority_is_trusted(serve, action, execution, authority):
    server = serve(answer(body=b"ok"), authority.issue_cert("127.0.0.1"))
    config = HttpRequestConfig(url=server.url(scheme="https"), ca_file=authority.file)
    assert (await action.run(config, execution))["body"] == "ok"


@pytest.mark.parametrize("name", ["127.0.0.1", "example.org"])
async def test_a_certificate_that_is_not_trusted_fails_for_good(
    name, serve, action, execution, authority
):
    server = serve(answer(), authority.issue_cert(name))
    trusted = {} if name == "127.0.0.1" else {"ca_file": authority.file}
    error = await failure(action, execution, Permanent, url=server.url(scheme="https"), **trusted)
    assert (error.error_class, "not trusted" in str(error)) == ("tls", True)


async def test_verify_false_trusts_anybody_and_says_so(serve, action, execution, authority, caplog):
    server = serve(answer(body=b"ok"), authority.issue_cert("example.org"))
    config = HttpRequestConfig(url=server.url(scheme="https"), verify=False)
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            await action.run(config, execution)
    assert [record.message for record in caplog.records] == [
        "verify = false: whoever answers for 127.0.0.1 is believed to be it"
    ]


async def test_the_client_shows_its_own_certificate(serve, action, execution, authority, tmp_path):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    own = authority.issue_cert("client@example.org")
    own.private_key_and_cert_chain_pem.write_to_path(tmp_path / "own.pem")
    server = serve(answer(body=b"ok"), authority.issue_cert("127.0.0.1"), context)
    fields = {"url": server.url(scheme="https"), "ca_file": authority.file}
    config = HttpRequestConfig(**fields, cert_file=str(tmp_path / "own.pem"))
    assert (await action.run(config, execution))["body"] == "ok"
    await failure(action, execution, (Retryable, Permanent), **fields)


async def test_plain_http_where_tls_is_expected_fails_for_good(action, execution):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse():
            connection, _ = listener.accept()
            with connection:
                connection.recv(100)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=refuse)
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        error = await failure(action, execution, Permanent, url=url)
        thread.join()
    assert error.error_class == "tls"


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
async def test_a_packed_body_is_unpacked(pack, serve, action, execution):
    name = "gzip" if pack is gzip.compress else "deflate"
    server = serve(answer("200 OK", pack(b"hello"), f"Content-Encoding: {name}"))
    assert (await action.run(HttpRequestConfig(url=server.url()), execution))["body"] == "hello"


# -- secrets -------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", [answer("500 x"), answer("404 x"), close_at_once, endless])
async def test_no_fault_shows_a_header_or_the_url_s_secrets(
    script, serve, action, execution, caplog
):
    server = serve(script)
    url = f"http://127.0.0.1:{server.port}/a?token=geheim"
    with caplog.at_level(logging.DEBUG):
        error = await failure(
            action, execution, (Retryable, Permanent), url=url, headers=SECRETS, max_response=10
        )
    assert "geheim" not in str(error)
    assert "geheim" not in caplog.text
