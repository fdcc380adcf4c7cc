"""Verbs that plugins bring to the command line: there when they are meant, and never in the way."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ALICIA = str(Path(sys.executable).parent / "alicia")

HEAD = """
import click
from pathlib import Path
from alicia_scheduler.api import hookimpl

Path(__file__).with_suffix(".imported").touch()
"""

GREETING = """
@click.command("greet")
@click.argument("whom")
@click.option("--loud", is_flag=True)
def greet(whom, loud):
    '''Say hello to somebody.'''
    click.echo(f"hello {whom}".upper() if loud else f"hello {whom}")

@hookimpl
def alicia_commands():
    yield greet
"""


class Shelf:
    """A folder of fake distributions, as pip would leave them, and a command line beside it."""

    def __init__(self, folder):
        self.folder = folder / "site"
        self.folder.mkdir()
        self.state = folder / "state"

    def install(self, plugin, source):
        module = f"shelf_{plugin}"
        (self.folder / f"{module}.py").write_text(HEAD + source)
        info = self.folder / f"shelf_{plugin}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: shelf-{plugin}\nVersion: 1.0\n"
        )
        (info / "RECORD").write_text(f"{module}.py,,\n")
        (info / "entry_points.txt").write_text(f"[alicia_scheduler.plugins]\n{plugin} = {module}\n")

    def imported(self, plugin):
        return (self.folder / f"shelf_{plugin}.imported").exists()

    def __call__(self, *arguments, **variables):
        environment = {
            **os.environ,
            "PYTHONPATH": str(self.folder),
            "ALICIA_STATE_DIR": str(self.state),
            "COLUMNS": "200",
            **variables,
        }
        return subprocess.run(
            [ALICIA, *arguments],
            env=environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@pytest.fixture
def shelf(tmp_path):
    return Shelf(tmp_path)


def test_a_verb_of_a_plugin_runs_with_its_arguments_and_is_in_the_help(shelf):
    shelf.install("kind", GREETING)
    said = shelf("greet", "world", "--loud")
    assert (said.returncode, said.stdout, said.stderr) == (0, "HELLO WORLD\n", "")
    assert "Say hello to somebody." in shelf("greet", "--help").stdout
    (line,) = (line for line in shelf("--help").stdout.splitlines() if "greet" in line)
    assert line.split() == ["greet", "Say", "hello", "to", "somebody.", "(kind)"]
    assert shelf("greet").returncode == 2


def test_a_verb_of_a_plugin_completes(shelf):
    shelf.install("kind", GREETING)
    for words, at, offered in (("alicia gr", "1", "greet"), ("alicia greet --l", "2", "--loud")):
        found = shelf(_ALICIA_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=at)
        assert offered in found.stdout


def test_a_plugin_without_verbs_is_not_imported_for_the_help(shelf):
    shelf.install("quiet", "")
    assert shelf("--help").returncode == 0
    assert shelf("no-such-verb").returncode == 2
    assert not shelf.imported("quiet")


def test_alicias_own_verbs_import_no_plugin_for_their_sake(shelf):
    shelf.install("kind", GREETING)
    assert shelf("tokens", "list").returncode == 0
    assert not shelf.imported("kind")


def test_a_verb_with_the_name_of_one_of_alicias_loses_and_that_is_said(shelf):
    shelf.install("greedy", GREETING.replace('"greet"', '"tokens"'))
    assert "no tokens" in shelf("tokens", "list").stdout
    sentence = "plugin greedy: the verb 'tokens' is Alicia's own"
    assert sentence in shelf("--help").stdout
    doctor = shelf("plugins", "doctor")
    assert doctor.returncode == 1
    assert sentence in doctor.stderr


def test_of_two_plugins_with_one_verb_the_first_keeps_it_and_that_is_said(shelf):
    shelf.install("beta", GREETING.replace("hello", "beta"))
    shelf.install("alpha", GREETING.replace("hello", "alpha"))
    assert shelf("greet", "you").stdout == "alpha you\n"
    told = shelf("--help").stdout
    assert "plugin beta: the verb 'greet' is already that of plugin alpha" in told


@pytest.mark.parametrize("name", ["Greet", "gr eet", "-x", "", "gr\x1b[31m"])
def test_a_name_that_is_none_is_left_out_and_said(shelf, name):
    shelf.install("odd", GREETING.replace('"greet"', repr(name)))
    told = shelf("--help")
    assert told.returncode == 0
    assert "Left out: plugin odd: " in told.stdout
    assert "\x1b" not in told.stdout


@pytest.mark.parametrize(
    "source",
    [
        "raise OSError('no such \\x1b[31mluck')  # alicia_commands\n",
        "import sys; sys.exit(7)  # alicia_commands\n",
        "@hookimpl\ndef alicia_commands():\n    yield 'greet'\n",
        "@hookimpl\ndef alicia_commands():\n    raise KeyError('greet')\n",
        "def broken(:  # alicia_commands\n",
    ],
)
def test_a_broken_plugin_takes_nothing_but_its_own_verbs_away(shelf, source):
    shelf.install("broken", source)
    shelf.install("kind", GREETING)
    told = shelf("--help")
    assert told.returncode == 0
    assert "Left out: plugin broken is broken: " in told.stdout
    assert "\x1b" not in told.stdout
    assert shelf("greet", "world").stdout == "hello world\n"
    assert shelf("tokens", "list").returncode == 0
    lost = shelf("wave")
    assert lost.returncode == 2
    assert "plugin broken is broken" in lost.stderr
    assert "No such command 'wave'" in lost.stderr


def test_a_verb_that_fails_is_told_in_one_sentence_with_its_plugin(shelf):
    shelf.install("kind", GREETING.replace("click.echo(", "raise OSError("))
    said = shelf("greet", "world")
    assert said.returncode == 1
    assert said.stderr.startswith(
        "alicia: the verb greet of plugin kind failed: OSError: hello world ("
    )
    assert said.stderr.count("\n") == 1


def test_a_plugin_that_is_disabled_is_left_alone(shelf):
    shelf.install("kind", GREETING)
    assert shelf("plugins", "disable", "kind").returncode == 0
    (shelf.folder / "shelf_kind.imported").unlink(missing_ok=True)
    lost = shelf("greet", "world")
    assert lost.returncode == 2
    assert "plugin kind is disabled" in lost.stderr
    assert not shelf.imported("kind")
