"""Where the commands of a page are played: a folder, a port, the programs of this repository."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path

HOME = """\
[scheduler]
timezone = "Europe/Berlin"

[sinks.log]

[events.morning-lights]
name = "Kitchen lights"
schedule_type = "cron"
schedule_config = { expression = "30 6 * * mon-fri" }
action = { type = "script_execution", command = ["/bin/true"] }
"""
"""The ``home.toml`` of a page that shows none."""

LAMP = """\
import contextlib

import msgspec

from alicia_scheduler.api import ActionType, hookimpl


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Blink:
    async def run(self, config, execution):
        return None


@contextlib.asynccontextmanager
async def open_blink(context):
    yield Blink()


@hookimpl
def alicia_action_types():
    yield ActionType(name="lamp.blink", config=Options, open=open_blink)
"""

PATIENCE = 60
"""Seconds until something that should happen counts as not happening."""


class Stage:
    """Plays the blocks of one page in order, and ends what they left running.

    The well-known port of MQTT stands in pages for one that is free here.
    """

    def __init__(self, folder):
        self.folder = folder
        self.port = _free_port()
        self.running = []
        self.host = None
        folder.joinpath("home.toml").write_text(HOME)
        kept = {key: os.environ[key] for key in ("LANG", "TMPDIR") if key in os.environ}
        programs = [str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"]
        site = folder / "site"
        wheel_of_lamp(folder / "wheels")
        self.environment = kept | {
            # What a page installs is there for its own commands alone.
            "PYTHONPATH": str(site),
            "PIP_TARGET": str(site),
            "PIP_NO_INDEX": "1",
            "PIP_NO_DEPS": "1",
            "PIP_FIND_LINKS": str(folder / "wheels"),
            "PIP_NO_BUILD_ISOLATION": "false",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_NO_CACHE_DIR": "1",
            "PATH": ":".join([*programs, "/usr/sbin", "/usr/local/sbin"]),
            "HOME": str(folder),
            "TZ": "Europe/Berlin",
            "NO_COLOR": "1",
            "COLUMNS": "120",
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def play(self, fence):
        """Do what a block shows.

        Raises:
            AssertionError: it does not work as shown.
        """
        text = self._here(fence.text)
        if fence.file is not None:
            file = self.folder / fence.file
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        elif fence.language == "console":
            self._need_host(fence)
            self._talk(text)
        elif fence.language == "sh":
            self._need_host(fence)
            if "background" in fence.words:
                self._begin(text)
            else:
                done = self._run(text)
                assert done.returncode == 0, f"{text}\n{done.stdout}"

    def close(self):
        """End what runs still."""
        for process in self.running:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
        for process in self.running:
            process.wait(PATIENCE)
            process.stdout.close()

    def _here(self, text):
        return re.sub(r"\b1883\b", str(self.port), text)

    def _run(self, text):
        return subprocess.run(
            ["sh", "-euc", text],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def _talk(self, text):
        """A dialogue: commands behind ``$``, and below each what it prints, ``…`` for anything.
        With nothing below it, a command has to end well."""
        for part in re.split(r"(?m)^\$ ", text)[1:]:
            command, _, expected = part.partition("\n")
            done = self._run(command)
            if expected.strip():
                assert _matches(expected, done.stdout), f"{command}\n{done.stdout}"
            else:
                assert done.returncode == 0, f"{command}\n{done.stdout}"

    def _begin(self, text):
        output = self.folder / f".background-{len(self.running)}"
        process = subprocess.Popen(
            ["sh", "-euc", f"exec >{output} 2>&1\n{text}"],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self.running.append(process)
        if "alicia run" in text:
            self.host = process
            self._wait(lambda: "schedule runs" in output.read_text(), output)
        else:
            self._wait(output.exists, output)

    def _need_host(self, fence):
        if "host" in fence.words.split() and self.host is None:
            self._begin("alicia run home.toml")

    def _wait(self, true, output):
        end = time.monotonic() + PATIENCE
        while not (output.exists() and true()):
            said = output.read_text() if output.exists() else ""
            assert self.running[-1].poll() is None, said
            assert time.monotonic() < end, said
            time.sleep(0.05)


def wheel_of_lamp(folder):
    """A wheel of ``alicia-lamp``, the plugin of somebody else in the examples."""
    info = "alicia_lamp-1.0.dist-info"
    files = {
        "alicia_lamp.py": LAMP,
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: alicia-lamp\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[alicia_scheduler.plugins]\nlamp = alicia_lamp\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    folder.mkdir()
    with zipfile.ZipFile(folder / "alicia_lamp-1.0-py3-none-any.whl", "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)


def _matches(expected, said):
    """Whether output is as shown, blanks at line ends aside."""
    pattern = re.escape(_trimmed(expected)).replace("…", ".*?")
    return re.fullmatch(pattern, _trimmed(said), re.DOTALL) is not None


def _trimmed(text):
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
