"""Encrypted connections to a real Mosquitto."""

import gc
import shutil
import subprocess
from datetime import UTC, datetime

import pytest
import trio

from alicia_scheduler.api import ConfigError, MqttOutgoing
from alicia_scheduler.testing.mosquitto import until_connected


@pytest.fixture
def certificate(tmp_path):
    """A self-signed certificate for 127.0.0.1 and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed, which makes the certificate of this test")
    return self_signed(tmp_path, "broker")


def self_signed(directory, name):
    cert, key = directory / f"{name}.pem", directory / f"{name}-key.pem"
    command = (
        f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={name}"
        f" -addext subjectAltName=IP:127.0.0.1 -out {cert} -keyout {key}"
    )
    subprocess.run(command.split(), check=True, capture_output=True)
    return cert, key


def deliver(connection):
    return connection.outbox.deliver(
        MqttOutgoing(topic="a", payload=b"", qos=1),
        key="k",
        lane="l",
        slot=datetime(2026, 3, 1, tzinfo=UTC),
    )


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
            with trio.fail_after(60):
                assert len((await anext(messages)).payload) == 100_000


# paho drops the socket of a failed handshake without closing it, and leaves that to the collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_broker_that_nobody_vouches_for_is_not(tls_broker, connect, caplog):
    async with connect(tls_broker.port, tls=True) as connection:
        with trio.fail_after(60):
            while not caplog.records:
                await trio.sleep(0.01)
        assert not connection.connected
    assert "its certificate is not trusted: " in caplog.messages[0]
    assert "see ca_file" in caplog.messages[0]
    assert caplog.records[0].levelname == "ERROR"
    gc.collect()


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_broker_that_wants_a_certificate_is_shown_one(
    mosquitto, certificate, connect, tmp_path, protocol
):
    cert, key = certificate
    own_cert, own_key = self_signed(tmp_path, "hallway")
    trusted = tmp_path / "trusted.pem"
    trusted.write_text(cert.read_text() + own_cert.read_text())
    rules = tmp_path / "rules"
    rules.write_text("user hallway\ntopic readwrite #\n")
    mosquitto.configure(
        f"cafile {trusted}\ncertfile {cert}\nkeyfile {key}\nacl_file {rules}\n"
        "require_certificate true\nuse_identity_as_username true"
    )
    mosquitto.restart()
    files = {"ca_file": str(cert), "cert_file": str(own_cert), "key_file": str(own_key)}
    async with connect(mosquitto.port, tls=True, protocol=protocol, **files) as connection:
        await until_connected(connection)
        # The certificate's name is the user's: what it may do hangs on it.
        await connection.publish("a", b"", qos=1)
        await deliver(connection)


async def test_without_its_certificate_it_stays_outside(mosquitto, certificate, connect, caplog):
    cert, key = certificate
    mosquitto.configure(f"cafile {cert}\ncertfile {cert}\nkeyfile {key}\nrequire_certificate true")
    mosquitto.restart()
    async with connect(mosquitto.port, tls=True, ca_file=str(cert)) as connection:
        with trio.fail_after(60):
            while not caplog.records:
                await trio.sleep(0.01)
        assert not connection.connected


@pytest.mark.parametrize("key", ["ca_file", "cert_file"])
async def test_a_file_that_is_no_certificate_is_named(connect, key, tmp_path):
    file = tmp_path / "file.pem"
    file.write_text("no certificate")
    with pytest.raises(ConfigError) as refusal:
        async with connect(1883, tls=True, **{key: str(file)}):
            pass
    assert refusal.value.path == (key,)


async def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_its_password(
    connect, certificate, tmp_path
):
    cert, key = certificate
    locked = tmp_path / "locked.pem"
    command = f"openssl rsa -aes256 -passout pass:secret -in {key} -out {locked}"
    subprocess.run(command.split(), check=True, capture_output=True)
    with pytest.raises(ConfigError, match="the key is encrypted") as refusal:
        async with connect(1883, tls=True, cert_file=str(cert), key_file=str(locked)):
            pass
    assert refusal.value.path == ("cert_file",)
