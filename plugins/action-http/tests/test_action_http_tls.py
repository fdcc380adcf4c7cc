"""Certificates and keys: read when they change, without a question, and never for others."""

import os
import socket
import ssl
import struct
import threading

import pytest
import trio
import trustme
from cryptography.hazmat.primitives import serialization

from alicia_action_http import HttpRequestConfig
from alicia_action_http.hosts import Lists, Policy
from alicia_action_http.pools import MOST_POOLS, Pools
from alicia_action_http.tls import Contexts, EncryptedKey, Trust
from alicia_scheduler.api import ConfigError, Permanent, Retryable
from alicia_scheduler.testing.web import answer


async def failure(action, execution, expected, **fields):
    with pytest.raises(expected) as raised:
        await action.run(HttpRequestConfig(**fields), execution)
    return raised.value


@pytest.fixture
def authority(tmp_path):
    made = trustme.CA()
    made.cert_pem.write_to_path(tmp_path / "ca.pem")
    made.file = str(tmp_path / "ca.pem")
    return made


@pytest.fixture
def own(authority, tmp_path):
    """A certificate of the client's own, with its key."""
    made = authority.issue_cert("client@example.org")
    made.private_key_and_cert_chain_pem.write_to_path(tmp_path / "own.pem")
    made.file = str(tmp_path / "own.pem")
    return made


def asks_who(authority):
    """A server's context that asks the client for a certificate, and takes those without."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.verify_mode = ssl.CERT_OPTIONAL
    authority.configure_trust(context)
    return context


def to(target):
    return answer("302 Found", b"", f"Location: {target}")


# -- redirects -------------------------------------------------------------------------------------


async def test_a_client_certificate_is_not_shown_to_another_origin(
    serve, action, execution, authority, own
):
    shown = {}

    def note(name, reply):
        def script(connection, line):
            shown[name] = connection.getpeercert()
            reply(connection, line)

        return script

    context = asks_who(authority)
    certificate = authority.issue_cert("127.0.0.1")
    other = serve(note("other", answer(body=b"ok")), certificate, context)
    first = serve(note("first", to(other.url(scheme="https"))), certificate, asks_who(authority))
    config = HttpRequestConfig(
        url=first.url(scheme="https"),
        ca_file=authority.file,
        cert_file=own.file,
        follow_redirects=True,
    )
    assert (await action.run(config, execution))["body"] == "ok"
    assert bool(shown["first"])
    assert not shown["other"]


async def test_verify_false_does_not_hold_for_another_origin(serve, action, execution, authority):
    other = serve(answer(), authority.issue_cert("127.0.0.1"))
    first = serve(to(other.url(scheme="https")), authority.issue_cert("127.0.0.1"))
    fields = {"url": first.url(scheme="https"), "verify": False, "follow_redirects": True}
    error = await failure(action, execution, Permanent, **fields)
    assert (error.error_class, other.heads) == ("tls", [])
    assert "not trusted" in str(error)


# -- keys ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "kind", [serialization.PrivateFormat.PKCS8, serialization.PrivateFormat.TraditionalOpenSSL]
)
async def test_an_encrypted_key_is_refused_and_nobody_is_asked(kind, own, tmp_path):
    key = serialization.load_pem_private_key(own.private_key_pem.bytes(), None)
    encryption = serialization.BestAvailableEncryption(b"geheim")
    encrypted = tmp_path / "key.pem"
    encrypted.write_bytes(key.private_bytes(serialization.Encoding.PEM, kind, encryption))
    with pytest.raises(ConfigError) as raised:
        HttpRequestConfig(url="https://a/", cert_file=own.file, key_file=str(encrypted))
    assert raised.value.path == ("key_file",)
    with pytest.raises(EncryptedKey):
        await Contexts(trio.to_thread.run_sync).get(
            Trust(cert_file=own.file, key_file=str(encrypted))
        )


async def test_a_file_that_is_no_certificate_fails_for_good(serve, action, execution, tmp_path):
    (tmp_path / "ca.pem").write_text("nothing")
    server = serve(answer())
    fields = {"url": server.url(scheme="https"), "ca_file": str(tmp_path / "ca.pem")}
    assert (await failure(action, execution, Permanent, **fields)).error_class == "tls"


async def test_plain_http_reads_no_certificates(serve, action, execution, tmp_path):
    (tmp_path / "ca.pem").write_text("nothing")
    server = serve(answer(body=b"ok"))
    config = HttpRequestConfig(url=server.url(), ca_file=str(tmp_path / "ca.pem"))
    assert (await action.run(config, execution))["body"] == "ok"


async def test_a_renewed_file_is_read_again(serve, action, execution, authority, tmp_path):
    server = serve(answer(body=b"ok"), authority.issue_cert("127.0.0.1"))
    trusted = tmp_path / "trusted.pem"
    trustme.CA().cert_pem.write_to_path(trusted)
    fields = {"url": server.url(scheme="https"), "ca_file": str(trusted)}
    await failure(action, execution, Permanent, **fields)
    authority.cert_pem.write_to_path(trusted)
    assert (await action.run(HttpRequestConfig(**fields), execution))["body"] == "ok"


async def test_a_context_is_made_once_and_off_the_loop(authority):
    threads = []

    async def run_sync(function, *args):
        threads.append(function)
        return await trio.to_thread.run_sync(function, *args)

    contexts = Contexts(run_sync)
    first = await contexts.get(Trust(ca_file=authority.file))
    assert await contexts.get(Trust(ca_file=authority.file)) is first
    assert len(threads) == 2
    os.utime(authority.file, ns=(0, 0))
    assert await contexts.get(Trust(ca_file=authority.file)) is not first


# -- handshakes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("hard", [False, True])
async def test_a_connection_that_ends_in_the_handshake_is_tried_again(hard, action, execution):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def leave():
            connection, _ = listener.accept()
            with connection:
                connection.recv(10)
                if hard:
                    # Closing with this sends a reset.
                    linger = struct.pack("ii", 1, 0)
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                else:
                    connection.recv(100_000)

        thread = threading.Thread(target=leave)
        thread.start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}/"
        error = await failure(action, execution, Retryable, url=url)
        thread.join()
    assert error.error_class == "connection"


# -- pools -----------------------------------------------------------------------------------------


def policy(number):
    return Policy((Lists.of("the event's", (), (f"h{number}",)),))


async def test_there_are_never_many_unused_pools():
    pools = Pools()
    for number in range(3 * MOST_POOLS):
        async with pools.lease(policy(number), None):
            pass
        assert len(pools) <= MOST_POOLS
    await pools.close()
    assert len(pools) == 0


async def test_a_pool_in_use_stays_open():
    pools = Pools()
    async with pools.lease(policy(0), None) as first:
        for number in range(1, 3 * MOST_POOLS):
            async with pools.lease(policy(number), None):
                pass
        async with pools.lease(policy(0), None) as again:
            assert again is first
    await pools.close()


async def test_pools_that_nobody_uses_are_closed(autojump_clock):
    pools = Pools()
    async with pools.lease(policy(0), None):
        pass
    await trio.sleep(60)
    async with pools.lease(policy(1), None):
        assert len(pools) == 1
    await pools.close()
