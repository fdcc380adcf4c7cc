"""User and password at a real Mosquitto."""

import logging
import subprocess

import pytest
import trio

from alicia_scheduler.testing.mosquitto import until_connected


@pytest.fixture
def guarded(mosquitto, tmp_path):
    """A broker that lets ``alicia`` in, with the password ``canary``."""
    users = tmp_path / "users"
    subprocess.run(
        ["mosquitto_passwd", "-c", "-b", str(users), "alicia", "canary"],
        check=True,
        capture_output=True,
    )
    mosquitto.configure(f"allow_anonymous false\npassword_file {users}")
    mosquitto.restart()
    return mosquitto


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_the_right_password_opens(guarded, connect, protocol):
    login = {"username": "alicia", "password": "canary"}
    async with connect(guarded.port, protocol=protocol, **login) as connection:
        await until_connected(connection)
        await connection.publish("a", b"", qos=1)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_wrong_one_does_not_and_is_told_without_being_shown(
    guarded, connect, protocol, caplog
):
    caplog.set_level(logging.DEBUG)
    login = {"username": "alicia", "password": "canary-wrong"}
    async with connect(guarded.port, protocol=protocol, **login) as connection:
        with trio.fail_after(60):
            while "refuses" not in caplog.text:
                await trio.sleep(0.01)
        assert not connection.connected
    assert "canary" not in caplog.text
