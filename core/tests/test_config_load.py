"""A whole configuration file: its tables, the host's settings, and where a mistake stands."""

from __future__ import annotations

import os
from pathlib import Path
from textwrap import dedent

import pytest

from alicia_scheduler.api import ConfigError
from alicia_scheduler.config.load import Configuration, load
from alicia_scheduler.config.settings import Settings, local_timezone_name


@pytest.fixture
def write(tmp_path: Path):
    def write(text: str) -> Configuration:
        path = tmp_path / "home.toml"
        path.write_text(dedent(text), "utf-8")
        return load(path)

    return write


def said(configuration: Configuration) -> list[str]:
    name = str(configuration.file)
    return [str(issue).replace(name, "home.toml") for issue in configuration.issues]


def test_an_empty_file_is_a_configuration_of_defaults(write) -> None:
    configuration = write("")
    assert configuration.issues == []
    assert configuration.settings == Settings()
    assert (configuration.services, configuration.sinks) == ({}, {})
    assert (configuration.events, configuration.plugins) == ({}, {})


def test_tables_of_plugins_and_events_come_through_raw(write) -> None:
    configuration = write(
        """
        [services.mqtt]
        host = "localhost"
        [sinks.log]
        [events.lamp]
        anything = 1
        [plugins.sink-log]
        enabled = false
        """
    )
    assert configuration.issues == []
    assert configuration.services == {"mqtt": {"host": "localhost"}}
    assert configuration.sinks == {"log": {}}
    assert configuration.events == {"lamp": {"anything": 1}}
    assert configuration.plugins == {"sink-log": {"enabled": False}}


def test_settings_are_read(write) -> None:
    configuration = write(
        """
        [scheduler]
        timezone = "Asia/Kathmandu"
        state_dir = "/var/lib/alicia"
        instance = "gate-way_2"
        max_concurrent = 7
        drain_timeout = 0
        log_level = "debug"
        """
    )
    assert configuration.settings == Settings(
        timezone="Asia/Kathmandu",
        state_dir="/var/lib/alicia",
        instance="gate-way_2",
        max_concurrent=7,
        drain_timeout=0.0,
        log_level="debug",
    )


def test_mistakes_come_in_order_of_lines_with_their_fix(write) -> None:
    configuration = write(
        """\
        log_level = "info"
        [servics.mqtt]
        [sinks]
        log = true
        [scheduler]
        timezone = "Europe/Berln"
        instance = "my host"
        max_concurent = 5
        """
    )
    assert said(configuration) == [
        (
            "home.toml:1: log_level: the key 'log_level' stands outside any table "
            "(write it below [scheduler])"
        ),
        "home.toml:2: servics: unknown table 'servics' (did you mean 'services'?)",
        (
            "home.toml:4: sinks.log: must be a table, not true "
            "(write [sinks.<name>] with its keys below)"
        ),
        (
            "home.toml:6: scheduler.timezone: unknown time zone 'Europe/Berln' "
            "(did you mean 'Europe/Berlin'?)"
        ),
        (
            "home.toml:7: scheduler.instance: must match the pattern '^[A-Za-z0-9_-]{1,64}\\\\Z', "
            "not 'my host' (1 to 64 of A-Z a-z 0-9 _ -)"
        ),
        (
            "home.toml:8: scheduler.max_concurent: unknown key 'max_concurent' "
            "(did you mean 'max_concurrent'?)"
        ),
    ]


def test_checking_goes_on_with_default_settings(write) -> None:
    configuration = write("[scheduler]\nmax_concurrent = 0\n[events.a]\n")
    assert configuration.settings == Settings()
    assert configuration.events == {"a": {}}


@pytest.mark.parametrize("name", ["limit", "event"])
def test_tables_that_mean_nothing_yet_are_refused(write, name: str) -> None:
    (issue,) = write(f"[{name}.a]\n").issues
    assert (issue.path, issue.line) == ((name,), 1)


@pytest.mark.parametrize("group", ["services", "sinks", "events", "plugins", "scheduler"])
def test_a_group_that_is_no_table_is_one_mistake(write, group: str) -> None:
    (issue,) = write(f"{group} = 3\n").issues
    assert "must be a table, not the number 3" in issue.message


