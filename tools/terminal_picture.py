"""Draws the terminal of the first screen: real commands, run now, as an SVG.

    python tools/terminal_picture.py > docs/_static/terminal.svg

Nothing in it comes from elsewhere: the fonts are those of whoever looks at it.
"""

from __future__ import annotations

import fcntl
import io
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS, ROWS = 150, 40

HOME = """\
[scheduler]
timezone = "Europe/Berlin"
latitude = 52.52
longitude = 13.405

[sinks.log]

[events.morning-lights]
name = "Kitchen lights"
schedule_type = "cron"
schedule_config = { expression = "30 6 * * mon-fri" }
action = { type = "script_execution", command = ["/bin/true"] }

[events.porch]
name = "Porch light"
schedule_type = "solar"
schedule_config = { event = "sunset", offset_minutes = -15 }
action = { type = "script_execution", command = ["/bin/true"] }

[events.meter]
name = "Read the meter"
schedule_type = "interval"
schedule_config = { type = "seconds", value = 2 }
action = { type = "script_execution", command = ["/bin/true"] }

[events.gate]
name = "Close the gate"
schedule_type = "interval"
schedule_config = { type = "seconds", value = 3 }
max_retries = 1
retry_delay = 2
action = { type = "script_execution", command = ["/bin/false"] }
"""

SECONDS = 8
"""How long the host of the picture runs."""


def main() -> None:
    """Print the picture."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "home.toml").write_text(HOME)
        said = [
            ("alicia check home.toml", run(folder, "alicia check home.toml")),
            ("alicia run home.toml", run(folder, "alicia run home.toml", SECONDS)),
            ("alicia events list", run(folder, "alicia events list")),
        ]
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    for command, output in said:
        console.print(Text.assemble(("$ ", "bold green"), (command, "bold")))
        console.print(Text.from_ansi(output.strip()), overflow="crop", no_wrap=True)
    svg = console.export_svg(title="Alicia Scheduler")
    # rich fetches its font; the reader's own will do.
    svg = re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->\s*", "", svg)
    svg = svg.replace("Fira Code,", "ui-monospace, Menlo, Consolas,")
    sys.stdout.write(svg)


def run(folder: str, command: str, seconds: float | None = None) -> str:
    """What a command says on a terminal; with ``seconds`` it is stopped after so long."""
    here, there = pty.openpty()
    fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    programs = str(Path(sys.executable).parent)
    process = subprocess.Popen(
        command.split(),
        cwd=folder,
        env={
            "PATH": f"{programs}:/usr/bin:/bin",
            "HOME": folder,
            "TERM": "xterm-256color",
            "TZ": "Europe/Berlin",
            "COLUMNS": str(COLUMNS),
            "LINES": str(ROWS),
        },
        stdin=there,
        stdout=there,
        stderr=there if seconds is None else subprocess.DEVNULL,
    )
    os.close(there)
    if seconds is not None:
        time.sleep(seconds)
        process.send_signal(signal.SIGTERM)
    output = b"".join(iter(partial(_read, here), b""))
    process.wait()
    os.close(here)
    return output.decode().replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    """What comes next, or nothing at the end, which a terminal tells by an error."""
    try:
        return os.read(terminal, 65_536)
    except OSError:
        return b""


if __name__ == "__main__":
    main()
