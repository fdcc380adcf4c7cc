"""``include``: further files that are read as if they stood in the main one."""

import os

import pytest

from alicia_scheduler.config import includes
from alicia_scheduler.config.load import load

EVENT = """
[events.{name}]
name = "{name}"
schedule_type = "cron"
schedule_config = {{ expression = "0 7 * * *" }}
"""


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "etc"
    (folder / "events.d").mkdir(parents=True)
    return folder


def written(folder, main='include = ["events.d/*.toml"]\n', **files):
    (folder / "home.toml").write_text(main)
    for name, text in files.items():
        (folder / "events.d" / f"{name}.toml").write_text(text)
    return load(folder / "home.toml")


def said(folder, configuration):
    return [str(issue).replace(f"{folder}{os.sep}", "") for issue in configuration.issues]


def test_events_of_all_files_come_together_in_order_of_the_files_names(folder):
    configuration = written(
        folder, b=EVENT.format(name="second"), a=EVENT.format(name="first"), empty=""
    )
    assert configuration.issues == []
    assert list(configuration.events) == ["first", "second"]


def test_limits_calendars_and_secrets_may_be_included_too(folder):
    configuration = written(
        folder,
        a='[limits.pump]\ncapacity = 2\n[calendars.off]\ndates = ["2026-12-24"]\n'
        '[secrets]\nkey = { env = "KEY" }\n',
    )
    assert configuration.issues == []
    assert configuration.limits == {"pump": 2}
    assert len(configuration.calendars["off"]) == 1
    assert list(configuration.secrets) == ["key"]


def test_a_mistake_in_an_included_file_is_told_with_that_file_and_line(folder):
    configuration = written(folder, a="\n[limits.pump]\ncapacity = 0\n")
    assert said(folder, configuration) == [
        "events.d/a.toml:3: limits.pump.capacity: must be at least 1, not 0"
    ]


def test_a_name_that_two_files_define_is_a_mistake_that_names_both_places(folder):
    configuration = written(folder, a=EVENT.format(name="lamp"), b=EVENT.format(name="lamp"))
    assert said(folder, configuration) == [
        f"events.d/b.toml:2: events.lamp: events.lamp is defined already at "
        f"{folder / 'events.d/a.toml'}:2 (remove one of the two, or give it another name)".replace(
            f"{folder}{os.sep}", ""
        )
    ]
    assert configuration.events["lamp"]["name"] == "lamp"


def test_how_the_host_runs_belongs_into_the_main_file(folder):
    configuration = written(folder, a='[scheduler]\ntimezone = "UTC"\n', b="stray = 1\n")
    assert said(folder, configuration) == [
        (
            "events.d/a.toml:1: scheduler: the table 'scheduler' is not read here (an included "
            "file holds events, calendars, limits, secrets; the rest is the main file's)"
        ),
        (
            "events.d/b.toml:1: stray: the key 'stray' is not read here (an included file holds "
            "events, calendars, limits, secrets; the rest is the main file's)"
        ),
    ]


@pytest.mark.parametrize("pattern", ["/etc/passwd", "../other.toml", "a/../../b.toml", "~/x.toml"])
def test_a_path_out_of_the_directory_is_refused(folder, pattern):
    (folder.parent / "other.toml").write_text(EVENT.format(name="stolen"))
    configuration = written(folder, main=f'include = ["{pattern}"]\n')
    (issue,) = configuration.issues
    assert issue.message.endswith("leads out of the configuration's directory")
    assert issue.line == 1
    assert configuration.events == {}


@pytest.mark.parametrize("pattern", ["events.d/*.toml", "events.d/link.toml"])
def test_a_link_out_of_the_directory_is_refused(folder, pattern):
    (folder.parent / "other.toml").write_text(EVENT.format(name="stolen"))
    (folder / "events.d/link.toml").symlink_to(folder.parent / "other.toml")
    configuration = written(folder, main=f'include = ["{pattern}"]\n')
    assert said(folder, configuration) == [
        (
            "home.toml:1: include.0: events.d/link.toml is a link that leads out of the "
            "configuration's directory (put the file itself there)"
        )
    ]
    assert configuration.events == {}


def test_a_file_that_is_named_and_missing_is_a_mistake_but_a_pattern_may_match_nothing(folder):
    configuration = written(folder, main='include = ["none.d/*.toml", "none.toml"]\n')
    assert said(folder, configuration) == ["none.toml: there is no such file (check the path)"]


def test_a_file_is_read_once_however_many_patterns_match_it(folder):
    main = 'include = ["events.d/a.toml", "events.d/*.toml", "**/a.toml", "*.toml"]\n'
    configuration = written(folder, main=main, a=EVENT.format(name="lamp"))
    assert configuration.issues == []
    assert list(configuration.events) == ["lamp"]


def test_a_file_does_not_include_itself(folder):
    configuration = written(folder, main='include = ["home.toml"]\n')
    assert said(folder, configuration) == ["home.toml:1: include.0: a file does not include itself"]


@pytest.mark.parametrize("value", ['"events.d/*.toml"', "[1]", "{ a = 1 }"])
def test_include_is_a_list_of_names(folder, value):
    configuration = written(folder, main=f"include = {value}\n")
    assert [issue.message for issue in configuration.issues] == ["must be a list of file names"]


def test_a_file_that_is_no_toml_is_told_and_the_others_are_read(folder):
    configuration = written(folder, a="x = = 1\n", b=EVENT.format(name="lamp"))
    (issue,) = configuration.issues
    assert (issue.file, issue.line) == (str(folder / "events.d/a.toml"), 1)
    assert list(configuration.events) == ["lamp"]


def test_the_number_of_files_is_bounded(folder, monkeypatch):
    monkeypatch.setattr(includes, "MOST_FILES", 2)
    configuration = written(folder, a="", b="", c=EVENT.format(name="lamp"))
    assert [issue.message for issue in configuration.issues] == ["more than 2 files are included"]
    assert configuration.events == {}
