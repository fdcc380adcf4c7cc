"""What is refused when the event is written, and in which words."""

import pytest

from alicia_action_script.config import Limits, ScriptConfig, ScriptSettings, check_script
from alicia_scheduler.api import ConfigError
from alicia_scheduler.config.convert import convert, json_schema
from alicia_scheduler.host.recipes import read_options

GOOD = {"command": ["/bin/true"]}

WRONG = {
    "command missing": ({"command": None}, "command"),
    "command a number": ({"command": 7}, "command"),
    "command an empty list": ({"command": []}, "command"),
    "command an empty string": ({"command": " ", "shell": True}, "command"),
    "command a string without a shell": ({"command": "ls -l"}, "command"),
    "command a list with a shell": ({"command": ["ls"], "shell": True}, "command"),
    "command with an empty name": ({"command": ["", "x"]}, "command"),
    "command with a number in it": ({"command": ["/bin/sleep", 5]}, "command"),
    "command with NUL": ({"command": ["/bin/echo", "a\0b"]}, "command"),
    "command with an endless argument": ({"command": ["/bin/echo", "x" * 200_000]}, "command"),
    "command relative to nothing": ({"command": ["./backup.sh"]}, "command"),
    "shell a string": ({"shell": "yes"}, "shell"),
    "cwd relative": ({"cwd": "data"}, "cwd"),
    "cwd with NUL": ({"cwd": "/a\0b"}, "cwd"),
    "cwd a number": ({"cwd": 1}, "cwd"),
    "user a number": ({"user": 1000}, "user"),
    "user empty": ({"user": ""}, "user"),
    "user with a colon": ({"user": "nobody:nogroup"}, "user"),
    "env a list": ({"env": ["A=1"]}, "env"),
    "env with a bad name": ({"env": {"A-B": "1"}}, "env"),
    "env with a number": ({"env": {"A": 1}}, "env"),
    "env with NUL": ({"env": {"A": "a\0b"}}, "env"),
    "env with our name": ({"env": {"ALICIA_SLOT": "now"}}, "env"),
    "pass_env a string": ({"pass_env": "DISPLAY"}, "pass_env"),
    "pass_env with a bad name": ({"pass_env": ["A=1"]}, "pass_env"),
    "pass_env with our name": ({"pass_env": ["ALICIA_RUN"]}, "pass_env"),
    "stdin that has no form": ({"stdin": {"at": object()}}, "stdin"),
    "stdin half a character": ({"stdin": "\ud800"}, "stdin"),
    "grace negative": ({"grace": -1.0}, "grace"),
    "grace too long": ({"grace": 61.0}, "grace"),
    "grace text": ({"grace": "1s"}, "grace"),
    "success_codes a number": ({"success_codes": 0}, "success_codes"),
    "success_codes empty": ({"success_codes": []}, "success_codes"),
    "success_codes beyond a byte": ({"success_codes": [256]}, "success_codes"),
    "parse_json a number": ({"parse_json": 1}, "parse_json"),
    "output_limit too small": ({"output_limit": 10}, "output_limit"),
    "output_limit too large": ({"output_limit": 10**9}, "output_limit"),
    "live_output text": ({"live_output": "no"}, "live_output"),
    "limits a number": ({"limits": 5}, "limits"),
    "limits with an unknown key": ({"limits": {"cpu_secnds": 5}}, "cpu_secnds"),
    "limits.cpu_seconds zero": ({"limits": {"cpu_seconds": 0}}, "cpu_seconds"),
    "limits.cpu_seconds a fraction": ({"limits": {"cpu_seconds": 0.5}}, "cpu_seconds"),
    "limits.memory too small": ({"limits": {"memory": 1}}, "memory"),
    "limits.memory text": ({"limits": {"memory": "1G"}}, "memory"),
    "limits.file_size negative": ({"limits": {"file_size": -1}}, "file_size"),
    "limits.processes zero": ({"limits": {"processes": 0}}, "processes"),
    "limits.open_files too few": ({"limits": {"open_files": 2}}, "open_files"),
    "limits.nice too high": ({"limits": {"nice": 20}}, "nice"),
    "no_new_privs text": ({"no_new_privs": "on"}, "no_new_privs"),
    "an unknown key": ({"comand": ["ls"]}, "comand"),
}


@pytest.mark.parametrize(("fields", "name"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_field_is_refused_by_its_name_with_the_fix(fields, name):
    raw = {key: value for key, value in {**GOOD, **fields}.items() if value is not None}
    with pytest.raises(ConfigError) as refusal:
        convert(raw, ScriptConfig, path=("action",))
    error = refusal.value
    assert name in str(error)
    assert error.hint or "must " in error.message, str(error)
    assert len(str(error)) < 400


def test_each_field_is_among_the_wrong_ones():
    tried = {name for fields, name in WRONG.values()}
    fields = {*ScriptConfig.__struct_fields__, *Limits.__struct_fields__}
    assert fields <= tried


def test_a_program_and_nothing_else_is_enough():
    config = convert(GOOD, ScriptConfig)
    assert config.argv == ["/bin/true"]
    assert (config.cwd, config.success_codes, config.stdin) == ("/", (0,), None)


def test_a_program_may_be_relative_to_cwd():
    config = convert({"command": ["./backup.sh"], "cwd": "/srv"}, ScriptConfig)
    assert config.argv == ["./backup.sh"]


def test_arguments_are_never_split():
    argument = "a b; $(reboot) \n \" ' -rf *"
    assert convert({"command": ["/bin/echo", argument]}, ScriptConfig).argv[1] == argument


def test_a_shell_gets_the_string_as_it_is():
    config = convert({"command": "echo $HOME | wc", "shell": True}, ScriptConfig)
    assert config.argv == ["/bin/sh", "-c", "echo $HOME | wc"]


def test_a_shell_needs_the_hosts_word():
    config = convert({"command": "ls", "shell": True}, ScriptConfig)
    with pytest.raises(ConfigError) as refusal:
        check_script(config, ScriptSettings())
    assert refusal.value.path == ("shell",)
    assert "[plugins.action-script]" in str(refusal.value)
    check_script(config, ScriptSettings(shell=True))


def test_it_has_a_json_schema():
    assert "success_codes" in str(json_schema(ScriptConfig))


def test_what_a_template_makes_may_be_the_whole_command():
    for command in ("{{ ['true'] }}", {"secret": "line"}):
        issues = []
        options = {"command": command}
        read_options(options, ScriptConfig, issues, path=("action",), templates=True)
        assert not issues
