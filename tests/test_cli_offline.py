"""What the command line does without a host, and what holds for all of its verbs."""

import json
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from tools.cli_reference import PAGE, page

from alicia_scheduler.cli.main import main

ALICIA = str(Path(sys.executable).parent / "alicia")
CONFIG = """
[scheduler]
timezone = "UTC"
[events.lamp]
schedule_type = "interval"
schedule_config = { type = "minutes", value = 5 }
action = { type = "script_execution", command = ["/bin/true"] }
"""


def alicia(*arguments, **options):
    return CliRunner().invoke(main, arguments, **options)


def verbs(group=main, path=(), context=None):
    """Every command with its path."""
    context = context or click.Context(main, info_name="alicia")
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from verbs(command, (*path, name), click.Context(command, parent=context))
        else:
            yield (*path, name), command


VERBS = dict(verbs())

WITHOUT_JSON = {
    ("run",),
    ("completion",),
    ("init",),
    ("plugins", "new"),
    ("service", "install"),
    ("service", "uninstall"),
}
"""What has no answer but whether it was done."""


# -- all verbs -------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(set(VERBS) - WITHOUT_JSON), ids=" ".join)
def test_every_verb_with_an_answer_has_json(path):
    assert "--json" in {name for item in VERBS[path].params for name in item.opts}


@pytest.mark.parametrize("path", sorted(VERBS), ids=" ".join)
def test_every_verb_says_what_it_is_for(path):
    result = alicia(*path, "--help")
    assert result.exit_code == 0
    assert VERBS[path].help
    for item in VERBS[path].params:
        assert isinstance(item, click.Argument) or _explained(item), item.name


def _explained(option):
    return option.help or option.is_eager or option.hidden


HOSTLY = sorted(
    path for path, command in VERBS.items() if "url" in {item.name for item in command.params}
)


@pytest.mark.parametrize("path", HOSTLY, ids=" ".join)
def test_every_verb_that_speaks_to_a_host_takes_a_token_only_from_places_it_can_hide_in(path):
    found = {item.name: item for item in VERBS[path].params}
    assert found["token"].envvar == "ALICIA_TOKEN"
    assert "token_file" in found


NEEDS_HOST = [
    ["events", "trigger", "x"],
    ["events", "add", "x", "--every", "1h", "--command", "/bin/true"],
    ["events", "edit", "x", "--set", "timeout=1"],
    ["executions", "cancel", "x"],
    ["health"],
    ["stats"],
    ["pause"],
    ["resume"],
    ["reload"],
    ["backup"],
    ["tail"],
    ["top"],
]


@pytest.mark.parametrize("arguments", NEEDS_HOST, ids=" ".join)
def test_without_a_host_the_exit_code_is_3_and_what_to_do_is_said(arguments, tmp_path):
    result = alicia(*arguments, "--state-dir", str(tmp_path))
    assert result.exit_code == 3
    assert "alicia run CONFIG" in result.stderr


@pytest.mark.parametrize(
    "options",
    [["--url", "http://host"], ["--url", "ws://host", "--state-dir", "x"]],
)
def test_an_address_that_cannot_be_meant_is_wrong_usage(options):
    assert alicia("health", *options).exit_code == 2


def test_the_reference_is_in_step_with_the_commands():
    assert PAGE.read_text() == page(), "run: make reference"


def test_a_reader_that_goes_away_is_no_error():
    command = f"{ALICIA} preview cron '* * * * *' -n 20000 --json | head -n 1"
    found = subprocess.run(
        ["/bin/sh", "-c", command], capture_output=True, text=True, timeout=60, check=False
    )
    assert found.stdout == "{\n"
    assert found.stderr == ""


def test_a_verb_that_is_misspelt_is_wrong_usage():
    assert alicia("evnts").exit_code == 2


# -- init ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--timezone", "Europe/Berlin", "--broker", "broker.lan", "--port", "8883"],
        ["--broker", "none", "--event", "a.b", "--every", "1.5s"],
        ["--state-dir", '/var/lib/"odd" name', "--topic", "home/ä"],
    ],
)
def test_what_init_writes_passes_check(options, tmp_path):
    file = str(tmp_path / "new.toml")
    assert alicia("init", file, "--yes", *options).exit_code == 0
    checked = alicia("check", file)
    assert checked.exit_code == 0, checked.output
    assert "1 events" in checked.stdout


def test_init_never_overwrites(tmp_path):
    file = tmp_path / "new.toml"
    file.write_text("mine")
    assert alicia("init", str(file), "--yes").exit_code == 1
    link = tmp_path / "link.toml"
    link.symlink_to(tmp_path / "elsewhere")
    assert alicia("init", str(link), "--yes").exit_code == 1
    assert file.read_text() == "mine"
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    "options",
    [["--timezone", "Mars"], ["--every", "often"], ["--event", "-x"], ["--broker", "a\nb"]],
)
def test_an_answer_that_cannot_be_is_wrong_usage_and_nothing_is_written(options, tmp_path):
    file = tmp_path / "new.toml"
    assert alicia("init", str(file), "--yes", *options).exit_code == 2
    assert not file.exists()


# -- import crontab --------------------------------------------------------------------------

CRONTAB = r"""
SHELL=/bin/sh
MAILTO=root
# Nightly backup
30 2 * * 1-5 /usr/local/bin/backup --to "/mnt/big disk"
@reboot /usr/bin/start-me
*/5 * * * * cd /srv && ./poll >/dev/null 2>&1
CRON_TZ=Europe/Berlin
@daily mail -s "100\% done" me%Hello%there
0 22-2 * * * /bin/x
0 0 13 * fri docker ps --format '{{.Names}}'
"""


