"""From ``alicia plugins new`` to a plugin that is found, tested and at work in a clean environment.

``python -m tests.first_plugin action sink`` does it for some kinds and prints what each step took.
"""

import json
import signal
import socket
import socketserver
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
import venv
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent
PATIENCE = 300.0
"""Seconds that any one step gets."""

NEEDED = ("core", "plugins/schedule-interval", "plugins/action-script", "plugins/sink-log")
"""Projects whose wheels a host with a single plugin needs: it has to say when, and what."""

EVERY_SECOND = 'schedule_type = "interval"\nschedule_config = { interval = 1.0 }\n'
NOTHING = 'action = { type = "script_execution", command = ["true"] }\n'


def run(*command, cwd=None, env=None):
    """The output of a program that must succeed."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def build_wheel(project, folder):
    """The wheel of a project, built by its own build backend."""
    program = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
    return folder / run(sys.executable, "-c", program, folder, cwd=project).split()[-1]


class CleanEnvironment:
    """A virtual environment in which nothing of this repository is installed but wheels.

    Args:
        folder: where to make it.
        offline: take what others have written, such as trio, from this interpreter's environment,
            without its plugins and without editable installs; otherwise pip installs it as it is
            configured to.
    """

    def __init__(self, folder, *, offline):
        self.bin = folder / "bin"
        self.offline = offline
        venv.create(folder, symlinks=True)
        self.python = self.bin / "python"
        if offline:
            place = Path(
                run(self.python, "-c", "import site; print(site.getsitepackages()[0])").strip()
            )
            for entry in Path(sysconfig.get_path("purelib")).iterdir():
                ours = entry.name.startswith(("alicia", "_alicia", "__editable", "_editable"))
                if not ours and entry.suffix != ".pth":
                    (place / entry.name).symlink_to(entry)

    def install(self, *wheels):
        """Install wheels, as pip does."""
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", self.python]
        if self.offline:
            how = ["--no-deps", "--no-index"]
        else:
            how = ["-c", ROOT / "constraints.txt", "--find-links", Path(wheels[0]).parent]
        run(*pip, "install", "--quiet", *how, *wheels)
        if not self.offline:
            run(*pip, "check")

    def alicia(self, *arguments, cwd=None):
        """The output of ``alicia``."""
        return run(self.bin / "alicia", *arguments, cwd=cwd)


class FirstPlugin:
    """A plugin ``lamp`` of some kinds, on its way.

    Attributes:
        took: seconds that each step took, by its name.
    """

    def __init__(self, kinds, folder, wheels, *, offline=True):
        self.kinds = kinds
        self.folder = folder
        self.project = folder / "alicia-lamp"
        self.log = folder / "host.log"
        self.wheel = None
        self.took = {}
        with self._step("a clean environment with the core"):
            self.environment = CleanEnvironment(folder / "venv", offline=offline)
            core, *plugins = wheels
            self.environment.install(core if offline else f"{core}[testing]", *plugins)

    @contextmanager
    def _step(self, name):
        began = time.perf_counter()
        yield
        self.took[name] = time.perf_counter() - began

    def make(self):
        """``alicia plugins new``, from the wheel's template."""
        kinds = [word for kind in self.kinds for word in ("--kind", kind)]
        with self._step("alicia plugins new"):
            self.environment.alicia("plugins", "new", "lamp", *kinds, "--yes", cwd=self.folder)

    def install(self):
        """Build it and install it."""
        with self._step("build and install"):
            self.wheel = build_wheel(self.project, self.folder)
            self.environment.install(self.wheel)

    def listed(self):
        """What ``alicia plugins list`` says of it."""
        with self._step("alicia plugins list"):
            records = json.loads(self.environment.alicia("plugins", "list", "--json"))
        (record,) = [each for each in records if each["name"] == "lamp"]
        return record

    def run_tests(self):
        """Its own tests, against what is installed."""
        with self._step("pytest"):
            return run(
                self.environment.python, "-m", "pytest", "-q", "-p", "no:cacheprovider",
                cwd=self.project,
            )  # fmt: skip

    def check_types(self):
        """mypy, as the project's own settings have it; pip installs what the project names."""
        with self._step("install ruff and mypy, and run mypy"):
            self.environment.install(f"{self.wheel}[test]")
            run(self.environment.python, "-m", "mypy", cwd=self.project)

    def check(self):
        """What ``alicia plugins check`` finds; the program fails when there is anything."""
        with self._step("alicia plugins check"):
            return json.loads(self.environment.alicia("plugins", "check", "alicia-lamp", "--json"))[
                "findings"
            ]

    def work(self):
        """Start a host with an event of the plugin, wait until each kind has worked, and stop it.

        Returns:
            the executions of all events, newest first.
        """
        with self._step("a host with an event, until it has stopped"), ExitStack() as stack:
            config, signs = self._configuration(stack)
            file = self.folder / "home.toml"
            file.write_text(config)
            log = stack.enter_context(self.log.open("w"))
            host = subprocess.Popen(
                [self.environment.bin / "alicia", "run", file], stdout=log, stderr=log
            )
            stack.callback(host.kill)
            until = time.monotonic() + PATIENCE
            while not all(sign() for sign in signs):
                assert host.poll() is None, self.log.read_text()
                assert time.monotonic() < until, f"no sign of work:\n{self.log.read_text()}"
                time.sleep(0.1)
            host.send_signal(signal.SIGTERM)
            assert host.wait(PATIENCE) == 0, self.log.read_text()
        return self._list("executions")

    def known_events(self):
        """The events that the host knew, by their ids."""
        return {event["event_id"]: event for event in self._list("events")}

    def _list(self, what):
        state = self.folder / "state"
        return json.loads(self.environment.alicia(what, "list", "--state-dir", state, "--json"))

    def _configuration(self, stack):
        """A configuration in which all kinds of the plugin work, and the signs that they did."""
        signs = [lambda: '"event_type":"execution_completed"' in self.log.read_text()]
        when, what, more = EVERY_SECOND, NOTHING, ""
        if "action" in self.kinds:
            port = stack.enter_context(answering()).server_address[1]
            options = f'type = "lamp.send", host = "127.0.0.1", port = {port}, line = "on"'
            what = f"action = {{ {options} }}\n"
        if "schedule" in self.kinds:
            # Its next slot may be weeks away, so another event does the work.
            more += f'[events.monthly]\nschedule_type = "lamp.weekday_of_month"\n{NOTHING}'
            more += 'schedule_config = { weekday = "mon" }\n'
        if "sink" in self.kinds:
            file = self.folder / "told.jsonl"
            more += f'[sinks."lamp.file"]\npath = "{file}"\n'
            signs.append(lambda: file.exists() and "execution_completed" in file.read_text())
        if "service" in self.kinds:
            with socket.create_server(("127.0.0.1", 0)) as free:
                status_port = free.getsockname()[1]
            more += f'[services."lamp.status"]\nport = {status_port}\n'
            signs.append(lambda: "up_since" in first_line(status_port))
        head = f'[scheduler]\ntimezone = "Europe/Berlin"\nstate_dir = "{self.folder / "state"}"\n'
        return f'{head}[sinks.log]\nformat = "json"\n{more}[events.lamp]\n{when}{what}', signs


@contextmanager
def answering():
    """A server that answers each line with ``ok``."""

    class Ok(socketserver.StreamRequestHandler):
        def handle(self):
            self.rfile.readline()
            self.wfile.write(b"ok\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Ok) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


def first_line(port):
    """What somebody tells who connects; nothing while nobody listens."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            return connection.makefile().readline()
    except OSError:
        return ""


def main(kinds):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        began = time.perf_counter()
        wheels = [build_wheel(ROOT / project, folder) for project in NEEDED]
        print(f"{time.perf_counter() - began:6.1f} s  wheels of the core and three plugins")
        plugin = FirstPlugin(kinds or ["action"], folder, wheels, offline=False)
        plugin.make()
        plugin.install()
        assert plugin.listed()["status"] == "active"
        plugin.run_tests()
        whole = sum(list(plugin.took.values())[1:])
        plugin.check()
        plugin.work()
        for step, seconds in plugin.took.items():
            print(f"{seconds:6.1f} s  {step}")
        print(f"{whole:6.1f} s  from alicia plugins new to a plugin that is found and tested")


if __name__ == "__main__":
    main(sys.argv[1:])
