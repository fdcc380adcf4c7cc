"""The examples of docs/reference/websocket.md, against a running host."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.doors.house import PATIENCE, client, free_port

from alicia_scheduler.api.control import Permission
from alicia_scheduler.control.messages import SOCKET_FILE
from alicia_scheduler.control.tokens import create_token

ALICIA = str(Path(sys.executable).parent / "alicia")
PAGE = Path(__file__).parents[2] / "docs/reference/websocket.md"
EXAMPLES = re.findall(r"```websocket\n(.*?)```", PAGE.read_text(), re.DOTALL)

CONFIG = """
[scheduler]
timezone = "UTC"
[control]
listen = {port}
[events.lamp]
schedule_type = "interval"
schedule_config = {{ type = "hours", value = 1 }}
action = {{ type = "script_execution", command = ["/bin/true"] }}
"""


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    """A running host: its state directory, the port of its TCP door, and a token."""
    folder, port = tmp_path_factory.mktemp("host"), free_port()
    folder.joinpath("home.toml").write_text(CONFIG.format(port=port))
    secret = create_token(folder / "state", "page", Permission.ADMIN)
    process = subprocess.Popen(
        [ALICIA, "run", str(folder / "home.toml")], stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + PATIENCE
    while not (folder / "state" / SOCKET_FILE).exists() or not listens(port):
        assert time.monotonic() < deadline, "the host does not start"
        assert process.poll() is None
        time.sleep(0.05)
    yield folder / "state", port, secret
    process.terminate()
    assert process.wait(PATIENCE) == 0


def listens(port):
    import socket

    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def fits(expected, found):
    if expected == "…":
        return True
    if isinstance(expected, dict) and isinstance(found, dict):
        more = "…" in expected
        wanted = {key: value for key, value in expected.items() if key != "…"}
        return (more or wanted.keys() == found.keys()) and all(
            key in found and fits(value, found[key]) for key, value in wanted.items()
        )
    return expected == found


@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
async def test_an_example_of_the_page_is_what_happens(host, example):
    state_dir, port, secret = host
    where = port if "auth_required" in example else state_dir / SOCKET_FILE
    async with client(where) as opened:
        for line in example.splitlines():
            direction, text = line[0], line[2:].replace("alicia_…", secret)
            if direction == ">":
                await opened.send(text)
            elif text.startswith("closed"):
                assert (await opened.closed()).code == int(text.split()[1])
            else:
                found = await opened.next()
                assert fits(json.loads(text), found), f"{found} instead of {text}"


def test_the_page_has_examples():
    assert len(EXAMPLES) >= 6
