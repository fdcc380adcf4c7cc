"""What deployments are made of: the container's file, and the files of a Debian package."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CONTAINER = ROOT / "packaging/container/Containerfile"
DEBIAN = ROOT / "packaging/debian"


@pytest.fixture(scope="module")
def instructions():
    """The instructions of the container's file: name and arguments, lines joined."""
    text = re.sub(r"(?m)^#.*\n", "", CONTAINER.read_text()).replace("\\\n", " ")
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]
    return [(name, " ".join(rest.split())) for name, rest in lines]


def every(instructions, name):
    return [rest for word, rest in instructions if word == name]


def last_stage(instructions):
    begins = [number for number, (name, _) in enumerate(instructions) if name == "FROM"]
    return instructions[begins[-1] :]


def test_the_linter_finds_nothing():
    program = shutil.which("hadolint", path=f"{Path(sys.executable).parent}:/usr/bin")
    if program is None:
        pytest.skip("hadolint is not there for this machine")
    done = subprocess.run(
        [program, "--no-color", str(CONTAINER)], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("", 0)


def test_every_base_has_a_tag_that_is_not_latest(instructions):
    bases = [rest.split()[0] for rest in every(instructions, "FROM")]
    assert bases
    assert all(re.fullmatch(r"python:3\.\d+-slim-[a-z]+", base) for base in bases)


def test_it_runs_as_a_user_by_number_who_is_not_root(instructions):
    # By number, so that an engine can see that it is not root.
    (user,) = every(last_stage(instructions), "USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)


def test_nothing_is_fetched_beside_packages(instructions):
    assert every(instructions, "ADD") == []
    assert not any(re.search(r"curl|wget|apt-get", rest) for rest in every(instructions, "RUN"))


def test_no_cache_of_packages_is_left_in_it(instructions):
    installs = [rest for rest in every(instructions, "RUN") if "pip install" in rest]
    assert installs
    assert all("--no-cache-dir" in rest and "-c constraints.txt" in rest for rest in installs)


def test_one_command_runs_the_host_without_a_shell_between(instructions):
    (command,) = every(last_stage(instructions), "CMD")
    assert json.loads(command)[:2] == ["alicia", "run"]
    assert every(instructions, "ENTRYPOINT") == []


def test_its_state_is_a_volume_and_its_health_is_asked_for(instructions):
    stage = last_stage(instructions)
    assert every(stage, "VOLUME") == ['["/var/lib/alicia"]']
    assert every(stage, "STOPSIGNAL") == ["SIGTERM"]
    (health,) = every(stage, "HEALTHCHECK")
    assert json.loads(health.partition("CMD ")[2]) == ["alicia", "health"]


def test_everything_that_is_copied_is_there(instructions):
    copied = [rest.split()[0] for rest in every(instructions, "COPY") if "--from" not in rest]
    assert copied
    assert all((ROOT / name).exists() for name in copied)


def test_the_first_configuration_of_the_package_is_right():
    from alicia_scheduler.config.load import load

    assert load(DEBIAN / "home.toml").issues == []
    tomllib.loads((DEBIAN / "home.toml").read_text().replace("# [", "[").replace("# host", "host"))


def test_systemd_makes_the_user_of_the_package(tmp_path):
    program = shutil.which("systemd-sysusers")
    if program is None:
        pytest.skip("systemd-sysusers is not installed")
    (tmp_path / "etc").mkdir()
    file = DEBIAN / "alicia-scheduler.sysusers"
    done = subprocess.run(
        [program, f"--root={tmp_path}", str(file)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (line,) = (tmp_path / "etc/passwd").read_text().splitlines()
    assert line.startswith("alicia:")
    assert line.endswith(":/var/lib/alicia:/usr/sbin/nologin")


def test_the_folders_of_the_package_belong_to_whom_they_should():
    lines = (DEBIAN / "alicia-scheduler.tmpfiles").read_text().splitlines()
    entries = [line.split() for line in lines if not line.startswith("#")]
    assert entries == [
        ["d", "/etc/alicia", "0750", "root", "alicia", "-"],
        ["d", "/var/lib/alicia", "0700", "alicia", "alicia", "-"],
    ]


def test_the_picture_of_the_terminal_fetches_nothing_and_shows_what_there_is():
    picture = (ROOT / "docs/_static/terminal.svg").read_text()
    assert "url(http" not in picture
    assert "@import" not in picture
    shown = re.sub(r"<[^>]+>", "", picture).replace("&#160;", " ")
    for command in ("alicia check home.toml", "alicia run home.toml", "alicia events list"):
        assert command in shown
    for word in ("completed", "retry", "failed"):
        assert word in shown