@pytest.mark.parametrize(
    "line",
    [
        'timezone = "CEST"',
        "timezone = 2",
        'state_dir = ""',
        'state_dir = "a\\u0000b"',
        'instance = ""',
        'instance = "a/b"',
        'instance = "a\\n"',
        "max_concurrent = 0",
        "max_concurrent = 1.5",
        "drain_timeout = -1",
        "drain_timeout = inf",
        'log_level = "loud"',
    ],
)
def test_a_setting_that_means_nothing_is_refused_in_its_line(write, line: str) -> None:
    (issue,) = write(f"[scheduler]\n\n{line}\n").issues
    assert (issue.path, issue.line) == (("scheduler", line.split()[0]), 3)


def test_a_mistake_found_later_gets_file_and_line(write) -> None:
    configuration = write(
        """\
        [events.lamp]
        schedule_type = "cron"
        schedule_config = { expresion = "* * * * *" }
        """
    )
    found_later = ConfigError(
        "unknown key", path=("events", "lamp", "schedule_config", "expresion"), hint="look"
    )
    located = configuration.locate(found_later)
    assert (located.file, located.line) == (str(configuration.file), 3)
    assert (located.message, located.path, located.hint) == (
        "unknown key", found_later.path, "look",
    )  # fmt: skip


def test_a_missing_key_found_later_gets_the_line_of_its_table(write) -> None:
    configuration = write("\n[events.lamp]\nx = 1\n")
    assert configuration.locate(ConfigError("missing", path=("events", "lamp", "name"))).line == 2


def test_a_relative_state_directory_begins_at_the_files_folder(write, tmp_path: Path) -> None:
    assert write("").state_dir == tmp_path.resolve() / "state"


def test_an_absolute_state_directory_stands(write) -> None:
    assert write('[scheduler]\nstate_dir = "/var/lib/alicia"').state_dir == Path("/var/lib/alicia")


def test_a_tilde_is_the_users_home(write, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    assert write('[scheduler]\nstate_dir = "~/st"').state_dir == (tmp_path / "me/st").resolve()


def test_a_file_that_is_missing_raises(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load(tmp_path / "none.toml")


# The machine's time zone


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    return tmp_path / "etc"


@pytest.mark.parametrize(
    "value", ["Asia/Tokyo", ":Asia/Tokyo", "/usr/share/zoneinfo/Asia/Tokyo", ":posix/Asia/Tokyo"]
)
def test_tz_names_the_zone(etc: Path, value: str) -> None:
    (etc / "localtime").symlink_to("/usr/share/zoneinfo/Europe/Berlin")
    assert local_timezone_name({"TZ": value}, etc.parent) == "Asia/Tokyo"


@pytest.mark.parametrize("environ", [{}, {"TZ": ""}, {"TZ": "CET-1CEST"}, {"TZ": "/etc/passwd"}])
def test_else_the_link_etc_localtime_names_it(etc: Path, environ: dict[str, str]) -> None:
    (etc / "localtime").symlink_to("/usr/share/zoneinfo/Europe/Berlin")
    assert local_timezone_name(environ, etc.parent) == "Europe/Berlin"


def test_a_zone_keeps_the_name_that_was_chosen_though_it_is_an_alias(etc: Path) -> None:
    zones = etc.parent / "zoneinfo"
    for folder in ("US", "America"):
        (zones / folder).mkdir(parents=True)
    (zones / "America/Los_Angeles").touch()
    (zones / "US/Pacific").symlink_to("../America/Los_Angeles")
    (etc / "localtime").symlink_to(zones / "US/Pacific")
    assert local_timezone_name({}, etc.parent) == "US/Pacific"


def test_a_link_by_way_of_another_link_is_followed(etc: Path) -> None:
    folder = etc.parent / "zoneinfo/Europe"
    folder.mkdir(parents=True)
    (folder / "Berlin").touch()
    (etc / "zone").symlink_to(folder / "Berlin")
    (etc / "localtime").symlink_to("zone")
    assert local_timezone_name({}, etc.parent) == "Europe/Berlin"


def test_else_debians_etc_timezone_names_it(etc: Path) -> None:
    (etc / "localtime").write_bytes(b"TZif")
    (etc / "timezone").write_text("America/New_York\n")
    assert local_timezone_name({}, etc.parent) == "America/New_York"


def test_a_machine_that_names_no_zone_has_utc(etc: Path) -> None:
    (etc / "localtime").symlink_to("localtime")
    (etc / "timezone").write_bytes(b"\xff")
    assert local_timezone_name({}, etc.parent) == "UTC"


def test_the_machines_own_zone_is_the_default(monkeypatch) -> None:
    monkeypatch.setitem(os.environ, "TZ", "Asia/Kathmandu")
    assert Settings().timezone == "Asia/Kathmandu"