def test_a_crontab_becomes_a_configuration_that_passes_check(tmp_path):
    source, target = tmp_path / "crontab", tmp_path / "events.toml"
    source.write_text(CRONTAB)
    result = alicia("import", "crontab", str(source), "--output", str(target))
    assert result.exit_code == 1
    assert [line.partition(": ")[0] for line in result.stderr.splitlines()] == ["alicia"] * 3
    for line in (3, 6, 10):
        assert f"line {line}:" in result.stderr
    events = tomllib.loads(target.read_text())["events"]
    assert events.keys() == {"nightly-backup", "srv", "mail", "docker"}
    target.write_text("[plugins.action-script]\nshell = true\n" + target.read_text())
    checked = alicia("check", str(target))
    assert checked.exit_code == 0, checked.output


def test_a_crontab_on_standard_output_is_nothing_but_toml():
    result = alicia("import", "crontab", "-", input="0 0 * * * /bin/true\n")
    assert result.exit_code == 0
    assert tomllib.loads(result.stdout)["events"].keys() == {"true"}


def test_an_import_never_overwrites(tmp_path):
    target = tmp_path / "events.toml"
    target.write_text("mine")
    result = alicia("import", "crontab", "-", "--output", str(target), input="0 0 * * * /bin/x\n")
    assert result.exit_code == 1
    assert target.read_text() == "mine"


def test_what_is_imported_runs_when_cron_ran_it(tmp_path):
    target = tmp_path / "events.toml"
    alicia("import", "crontab", "-", "--output", str(target), input="0 0 13 * fri /bin/true\n")
    arguments = ("--from", "2026-11-01", "-n", "5", "--config", str(target), "--json")
    slots = json.loads(alicia("preview", "true", *arguments).stdout)["slots"]
    days = [slot["local"][:10] for slot in slots]
    assert days == ["2026-11-06", "2026-11-13", "2026-11-20", "2026-11-27", "2026-12-04"]


def test_a_character_that_the_encoding_of_the_terminal_lacks_is_printed_by_its_number(tmp_path):
    found = subprocess.run(
        [ALICIA, "init", "\u2615-\xe4.toml"],
        env={**os.environ, "PYTHONIOENCODING": "latin-1"},
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )
    assert b"\\u2615-\xe4.toml is written" in found.stdout


def test_what_a_signal_cuts_short_is_printed_to_its_end_also_where_python_does_not_buffer(tmp_path):
    """A signal in the middle of a line that the reader has no room for: the rest must follow."""
    code = (
        "import signal, sys\n"
        "from alicia_scheduler.cli.main import main\n"
        "main(['tokens', 'list'], standalone_mode=False)\n"
        "signal.signal(signal.SIGUSR1, lambda *_: None)\n"
        "sys.stdout.write('x' * 1_000_000 + 'end\\n')\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONUNBUFFERED": "1", "ALICIA_STATE_DIR": str(tmp_path)},
        stdout=subprocess.PIPE,
    ) as process:
        # A pipe holds 64 KiB, so that it still writes whenever there is more to read.
        printed = process.stdout.read(100_000)
        process.send_signal(signal.SIGUSR1)
        printed += process.stdout.read()
    assert printed.endswith(b"end\n")
    assert printed.count(b"x") == 1_000_000


# -- completion ------------------------------------------------------------------------------


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_script(shell):
    result = alicia("completion", shell)
    assert result.exit_code == 0
    assert "_ALICIA_COMPLETE" in result.stdout


def completing(words, tmp_path):
    return {
        "_ALICIA_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split(" ")) - 1),
        "ALICIA_STATE_DIR": str(tmp_path / "nowhere"),
        "PATH": "/usr/bin:/bin",
    }


def completed(words, tmp_path):
    env = completing(words, tmp_path)
    found = subprocess.run(
        [ALICIA], env=env, capture_output=True, text=True, timeout=60, check=True
    )
    assert found.stderr == ""
    return [line.partition(",")[2] for line in found.stdout.split()]


def test_verbs_complete(tmp_path):
    assert completed("alicia ev", tmp_path) == ["events"]
    assert "skip" in completed("alicia events s", tmp_path)


@pytest.mark.parametrize("words", ["alicia ev", "alicia events show l"])
def test_completion_waits_for_nothing_that_only_a_host_needs(tmp_path, words):
    code = "import sys; from alicia_scheduler.cli.main import main\ntry:\n"
    code += "    main(prog_name='alicia')\nfinally:\n"
    code += "    print([name for name in ('trio', 'rich', 'wsproto') if name in sys.modules])"
    found = subprocess.run(
        [sys.executable, "-c", code],
        env=completing(words, tmp_path),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stdout.splitlines()[-1] == "[]", found.stderr


def test_the_names_of_plugins_complete(tmp_path):
    assert "mqtt" in completed("alicia plugins show m", tmp_path)


def test_a_store_that_is_not_there_completes_nothing_and_fails_nothing(tmp_path):
    assert completed("alicia events show x", tmp_path) == []
    assert completed("alicia executions show x", tmp_path) == []


# -- without a host --------------------------------------------------------------------------


def test_what_is_not_there_yet_says_what_makes_it(tmp_path):
    result = alicia("events", "list", "--state-dir", str(tmp_path / "state"))
    assert result.exit_code == 1
    assert "alicia run" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [["preview", "lamp"], ["simulate"], ["check"]],
)
def test_a_configuration_is_looked_at_without_any_host(arguments, tmp_path):
    file = tmp_path / "home.toml"
    file.write_text(CONFIG)
    place = ["--config", str(file)] if arguments[0] == "preview" else [str(file)]
    assert alicia(*arguments, *place).exit_code == 0
