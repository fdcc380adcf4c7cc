"""The commands of docs/howto/migrate-from-cron.md are run, and print what the page shows."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from alicia_scheduler.cli.main import main

PAGE = (Path(__file__).parent.parent / "docs/howto/migrate-from-cron.md").read_text()


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def sessions():
    """Each command of the page with what it prints there."""
    for block in blocks("console"):
        for session in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = session.partition("\n")
            yield command, output


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Where the page's crontab is, with its zone."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TZ", "UTC")
    (tmp_path / "my.crontab").write_text(blocks("crontab")[0])
    return tmp_path


def run(command):
    words = shlex.split(command)
    assert words.pop(0) == "alicia"
    return CliRunner().invoke(main, words)


def test_the_commands_print_what_the_page_shows(place):
    shown = [session for session in sessions() if session[1]]
    assert len(shown) == 2
    for command, output in shown:
        if "preview" in command:
            (place / "crontab.toml").write_text(
                "[plugins.action-script]\nshell = true\n" + (place / "crontab.toml").read_text()
            )
        result = run(command)
        assert sorted(result.output.splitlines()) == sorted(output.splitlines()), command


def test_the_event_of_the_page_is_the_one_that_is_made(place):
    run(next(sessions())[0])
    made = tomllib.loads((place / "crontab.toml").read_text())["events"]["nightly-backup"]
    shown = tomllib.loads(blocks("toml")[0])["events"]["nightly-backup"]
    assert shown.pop("action").items() <= made.pop("action").items()
    assert shown == made


def test_every_command_of_the_page_exists(place):
    for command, _ in sessions():
        assert run(f"{command} --help").exit_code == 0
    for command in re.findall(r"`(?:[^`]*\| )?(alicia [^`]+)`", PAGE):
        words = [word for word in shlex.split(command) if not word.startswith("-")]
        group = main
        for word in words[1:3]:
            group = group.get_command(None, word) if hasattr(group, "get_command") else group
            assert group is not None, command
