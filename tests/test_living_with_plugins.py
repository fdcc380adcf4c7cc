"""Plugins and a host as a person has them: pip, `alicia run` and `plugins`, signals, crashes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ALICIA = str(Path(sys.executable).parent / "alicia")

PLUGIN = '''
from contextlib import asynccontextmanager
import msgspec
from alicia_scheduler.api import ActionType, hookimpl

class Blink(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How to blink.

    Attributes:
        times: how often.
        colour: of the lamp.
    """

    times: int = 1
    colour: str | None = None

class Act:
    async def run(self, config, execution):
        return {"version": "VERSION"}

@asynccontextmanager
async def opened(context):
    yield Act()

@hookimpl
def alicia_action_types():
    yield ActionType(name="lamp.blink", config=Blink, open=opened, summary="blinks a lamp")
'''

PYPROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "zoo-lamp"
version = "VERSION"

[project.entry-points."alicia_scheduler.plugins"]
lamp = "zoo_lamp"

[tool.hatch.build.targets.wheel]
packages = ["zoo_lamp"]
"""

CONFIG = """
[scheduler]
timezone = "UTC"
[events.lamp]
schedule_type = "interval"
schedule_config = { type = "seconds", value = 1 }
action = { type = "lamp.blink" }
max_retries = 0
"""


def until(condition, what, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


class Home:
    """A configuration, a state directory, and a folder that pip installs into."""

    def __init__(self, folder):
        self.folder = folder
        self.site = folder / "site"
        self.site.mkdir()
        self.environ = {**os.environ, "PYTHONPATH": str(self.site)}
        self.config = folder / "home.toml"
        self.config.write_text(CONFIG)
        self.processes = []

    # -- plugins

    def wheel(self, version):
        """Build a real wheel of the plugin, without a network."""
        project = self.folder / f"project-{version}"
        package = project / "zoo_lamp"
        package.mkdir(parents=True)
        package.joinpath("__init__.py").write_text(PLUGIN.replace("VERSION", version))
        project.joinpath("pyproject.toml").write_text(PYPROJECT.replace("VERSION", version))
        self._pip("wheel", "--no-build-isolation", "-w", str(self.folder), str(project))
        (wheel,) = self.folder.glob(f"zoo_lamp-{version}-*.whl")
        return wheel

    def install(self, wheel):
        for old in self.site.glob("zoo_lamp-*.dist-info"):
            # What `pip install --target` leaves behind when it upgrades.
            for file in old.iterdir():
                file.unlink()
            old.rmdir()
        self._pip("install", "--upgrade", "--target", str(self.site), str(wheel))

    def _pip(self, verb, *arguments):
        command = [sys.executable, "-m", "pip", verb, "--quiet", "--no-index", "--no-deps"]
        subprocess.run(
            [*command, "--disable-pip-version-check", *arguments],
            check=True,
            capture_output=True,
            timeout=120,
        )

    def write(self, source, name="lamp"):
        """A plugin as pip would leave it, without pip."""
        info = self.site / f"zoo_{name}-1.0.dist-info"
        info.mkdir(exist_ok=True)
        metadata = f"Metadata-Version: 2.1\nName: zoo-{name}\nVersion: 1.0\n"
        info.joinpath("METADATA").write_text(metadata)
        entry = f"[alicia_scheduler.plugins]\n{name} = zoo_{name}\n"
        info.joinpath("entry_points.txt").write_text(entry)
        self.site.joinpath(f"zoo_{name}.py").write_text(source)

    # -- the host

    def start(self, *options, wait=True, **environ):
        socket = self.folder / "state/alicia.sock"
        socket.unlink(missing_ok=True)  # a crash leaves it behind
        with self.folder.joinpath("log").open("ab") as log:
            process = subprocess.Popen(
                [ALICIA, "run", *options, str(self.config)],
                stderr=log,
                env={**self.environ, **environ},
            )
        self.processes.append(process)
        if wait:
            until(lambda: socket.exists() or process.poll() is not None, "the host does not start")
            assert process.poll() is None, self.log()
        return process

    def stop(self, process):
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0, self.log()

    def log(self):
        return self.folder.joinpath("log").read_text()

    def alicia(self, *arguments, code=0):
        answer = subprocess.run(
            [ALICIA, *arguments, "--state-dir", str(self.folder / "state")],
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env=self.environ,
        )
        assert answer.returncode == code, answer.stdout + answer.stderr
        return answer.stdout if code == 0 else answer.stdout + answer.stderr

    def plugins(self):
        return {each["name"]: each for each in json.loads(self.alicia("plugins", "list", "--json"))}

    def failed_starts(self):
        return json.loads(self.folder.joinpath("state/plugins.json").read_text())["starts"]["count"]

    def results(self):
        runs = json.loads(self.alicia("executions", "list", "--json"))
        runs = runs if isinstance(runs, list) else runs["executions"]
        return [run["result"] for run in runs if run["status"] == "completed"]


@pytest.fixture
def home(tmp_path):
    made = Home(tmp_path)
    yield made
    for process in made.processes:
        process.kill()
        process.wait()


# -- installed while the host runs -----------------------------------------------------------


def test_a_wheel_that_pip_installs_comes_alive_by_rescan_without_a_restart(home):
    first, second = home.wheel("1.0"), home.wheel("2.0")
    process = home.start()
    home.install(first)
    said = home.alicia("plugins", "rescan")
    assert "added: lamp" in said
    assert "revived: lamp" in said
    until(lambda: {"version": "1.0"} in home.results(), "its event does not run")
    home.install(second)
    said = home.alicia("plugins", "rescan")
    assert "restart needed: lamp" in said
    assert "2.0 is installed, 1.0 is loaded: restart the host" in said
    assert home.plugins()["lamp"]["status"] == "restart-needed"
    assert "→ restart the host" in home.alicia("plugins", "doctor", code=1)
    home.stop(process)
    process = home.start()
    assert home.plugins()["lamp"]["status"] == "active"
    until(lambda: {"version": "2.0"} in home.results(), "the new one does not run")
    home.stop(process)


def test_a_plugin_is_disabled_and_enabled_in_a_running_host_and_that_outlives_it(home):
    home.write(PLUGIN)
    process = home.start()
    assert "plugin lamp is disabled" in home.alicia("plugins", "disable", "lamp")
    assert home.plugins()["lamp"]["status"] == "disabled"
    home.stop(process)
    process = home.start()
    assert home.plugins()["lamp"]["status"] == "disabled"
    said = home.alicia("plugins", "enable", "lamp")
    assert "revived: lamp" in said
    until(home.results, "its event does not run")
    home.stop(process)


# -- without a host --------------------------------------------------------------------------


def test_show_has_the_options_with_type_default_and_meaning(home):
    home.write(PLUGIN)
    said = home.alicia("plugins", "show", "lamp").splitlines()
    assert said[0] == "lamp: zoo-lamp 1.0"
    assert "action type lamp.blink: blinks a lamp" in said
    options = [line.split() for line in said if line.startswith("  times ")]
    assert options == [["times", "whole", "number", "1", "how", "often."]]


def test_show_as_json_has_the_schema(home):
    home.write(PLUGIN)
    shown = json.loads(home.alicia("plugins", "show", "lamp", "--json"))
    assert shown["plugin"]["status"] == "active"
    assert shown["types"][0]["config"]["$defs"]["Blink"]["properties"]["times"]["default"] == 1


def test_show_of_a_plugin_that_is_not_there_names_the_nearest(home):
    home.write(PLUGIN)
    assert "did you mean 'lamp'?" in home.alicia("plugins", "show", "lmap", code=1)


def test_doctor_says_what_to_do_about_each(home):
    home.write("import missing_lamps")
    info = home.site / "zoo_lamp-1.0.dist-info/METADATA"
    info.write_text(info.read_text() + "Requires-Dist: missing-lamps\n")
    home.write("raise OSError('no tide')", "tide")
    said = home.alicia("plugins", "doctor", code=1)
    assert "→ pip install missing-lamps; then restart the host" in said
    assert "tide (zoo-tide 1.0) is broken" in said
    assert "→ pip install --upgrade zoo-tide, or tell its author" in said


def test_doctor_is_content_when_all_is_well(home):
    assert home.alicia("plugins", "doctor") == "all plugins are as they should be\n"


def test_what_is_disabled_without_a_host_is_not_imported_by_the_next(home):
    home.write("raise AssertionError('imported')")
    assert "from its next start on" in home.alicia("plugins", "disable", "lamp")
    assert home.plugins()["lamp"]["status"] == "disabled"
    home.stop(home.start())
    assert "imported" not in home.log()
    home.alicia("plugins", "enable", "lamp")
    assert home.plugins()["lamp"]["status"] == "broken"


def test_a_plugin_that_is_not_there_cannot_be_disabled(home):
    assert "there is no plugin 'tide'" in home.alicia("plugins", "disable", "tide", code=1)


def test_rescan_without_a_host_says_that_none_is_needed(home):
    assert "when it starts" in home.alicia("plugins", "rescan", code=3)


# -- safe mode and --no-plugins --------------------------------------------------------------

DEADLY = "import os\nos._exit(9)"


def test_a_plugin_that_ends_the_process_is_left_out_after_three_starts(home):
    home.write(DEADLY, "deadly")
    home.write(PLUGIN)
    for _ in range(3):
        assert home.start(wait=False).wait(timeout=60) == 9
    process = home.start()
    plugins = home.plugins()
    assert plugins["deadly"]["status"] == "disabled"
    assert "each while the plugin deadly was imported" in plugins["deadly"]["reason"]
    assert plugins["lamp"]["status"] == "active"
    assert "safe mode" in home.log()
    until(home.results, "a healthy plugin's event does not run")
    home.stop(process)
    # The stop in order ended the row, so all are tried again.
    assert home.start(wait=False).wait(timeout=60) == 9


LATE = PLUGIN.replace(
    "async def run(self, config, execution):",
    "async def run(self, config, execution):\n        import os; os._exit(9)",
)


def test_a_host_that_dies_soon_after_its_start_again_and_again_leaves_strangers_out(home):
    home.write(LATE)
    for _ in range(3):
        assert home.start(wait=False).wait(timeout=60) == 9
    process = home.start()
    assert home.plugins()["lamp"]["status"] == "disabled"
    assert home.plugins()["schedule-interval"]["status"] == "active"
    home.stop(process)


def test_who_switches_safe_mode_off_keeps_all_plugins(home):
    home.write(DEADLY, "deadly")
    good = home.config.read_text()
    home.config.write_text(good.replace("[scheduler]", "[scheduler]\nsafe_mode = false"))
    for _ in range(4):
        assert home.start(wait=False).wait(timeout=60) == 9


def test_a_start_that_is_stopped_or_refused_for_a_reason_that_is_said_does_not_count(home):
    home.write(DEADLY, "deadly")
    for _ in range(2):
        assert home.start(wait=False).wait(timeout=60) == 9
    good = home.config.read_text()
    home.config.write_text(good + "[colours]\n")
    for _ in range(2):
        assert home.start("--no-plugins=deadly", wait=False).wait(timeout=60) == 1
    home.config.write_text(good)
    assert (
        json.loads(home.folder.joinpath("state/plugins.json").read_text())["starts"]["count"] == 2
    )
    home.stop(home.start("--no-plugins=deadly"))
    assert (
        json.loads(home.folder.joinpath("state/plugins.json").read_text())["starts"]["count"] == 0
    )


@pytest.mark.parametrize(
    ("options", "environ"),
    [
        (["--no-plugins"], {}),
        (["--no-plugins=deadly,lamp"], {}),
        ([], {"ALICIA_NO_PLUGINS": "*"}),
    ],
)
def test_no_plugins_starts_without_them(home, options, environ):
    home.write(DEADLY, "deadly")
    home.write(PLUGIN)
    process = home.start(*options, **environ)
    plugins = home.plugins()
    assert plugins["deadly"]["reason"] == "it is left out by --no-plugins"
    assert plugins["lamp"]["status"] == "disabled"
    assert plugins["schedule-interval"]["status"] == "active"
    home.stop(process)
