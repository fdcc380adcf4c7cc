"""What a host and the commands import: what they need, and nothing else.

Counted in processes of their own, as whoever imports one thing more pays for it on every device.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

CLI = "from alicia_scheduler.cli.main import main; main(prog_name='alicia')"

CONFIGURATION = """
[events.hourly]
name = "Hourly"
schedule_type = "interval"
schedule_config = { type = "hours", value = 1 }
action = { type = "script_execution", command = ["true"] }
"""

NEEDED = {"alicia_schedule_interval", "alicia_action_script"}

NEVER = {"pytest", "_pytest", "hypothesis", "rich", "jinja2", "httpx", "asyncio", "wsproto"}
NEVER |= {"trio_websocket", "aiomqtt", "paho", "amqtt", "croniter", "dateutil", "astral"}


def imported(log: str) -> set[str]:
    """The modules of which ``-X importtime`` tells."""
    lines = (line.split("|") for line in log.splitlines() if line.startswith("import time:"))
    return {line[2].strip() for line in lines} - {"imported package"}


def packages(modules: set[str]) -> set[str]:
    return {module.partition(".")[0] for module in modules}


def plugins(modules: set[str]) -> set[str]:
    return {each for each in packages(modules) if each.startswith("alicia_")} - {"alicia_scheduler"}


class Site:
    """A folder with a configuration and its state."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "alicia.toml"
        self.configure("")

    def configure(self, more: str) -> None:
        self.file.write_text(f'[scheduler]\nstate_dir = "state"\n{CONFIGURATION}{more}')

    def start(self, *, stop_with: signal.Signals = signal.SIGTERM) -> set[str]:
        """What a host has imported when its schedule runs and it was stopped in order."""
        told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        address = self.folder / "notify"
        with told:
            told.bind(str(address))
            told.settimeout(60)
            host = subprocess.Popen(
                [sys.executable, "-X", "importtime", "-c", CLI, "run", str(self.file)],
                env=os.environ | {"NOTIFY_SOCKET": str(address)},
                stderr=subprocess.PIPE,
                text=True,
            )
            try:
                while b"READY=1" not in told.recv(4096):
                    pass
                # It is told to be ready before what it knows of its plugins is on the disk.
                outlines = self.folder / "state" / "outlines.json"
                while not outlines.exists() and host.poll() is None:
                    pass
            finally:
                host.send_signal(stop_with)
                address.unlink()
                _, log = host.communicate(timeout=60)
        return imported(log)


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def run(*arguments, **environment):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", CLI, *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return imported(done.stderr), done.stdout


def test_a_host_imports_only_the_plugins_that_its_configuration_needs(site):
    first = site.start()
    assert plugins(first) > NEEDED, "the first start looks at all that is installed"
    again = site.start()
    assert plugins(again) == NEEDED
    assert packages(again) & NEVER == set()
    assert len(again) < 520


def test_a_type_that_comes_into_the_configuration_brings_its_plugin(site):
    site.start()
    cron = CONFIGURATION.replace("events.hourly", "events.daily").replace('"interval"', '"cron"')
    cron = cron.replace('type = "hours", value = 1', 'expression = "0 7 * * *"')
    site.configure(cron)
    assert plugins(site.start()) == NEEDED | {"alicia_schedule_cron"}


def test_a_plugin_whose_code_was_another_one_is_imported_once(site):
    site.start()
    # As if its files had been others: the real ones are those of every test that runs beside.
    file = site.folder / "state" / "outlines.json"
    known = json.loads(file.read_text())
    (name,) = (each for each in known if each.startswith("schedule-once "))
    known[name]["state"] = "00000000"
    file.write_text(json.dumps(known))
    assert plugins(site.start()) == NEEDED | {"alicia_schedule_once"}
    assert plugins(site.start()) == NEEDED


def test_what_is_remembered_of_plugins_may_be_damaged(site):
    site.start()
    (site.folder / "state" / "outlines.json").write_bytes(b"\x00{")
    assert plugins(site.start()) > NEEDED


def test_help_imports_no_plugin_and_nothing_that_runs(site):
    modules, said = run("--help")
    assert "Commands:" in said
    assert packages(modules) & (NEVER | {"trio", "attrs", "sqlite3"}) == set()
    assert plugins(modules) == set()
    assert len(modules) < 260


def test_a_listing_without_a_host_imports_no_plugin_and_no_trio(site):
    site.start()
    modules, said = run("events", "list", "--state-dir", str(site.folder / "state"), "--json")
    assert "hourly" in said
    assert packages(modules) & (NEVER | {"trio", "attrs"}) == set()
    assert plugins(modules) == set()
    assert len(modules) < 280


def test_completion_imports_no_more_than_a_listing(site):
    site.start()
    modules, said = run(
        _ALICIA_COMPLETE="bash_complete",
        COMP_WORDS="alicia events show h",
        COMP_CWORD="3",
        ALICIA_STATE_DIR=str(site.folder / "state"),
    )
    assert "hourly" in said
    assert packages(modules) & (NEVER | {"trio", "attrs"}) == set()
    assert plugins(modules) == set()
    assert len(modules) < 280
