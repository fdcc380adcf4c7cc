"""Encrypted connections to a real Mosquitto."""

import gc
import shutil
import subprocess

import pytest
import trio

from alicia_scheduler.api import ConfigError
from alicia_scheduler.testing.mosquitto import until_connected


@pytest.fixture
def certificate(tmp_path):
    """A self-signed certificate for 127.0.0.1 and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed, which makes the certificate of this test")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=test"
        f" -addext subjectAltName=IP:127.0.0.1 -out {cert} -keyout {key}"
    )
    subprocess.run(command.split(), check=True, capture_output=True)
    return cert, key


@pytest.fixture
def tls_broker(mosquitto, certificate):
    cert, key = certificate
    mosquitto.configure(f"cafile {cert}\ncertfile {cert}\nkeyfile {key}")
    mosquitto.restart()
    return mosquitto


async def test_a_trusted_broker_is_spoken_to(tls_broker, certificate, connect):
    async with connect(tls_broker.port, tls=True, ca_file=str(certificate[0])) as connection:
        await until_connected(connection)
        async with connection.subscribe("a") as messages:
            await connection.publish("a", b"x" * 100_000, qos=1)
            with trio.fail_after(10):
                assert len((await anext(messages)).payload) == 100_000


# paho drops the socket of a failed handshake without closing it, and leaves that to the collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_broker_that_nobody_vouches_for_is_not(tls_broker, connect, caplog):
    async with connect(tls_broker.port, tls=True) as connection:
        with trio.fail_after(10):
            while not caplog.records:
                await trio.sleep(0.01)
        assert not connection.connected
    assert "certificate verify failed" in caplog.messages[0]
    gc.collect()


@pytest.mark.parametrize("key", ["ca_file", "cert_file"])
async def test_a_file_that_cannot_be_read_is_named(connect, key):
    with pytest.raises(ConfigError) as refusal:
        async with connect(1883, tls=True, **{key: "/nowhere/file.pem"}):
            pass
    assert refusal.value.path == (key,)
