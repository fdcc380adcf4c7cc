"""The TCP door: who comes in, and what is kept out before anybody has said who they are."""

import ssl
from datetime import UTC, datetime

import pytest
import trio
import trustme
from tests.doors.house import PATIENCE, client, open_house, stranger
from trio_websocket import ConnectionRejected

from alicia_scheduler.api.control import CommandError, Permission
from alicia_scheduler.control import limits as limits_room
from alicia_scheduler.control import tcp as tcp_room
from alicia_scheduler.control.client import NoHost, Remote, connected
from alicia_scheduler.control.tokens import create_token, list_tokens, revoke_token

UPGRADE = (
    b"Host: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@pytest.fixture
def secret(tmp_path):
    return create_token(tmp_path, "panel", Permission.OPERATE)


@pytest.fixture(autouse=True)
def short_delays(monkeypatch):
    monkeypatch.setattr(limits_room, "FIRST_DELAY", 0.01)


async def raw(port, data):
    """What the door answers to these bytes until it closes."""
    received = b""
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        with trio.fail_after(PATIENCE):
            try:
                await stream.send_all(data)
                while chunk := await stream.receive_some():
                    received += chunk
            except trio.BrokenResourceError:
                pass
    return received


async def test_a_token_opens_the_door_with_its_name_and_permission(tmp_path, secret):
    async with open_house(tmp_path) as house, stranger(house, secret) as opened:
        answer = await opened.ask({"id": 1, "type": "echo"})
        assert (answer["result"]["caller"], answer["result"]["door"]) == ("panel", "tcp")
        assert (await opened.ask({"id": 2, "type": "permission"}))["result"] == "operate"


@pytest.mark.parametrize(
    "message",
    [
        {"type": "auth", "access_token": "alicia_wrong"},
        {"type": "auth", "access_token": ""},
        {"type": "auth", "access_token": None},
        {"type": "auth", "access_token": ["x"]},
        {"type": "auth"},
        {"id": 1, "type": "echo"},
        {"id": 1, "type": "subscribe"},
        [{"type": "auth", "access_token": "x"}] * 2,
        "nonsense",
        "null",
    ],
    ids=str,
)
async def test_without_a_right_token_nothing_is_done(tmp_path, secret, message):
    async with open_house(tmp_path) as house, client(house.port) as opened:
        assert await opened.next() == {"type": "auth_required"}
        assert (await opened.ask(message))["type"] == "auth_invalid"
        assert (await opened.closed()).code == 1008
        assert house.commands.begun == []


async def test_a_token_made_while_the_host_runs_counts_at_once(tmp_path):
    async with open_house(tmp_path) as house:
        async with stranger(house, create_token(tmp_path, "first")):
            pass
        async with stranger(house, create_token(tmp_path, "second")) as opened:
            assert (await opened.ask({"id": 1, "type": "echo"}))["result"]["caller"] == "second"


async def test_a_revoked_token_ends_its_sessions_and_no_others(tmp_path, secret, monkeypatch):
    monkeypatch.setattr(tcp_room, "LOOK_EVERY", 0.05)
    other = create_token(tmp_path, "other")
    async with (
        open_house(tmp_path) as house,
        stranger(house, secret) as revoked,
        stranger(house, other) as stays,
    ):
        revoke_token(tmp_path, "panel")
        reason = await revoked.closed()
        assert (reason.code, reason.reason) == (1008, "the token was revoked, or has expired")
        assert (await stays.ask({"id": 1, "type": "ping"}))["type"] == "pong"


async def test_an_expired_token_does_not_count(tmp_path):
    secret = create_token(tmp_path, "guest", expires_in=0.05)
    await trio.sleep(0.1)
    async with open_house(tmp_path) as house, client(house.port) as opened:
        await opened.next()
        answer = await opened.ask({"type": "auth", "access_token": secret})
        assert answer["type"] == "auth_invalid"


async def test_when_a_token_was_used_is_kept_in_steps_of_an_hour(tmp_path, secret):
    async with open_house(tmp_path) as house, stranger(house, secret):
        with trio.fail_after(PATIENCE):
            while list_tokens(tmp_path)[0].last_used is None:
                await trio.sleep(0.01)
    used = list_tokens(tmp_path)[0].last_used
    assert (used.minute, used.second, used.microsecond) == (0, 0, 0)
    assert used <= datetime.now(UTC)


async def test_a_damaged_file_of_tokens_lets_nobody_in(tmp_path, secret, caplog):
    tmp_path.joinpath("tokens.json").write_text("{")
    async with open_house(tmp_path) as house, client(house.port) as opened:
        await opened.next()
        answer = await opened.ask({"type": "auth", "access_token": secret})
        assert answer["type"] == "auth_invalid"
    assert "tokens.json cannot be read" in caplog.text


async def test_who_does_not_authenticate_in_time_is_sent_away(tmp_path, monkeypatch):
    monkeypatch.setattr(tcp_room, "AUTH_TIMEOUT", 0.2)
    async with open_house(tmp_path) as house, client(house.port) as opened:
        reason = await opened.closed()
        assert (reason.code, reason.reason) == (1008, "you have 0.2 s to authenticate")


@pytest.mark.parametrize("data", [b"", b"G", b"GET / HTTP/1.1\r\nHost: a\r\n"], ids=len)
async def test_a_handshake_that_never_ends_is_ended(tmp_path, monkeypatch, data):
    monkeypatch.setattr(tcp_room, "AUTH_TIMEOUT", 0.2)
    async with open_house(tmp_path) as house:
        await raw(house.port, data)


async def test_before_the_token_only_small_messages_are_taken(tmp_path):
    async with open_house(tmp_path) as house, client(house.port) as opened:
        await opened.next()
        await opened.send('"' + "x" * 100_000 + '"')
        assert (await opened.closed()).code == 1009


@pytest.mark.parametrize("path", ["/", "/api/websocket", "/?a=1"])
async def test_these_paths_are_answered(tmp_path, path):
    async with open_house(tmp_path) as house, client(house.port, path=path) as opened:
        assert (await opened.next())["type"] == "auth_required"


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /other HTTP/1.1\r\n" + UPGRADE, b"404"),
        (b"GET /other HTTP/1.1\r\nHost: localhost\r\n\r\n", b"404"),
        (b"GET /api HTTP/1.1\r\nHost: localhost\r\n\r\n", b"404"),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\n" + UPGRADE, b"400"),
        (b"GET / HTTP/1.1\r\n" + UPGRADE.replace(b"13", b"12"), b"426"),
        (b"GET / HTTP/1.1\r\n" + UPGRADE.replace(b"Host: localhost\r\n", b""), b"400"),
        (b"GET / HTTP/1.1\r\n" + UPGRADE.replace(b"localhost", b"xn--\xff"), b"400"),
        (b"GET /\xff HTTP/1.1\r\n" + UPGRADE, b"404"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100, b"400"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 100_000, b"400"),
        (b"\x00" * 1000, b"400"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_what_is_no_handshake_is_answered_as_http(tmp_path, head, status):
    async with open_house(tmp_path) as house:
        answer = await raw(house.port, head)
        assert answer.split(b" ")[1] == status
        assert (await raw(house.port, b"GET /x HTTP/1.1\r\n\r\n"))[:12] == b"HTTP/1.1 404"


@pytest.mark.parametrize(
    ("host", "taken"),
    [
        ("localhost", True),
        ("127.0.0.1:8123", True),
        ("[::1]:8123", True),
        ("192.168.1.5", True),
        ("home.example:8123", True),
        ("HOME.example", True),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
    ],
)
async def test_the_name_it_is_called_by_must_be_its_own(tmp_path, host, taken):
    async with open_house(tmp_path, hosts=frozenset({"home.example"})) as house:
        if taken:
            async with client(house.port, host=host) as opened:
                assert (await opened.next())["type"] == "auth_required"
            return
        with pytest.raises(ExceptionGroup) as caught:
            async with client(house.port, host=host):
                pass
        assert caught.group_contains(ConnectionRejected)


async def test_a_web_page_comes_in_only_when_its_origin_is_listed(tmp_path):
    origins = frozenset({"https://home.example"})
    async with open_house(tmp_path, origins=origins) as house:
        listed = [(b"Origin", b"https://home.example")]
        async with client(house.port, headers=listed) as opened:
            assert (await opened.next())["type"] == "auth_required"
        for origin in (b"https://evil.example", b"null", b"http://localhost", b"\xff"):
            with pytest.raises(ExceptionGroup) as caught:
                async with client(house.port, headers=[(b"Origin", origin)]):
                    pass
            assert caught.group_contains(ConnectionRejected)


async def test_so_many_connections_of_one_peer_may_be_unknown(tmp_path, secret):
    async with open_house(tmp_path) as house, stranger(house, secret) as known:
        streams = [
            await trio.open_tcp_stream("127.0.0.1", house.port)
            for _ in range(limits_room.UNKNOWN_PER_PEER)
        ]
        with trio.fail_after(PATIENCE):
            while house.tcp._keeper.full_for("127.0.0.1") is None:
                await trio.sleep(0.01)
        assert await raw(house.port, b"GET / HTTP/1.1\r\n" + UPGRADE) == b""
        assert (await known.ask({"id": 1, "type": "ping"}))["type"] == "pong"
        for stream in streams:
            await stream.aclose()
        with trio.fail_after(PATIENCE):
            while house.tcp._keeper.full_for("127.0.0.1") is not None:
                await trio.sleep(0.01)
        async with stranger(house, secret):
            pass


async def test_who_guesses_tokens_keeps_nobody_at_the_same_address_out(
    tmp_path, secret, monkeypatch
):
    monkeypatch.setattr(limits_room, "FIRST_DELAY", 1000)
    async with open_house(tmp_path) as house, trio.open_nursery() as nursery:

        async def guess(*, task_status):
            async with client(house.port) as opened:
                await opened.next()
                await opened.send({"type": "auth", "access_token": "alicia_guess"})
                task_status.started()
                await opened.closed()

        for _ in range(limits_room.REFUSED_PER_PEER * 2):
            await nursery.start(guess)
        async with stranger(house, secret) as opened:
            assert (await opened.ask({"id": 1, "type": "ping"}))["type"] == "pong"
        nursery.cancel_scope.cancel()


async def test_so_many_connections_may_be_open(tmp_path, secret):
    async with open_house(tmp_path, max_connections=2) as house:
        async with stranger(house, secret), stranger(house, secret):
            assert await raw(house.port, b"GET / HTTP/1.1\r\n" + UPGRADE) == b""
        with trio.fail_after(PATIENCE):
            while house.tcp._keeper.full_for("127.0.0.1") is not None:
                await trio.sleep(0.01)
        async with stranger(house, secret):
            pass


async def test_messages_beyond_the_rate_wait_and_hold_up_nobody_else(tmp_path, secret):
    async with (
        open_house(tmp_path, rate=20.0) as house,
        stranger(house, secret) as fast,
        stranger(house, secret) as other,
    ):
        before = trio.current_time()
        await fast.send([{"id": n, "type": "ping"} for n in range(1, 251)])
        await fast.send([{"id": n, "type": "ping"} for n in range(251, 301)])
        assert (await other.ask({"id": 1, "type": "ping"}))["type"] == "pong"
        for number in range(1, 301):
            assert (await fast.next())["id"] == number
        # 200 at once, and 100 more at 20 a second: what a machine takes comes on top.
        assert trio.current_time() - before >= 2


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def encrypted(tmp_path, authority):
    """Settings with TLS."""
    return {"certificate": issued(tmp_path, authority, "localhost")}


def issued(folder, authority, *names):
    file = folder / "door.pem"
    issued = authority.issue_cert(*names)
    with file.open("wb") as out:
        for pem in (issued.private_key_pem, *issued.cert_chain_pems):
            out.write(pem.bytes())
    return file


def trusting(authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


async def test_with_a_certificate_the_door_speaks_tls(tmp_path, secret, encrypted, authority):
    async with (
        open_house(tmp_path, **encrypted) as house,
        stranger(house, secret, context=trusting(authority)) as opened,
    ):
        assert (await opened.ask({"id": 1, "type": "echo"}))["result"]["caller"] == "panel"


async def test_plain_text_at_a_door_with_tls_ends_and_harms_nobody(
    tmp_path, secret, encrypted, authority
):
    async with open_house(tmp_path, **encrypted) as house:
        for data in (b"GET / HTTP/1.1\r\n" + UPGRADE, b"\x16\x03\x01garbage", b"\x00" * 5000):
            await raw(house.port, data)
        async with stranger(house, secret, context=trusting(authority)):
            pass


async def test_a_renewed_certificate_is_taken_without_a_restart(
    tmp_path, secret, encrypted, authority
):
    async with open_house(tmp_path, **encrypted) as house:
        async with stranger(house, secret, context=trusting(authority)):
            pass
        renewed = trustme.CA()
        issued(tmp_path, renewed, "localhost")
        async with stranger(house, secret, context=trusting(renewed)):
            pass
        encrypted["certificate"].write_text("damaged")
        async with stranger(house, secret, context=trusting(renewed)):
            pass


async def test_the_client_checks_the_certificate(tmp_path, secret, encrypted, authority):
    authority_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(authority_file))
    async with open_house(tmp_path, **encrypted) as house:
        url = f"wss://localhost:{house.port}"
        with pytest.raises(NoHost, match="is not trusted"):
            async with connected(Remote(url, secret)):
                pass
        async with connected(Remote(url, secret, cafile=str(authority_file))) as session:
            assert (await session.request("echo"))["caller"] == "panel"
        async with connected(Remote(url, secret, verify=False)) as session:
            assert (await session.request("echo"))["caller"] == "panel"


async def test_the_client_tells_a_refused_token_from_an_absent_host(tmp_path, secret):
    async with open_house(tmp_path) as house:
        for wrong in (None, "alicia_wrong"):
            with pytest.raises(CommandError) as caught:
                async with connected(Remote(house.url, wrong)):
                    pass
            assert caught.value.code == "unauthorized"
        url = house.url
    with pytest.raises(NoHost, match="no host answers"):
        async with connected(Remote(url, secret)):
            pass


@pytest.mark.parametrize(
    "url", ["", "localhost", "ftp://localhost", "ws://", "ws://localhost:1", "ws://[", "ws://a:x"]
)
async def test_the_client_refuses_an_address_that_is_none(url):
    with pytest.raises(NoHost):
        async with connected(Remote(url, "x")):
            pass


async def test_the_client_tells_what_is_no_host(tmp_path, encrypted):
    async with open_house(tmp_path, **encrypted) as house:
        with pytest.raises(NoHost):
            async with connected(Remote(house.url, "x")):
                pass
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]

    async def mail_server(stream):
        async with stream:
            await stream.send_all(b"220 mail.example ESMTP\r\n")
            await stream.receive_some()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, mail_server, listeners)
        with pytest.raises(NoHost):
            async with connected(Remote(f"ws://127.0.0.1:{port}", "x")):
                pass
        nursery.cancel_scope.cancel()
