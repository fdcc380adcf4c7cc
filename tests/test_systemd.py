"""Under systemd: what its manager is told, what its watchdog lives on, and the unit."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from alicia_scheduler.host.servicemanager import ServiceManager
from alicia_scheduler.host.unit import UNIT_NAME, Unit

ALICIA = str(Path(sys.executable).parent / "alicia")

CONFIG = """
[scheduler]
timezone = "UTC"
drain_timeout = 20
[events.second]
schedule_type = "interval"
schedule_config = { type = "seconds", value = 1 }
action = { type = "script_execution", command = ["true"] }
"""

PATIENCE = 60


@contextmanager
def running(folder, config=CONFIG, watchdog=None, read=True, address="notify"):
    """A host whose service manager is this test: yields the process and its messages."""
    folder.joinpath("home.toml").write_text(config)
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    path = str(folder / address) if not address.startswith("@") else f"\0{address[1:]}"
    manager.bind(path)
    environ = os.environ | {"NOTIFY_SOCKET": path.replace("\0", "@")}
    if watchdog is not None:
        environ |= {"WATCHDOG_USEC": str(int(watchdog * 1e6))}
    with folder.joinpath("log").open("w") as log:
        host = subprocess.Popen([ALICIA, "run", str(folder / "home.toml")], stderr=log, env=environ)
    try:
        yield host, Messages(manager)
    finally:
        if host.poll() is None:
            host.send_signal(signal.SIGCONT)
            host.terminate()
        host.wait(PATIENCE)
        manager.close()


class Messages:
    def __init__(self, manager):
        self.manager = manager

    def until(self, wanted, within=PATIENCE):
        """All messages up to the one that begins with ``wanted``, that one last."""
        got = []
        deadline = time.monotonic() + within
        while True:
            self.manager.settimeout(max(0.01, deadline - time.monotonic()))
            got.append(self.manager.recv(4096).decode())
            if got[-1].startswith(wanted):
                return got

    def waiting(self):
        """All that has come so far."""
        self.manager.setblocking(False)
        got = []
        try:
            while True:
                got.append(self.manager.recv(4096).decode())
        except BlockingIOError:
            return got


@pytest.mark.parametrize("address", ["notify", "@alicia-test"])
def test_ready_is_said_when_the_schedule_runs_and_commands_are_answered(tmp_path, address):
    with running(tmp_path, address=address) as (_, messages):
        assert messages.until("READY=1") == ["READY=1\nSTATUS=the schedule runs"]
        done = subprocess.run(
            [ALICIA, "events", "trigger", "second", "--state-dir", str(tmp_path / "state")],
            check=False,
            timeout=PATIENCE,
        )
        assert done.returncode == 0


def test_a_stop_is_told_and_so_is_a_reload(tmp_path):
    with running(tmp_path) as (host, messages):
        messages.until("READY=1")
        host.send_signal(signal.SIGHUP)
        reloading = messages.until("RELOADING=1")[-1]
        assert reloading.split("MONOTONIC_USEC=")[1].isdecimal()
        assert "by the configuration of the last reload" in messages.until("READY=1")[-1]
        (tmp_path / "home.toml").write_text("[lumps]")
        host.send_signal(signal.SIGHUP)
        messages.until("RELOADING=1")
        assert "the last reload was refused: 1 mistake" in messages.until("READY=1")[-1]
        host.terminate()
        messages.until("STOPPING=1")
        assert host.wait(PATIENCE) == 0


def test_the_watchdog_is_fed_by_a_loop_that_passes_and_not_while_it_is_frozen(tmp_path):
    with running(tmp_path, watchdog=0.6) as (host, messages):
        messages.until("READY=1")
        for _ in range(3):
            messages.until("WATCHDOG=1")
        host.send_signal(signal.SIGSTOP)
        time.sleep(0.5)
        messages.waiting()
        time.sleep(1)
        assert messages.waiting() == []
        host.send_signal(signal.SIGCONT)
        messages.until("WATCHDOG=1")


def test_a_manager_that_does_not_read_holds_nothing_up(tmp_path):
    with running(tmp_path, watchdog=0.003) as (host, messages):
        # A datagram queue of this kernel holds so few that it is full at once.
        runs = tmp_path / "state"
        deadline = time.monotonic() + PATIENCE

        def completed():
            done = subprocess.run(
                [ALICIA, "executions", "list", "--status", "completed", "--state-dir", str(runs)],
                capture_output=True,
                text=True,
                check=False,
                timeout=PATIENCE,
            )
            return done.stdout.count("completed")

        while completed() < 4:
            assert time.monotonic() < deadline
            assert host.poll() is None
        assert len(messages.waiting()) > 1


def test_what_the_host_starts_has_nothing_to_tell_in_its_name():
    environ = {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "3000000", "HOME": "/"}
    manager = ServiceManager.of_environment(environ)
    assert environ == {"HOME": "/"}
    assert manager.watchdog == 3.0


def test_a_watchdog_for_another_process_is_not_ours():
    environ = {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}
    assert ServiceManager.of_environment(environ).watchdog is None


@pytest.mark.parametrize("value", ["", "0", "-5", "soon"])
def test_a_watchdog_interval_that_is_no_number_is_none(value):
    environ = {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": value}
    assert ServiceManager.of_environment(environ).watchdog is None


def test_a_manager_that_is_gone_is_no_failure(tmp_path):
    ServiceManager(str(tmp_path / "gone")).tell("READY=1")
    ServiceManager(None).tell("READY=1")


# -- the unit -------------------------------------------------------------------------------------


def unit(folder, user="alicia", state="/var/lib/alicia-scheduler", program=ALICIA):
    config = folder / "home.toml"
    config.write_text(CONFIG)
    return Unit(
        program=Path(program),
        config=config,
        state_dir=Path(state),
        user=user,
        drain_timeout=20,
    )


def lines(text):
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line and line[0] != "#")


def test_the_unit_is_notified_watched_and_ordered_behind_the_clock(tmp_path):
    found = lines(unit(tmp_path).text())
    assert (found["Type"], found["WatchdogSec"], found["Restart"]) == ("notify", "60", "on-failure")
    assert found["After"] == "network-online.target time-sync.target"
    assert found["TimeoutStopSec"] == "50"
    assert (found["User"], found["StateDirectory"]) == ("alicia", "alicia-scheduler")


def test_a_state_directory_elsewhere_is_the_only_place_that_may_be_written(tmp_path):
    found = lines(unit(tmp_path, state="/srv/alicia").text())
    assert found["ReadWritePaths"] == "/srv/alicia"
    assert "StateDirectory" not in found
    assert found["ProtectSystem"] == "strict"


def test_homes_are_hidden_unless_something_of_the_host_is_in_one(tmp_path):
    assert lines(unit(tmp_path, program="/usr/bin/alicia").text())["ProtectHome"] == "yes"
    at_home = unit(tmp_path, program="/home/me/venv/bin/alicia").text()
    assert lines(at_home)["ProtectHome"] == "read-only"


def test_paths_are_written_as_systemd_reads_them(tmp_path):
    odd = unit(tmp_path, program='/opt/my "100%" $HOME/alicia')
    assert r'ExecStart="/opt/my \"100%%\" $$HOME/alicia" run ' in odd.text()


needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


@needs_systemd
@pytest.mark.parametrize("state", ["/var/lib/alicia-scheduler", "/srv/alicia"])
def test_systemd_gives_the_unit_an_exposure_of_one_and_a_half(tmp_path, state):
    file = tmp_path / UNIT_NAME
    file.write_text(unit(tmp_path, state=state).text())
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=15", str(file)],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    if "unrecognized option" in done.stderr:
        pytest.skip("systemd-analyze is older than 250")
    assert done.returncode == 0, done.stdout[-300:] + done.stderr


@needs_systemd
@pytest.mark.parametrize("user", ["alicia", None])
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path, user):
    file = tmp_path / UNIT_NAME
    file.write_text(unit(tmp_path, user=user).text())
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(file)],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )
    about_us = [line for line in done.stderr.splitlines() if UNIT_NAME in line]
    assert about_us == []


def alicia(*arguments):
    return subprocess.run(
        [ALICIA, "service", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


def test_install_writes_the_unit_and_uninstall_removes_it(tmp_path):
    config, units = tmp_path / "home.toml", tmp_path / "units"
    config.write_text(CONFIG)
    printed = alicia("install", config, "--as", "nobody", "--print")
    done = alicia("install", config, "--as", "nobody", "--directory", units)
    assert done.returncode == 0, done.stderr
    assert "systemctl enable --now alicia-scheduler" in done.stdout
    assert (units / UNIT_NAME).read_text() == printed.stdout
    assert f"run {config}" in printed.stdout
    assert (tmp_path / "state").is_dir()
    done = alicia("uninstall", "--directory", units)
    assert (done.returncode, list(units.iterdir())) == (0, [])
    assert (tmp_path / "state").is_dir()
    done = alicia("uninstall", "--directory", units)
    assert (done.returncode, "there is no" in done.stderr) == (1, True)


def test_a_configuration_with_mistakes_is_not_installed(tmp_path):
    config = tmp_path / "home.toml"
    config.write_text("[lumps]\n")
    done = alicia("install", config, "--directory", tmp_path / "units")
    assert done.returncode == 1
    assert not (tmp_path / "units").exists()


def test_a_missing_user_is_said_with_the_command_that_makes_it(tmp_path):
    config = tmp_path / "home.toml"
    config.write_text(CONFIG)
    done = alicia("install", config, "--as", "nobody-yet", "--directory", tmp_path / "units")
    assert "useradd --system --user-group nobody-yet" in done.stdout
