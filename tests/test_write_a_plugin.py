"""The page "Write a plugin" is followed word for word, in a clean environment."""

import os
import re
import signal
import socket
import subprocess

from tests.first_plugin import NEEDED, PATIENCE, ROOT, CleanEnvironment, build_wheel

PAGE = ROOT / "docs/howto/write-a-plugin.md"

WAITING = {
    "alicia plugins rescan": "until alicia plugins rescan; do sleep 0.2; done",
    "alicia executions list": "until alicia executions list | grep completed; do sleep 0.2; done",
}
"""A reader looks again when it was too early."""

CHANGE = """
import sys
from pathlib import Path

name, old, new = sys.argv[1:]
file = Path(name)
assert file.read_text().count(old) == 1, f"{name} has not once {old!r}"
file.write_text(file.read_text().replace(old, new))
"""


def script():
    """The page's commands and changes, as one program of the shell."""
    lines = ["set -e"]
    for language, text in re.findall(r"```(sh|diff)\n(.*?)```", PAGE.read_text(), re.DOTALL):
        if language == "sh":
            lines += [WAITING.get(line, line) for line in text.splitlines()]
            continue
        head, *changed = text.splitlines()
        old, new = ("\n".join(each[1:] for each in changed if each[0] == sign) for sign in "-+")
        lines.append(f"change '{head.removeprefix('--- ')}' {quoted(old)} {quoted(new)}")
    return "\n".join(lines)


def quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"


def test_the_page_leads_to_a_plugin_at_work(tmp_path):
    environment = CleanEnvironment(tmp_path / "venv", offline=True)
    environment.install(*(build_wheel(ROOT / project, tmp_path) for project in NEEDED))
    commands = environment.bin
    for name, content in {
        "pip": f'#!/bin/sh\nexec "{environment.python}" -m pip "$@"\n',
        "change": f"#!{environment.python}\n{CHANGE}",
    }.items():
        (commands / name).write_text(content)
        (commands / name).chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    output = tmp_path / "output"
    with output.open("w") as stream:
        process = subprocess.Popen(
            ["bash", "-c", script().replace("7000", str(port))],
            cwd=tmp_path,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
            env={
                **os.environ,
                "PATH": os.pathsep.join([str(commands), os.environ["PATH"]]),
                "PIP_NO_BUILD_ISOLATION": "false",  # which is how pip spells yes
                "PIP_NO_INDEX": "1",
                "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            },
        )
        try:
            code = process.wait(PATIENCE)
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # the lamp and the host
    said = output.read_text()
    assert code == 0, said
    assert said.count(" passed") == 2
    assert "alicia-lamp 0.1.0: no findings" in said
    assert "lamp.send" in said.rpartition("completed")[2]  # what plugins show tells
