"""How `alicia run` ends on signals: in order, whatever hangs, and whenever the signal comes."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

ALICIA = str(Path(sys.executable).parent / "alicia")

PLUGIN = '''
import os, signal
from contextlib import asynccontextmanager
import msgspec, trio
from alicia_scheduler.api import ActionType, ServiceType, hookimpl

for _ in range(int(os.environ.get("SIGNALS_AT_IMPORT", 0))):
    os.kill(os.getpid(), signal.SIGTERM)

class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing to configure."""

@asynccontextmanager
async def closes_never(config, context):
    yield
    with trio.CancelScope(shield=True):
        await trio.sleep_forever()

class Sleep:
    async def run(self, config, execution):
        print("begun", flush=True)
        await trio.sleep(1000)

@asynccontextmanager
async def sleep(context):
    yield Sleep()

@hookimpl
def alicia_services():
    return [ServiceType(name="odd.closes_never", config=Config, open=closes_never)]

@hookimpl
def alicia_action_types():
    return [ActionType(name="odd.sleep", config=Config, open=sleep)]
'''


class Host:
    """`alicia run` beside a plugin that does odd things.

    Args:
        signals_at_import: so often the plugin asks its process to end while it is imported.
    """

    def __init__(self, home, more="", signals_at_import=0):
        self.home = home
        site = home / "site"
        info = site / "alicia_odd-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: alicia-odd\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[alicia_scheduler.plugins]\nodd = alicia_odd\n")
        (site / "alicia_odd.py").write_text(PLUGIN)
        config = home / "home.toml"
        config.write_text(
            f'[scheduler]\ntimezone = "UTC"\ndrain_timeout = 600\n{more}\n[events.sleeper]\n'
            'schedule_type = "interval"\nschedule_config = { type = "seconds", value = 1 }\n'
            'timeout = 2000\naction = { type = "odd.sleep" }\n'
        )
        environ = {
            "PYTHONPATH": str(site),
            "SIGNALS_AT_IMPORT": str(signals_at_import),
        }
        self.process = subprocess.Popen(
            [ALICIA, "run", str(config)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environ},
        )

    def signal(self):
        self.process.send_signal(signal.SIGTERM)

    def signal_again(self):
        """A signal after the first one, and the end. One that comes before the first was taken is
        one with it, so there may have to be another."""
        for _ in range(6):
            time.sleep(0.5)
            self.signal()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
                return

    def ended(self):
        """Exit code and last words."""
        _, errors = self.process.communicate(timeout=60)
        return self.process.returncode, errors

    def statuses(self):
        database = f"file:{self.home}/state/alicia.db?mode=ro"
        with closing(sqlite3.connect(database, uri=True)) as connection:
            query = "SELECT status, reason FROM executions ORDER BY sequence"
            return list(connection.execute(query))


@pytest.fixture
def host(tmp_path):
    hosts = []

    def start(**options):
        hosts.append(Host(tmp_path, **options))
        return hosts[0]

    yield start
    for started in hosts:
        started.process.kill()
        started.process.communicate()


@pytest.mark.parametrize("times", [1, 2])
def test_a_signal_while_a_plugin_is_imported_is_not_lost(host, times):
    code, errors = host(signals_at_import=times).ended()
    assert (code, errors) == (0, "")


def test_a_second_signal_cancels_at_once_and_leaves_nothing_running(host):
    running = host()
    running.process.stdout.readline()
    running.signal()
    running.signal_again()
    code, errors = running.ended()
    assert code == 0, errors
    statuses = running.statuses()
    assert ("interrupted", "shutdown") in statuses
    assert "running" not in {status for status, _ in statuses}


def test_a_service_that_ignores_the_stop_is_named_by_the_last_words(host):
    running = host(more='[services."odd.closes_never"]')
    running.process.stdout.readline()
    running.signal()
    running.signal_again()
    code, errors = running.ended()
    assert code == 1
    assert "service odd.closes_never" in errors.splitlines()[-1]
    assert "running" not in {status for status, _ in running.statuses()}
