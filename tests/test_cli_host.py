"""The verbs that speak to a running host, against a real one, by its socket and by a URL."""

import itertools
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from alicia_scheduler.cli.main import main
from alicia_scheduler.control.tokens import create_token

ALICIA = str(Path(sys.executable).parent / "alicia")

CONFIG = """
[scheduler]
timezone = "Pacific/Kiritimati"

[control]
listen = {port}

[events.from-file]
tags = ["quiet"]
schedule_type = "cron"
schedule_config = {{ expression = "@yearly" }}
action = {{ type = "script_execution", command = ["/bin/true"] }}

[events.long]
schedule_type = "cron"
schedule_config = {{ expression = "@yearly" }}
action = {{ type = "script_execution", command = ["/bin/sleep", "600"] }}
"""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class House:
    """A host process, and the command line that speaks to it."""

    def __init__(self, folder):
        self.folder = folder
        self.state = folder / "state"
        self.port = free_port()
        self.config = folder / "home.toml"
        self.config.write_text(CONFIG.format(port=self.port))
        self.process = subprocess.Popen(
            [ALICIA, "run", str(self.config)], stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 60
        while not (self.state / "alicia.sock").exists():
            assert time.monotonic() < deadline, "the host does not start"
            assert self.process.poll() is None
            time.sleep(0.02)

    def __call__(self, *arguments, stdin=None):
        arguments = (*arguments, "--state-dir", str(self.state))
        return CliRunner().invoke(main, arguments, input=stdin)

    def answer(self, *arguments, **options):
        result = self(*arguments, "--json", **options)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    def by_url(self, token, *arguments):
        env = {"ALICIA_TOKEN": token, "ALICIA_URL": f"ws://127.0.0.1:{self.port}"}
        return CliRunner().invoke(main, arguments, env=env)

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=60)


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    house = House(tmp_path_factory.mktemp("house"))
    yield house
    house.stop()


@pytest.fixture
def house(shared):
    """The host, with none but the file's own events, as they are in the file."""
    yield shared
    made = [event["event_id"] for event in shared.answer("events", "list")]
    made = [event_id for event_id in made if event_id not in ("from-file", "long")]
    if made:
        assert shared("events", "remove", *made, "--yes").exit_code == 0
    assert shared("resume").exit_code == 0


def add(house, event_id, *more):
    return house("events", "add", event_id, "--every", "1h", "--command", "/bin/true", *more)


# -- adding ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "schedule_type", "schedule_config"),
    [
        (["--every", "1h30m"], "interval", {"type": "seconds", "value": 5400}),
        (["--cron", "30 6 * * mon-fri"], "cron", {"expression": "30 6 * * mon-fri"}),
        (["--at", "2090-01-01T00:00"], "once", {"run_at": "2090-01-01T00:00"}),
        (
            ["--daily", "07:30"],
            "recurring",
            {"frequency": "daily", "time_of_day": "07:30"},
        ),
    ],
)
def test_an_event_is_added_with_each_kind_of_schedule(
    house, options, schedule_type, schedule_config
):
    saved = house.answer("events", "add", "new", *options, "--command", "/bin/true")["event"]
    assert saved["event_id"] == "new"
    assert saved["schedule_type"] == schedule_type
    assert saved["schedule_config"] == schedule_config
    assert saved["next_run"] > time.time()


@pytest.mark.parametrize(
    ("options", "action"),
    [
        (
            ["--topic", "home/lamp", "--message", '{"state": "ON"}', "--qos", "1", "--retain"],
            {
                "type": "mqtt_publish",
                "topic": "home/lamp",
                "message": {"state": "ON"},
                "qos": 1,
                "retain": True,
            },
        ),
        (
            ["--url", "http://127.0.0.1/x", "--message", "on"],
            {"type": "http_request", "url": "http://127.0.0.1/x", "body": "on", "method": "POST"},
        ),
        (
            ["--command", "/bin/echo 'a b' c"],
            {"type": "script_execution", "command": ["/bin/echo", "a b", "c"]},
        ),
    ],
)
def test_an_event_is_added_with_each_kind_of_action(house, options, action):
    saved = house.answer("events", "add", "new", "--every", "1h", *options)["event"]
    assert saved["action"] == action


def test_what_no_option_has_is_set(house):
    saved = house.answer(
        *("events", "add", "new", "--every", "1h", "--command", "/bin/true"),
        *("--set", "action.cwd=/tmp", "--set", "priority=3", "--set", 'on_failure=["long"]'),
        *("--tag", "a", "--tag", "b", "--timeout", "5m", "--disabled"),
    )["event"]
    assert saved["action"]["cwd"] == "/tmp"
    assert saved["priority"] == 3
    assert saved["on_failure"] == ["long"]
    assert saved["tags"] == ["a", "b"]
    assert saved["timeout"] == 300
    assert saved["enabled"] is False


def test_events_are_added_from_a_file(house, tmp_path):
    file = tmp_path / "events.toml"
    file.write_text(
        "".join(
            f'[events.{name}]\nschedule_type = "interval"\nschedule_config = {{ interval = 60 }}\n'
            f'action = {{ type = "script_execution", command = ["/bin/true"] }}\n'
            for name in ("one", "two")
        )
    )
    assert house("events", "add", "--file", str(file)).exit_code == 0
    ids = {event["event_id"] for event in house.answer("events", "list")}
    assert ids >= {"one", "two"}


def test_an_event_is_added_from_json_on_standard_input(house):
    event = {
        "schedule_type": "interval",
        "schedule_config": {"interval": 60},
        "action": {"type": "script_execution", "command": ["/bin/true"]},
    }
    saved = house.answer("events", "add", "piped", "--file", "-", stdin=json.dumps(event))
    assert saved["event"]["event_id"] == "piped"


def test_an_event_that_is_there_is_not_replaced(house):
    assert add(house, "lamp").exit_code == 0
    again = add(house, "lamp", "--name", "Another")
    assert again.exit_code == 1
    assert "events edit" in again.stderr


def test_every_mistake_in_an_event_is_told(house):
    result = add(house, "lamp", "--set", "tiemout=3", "--set", "max_retries=-1")
    assert result.exit_code == 1
    assert "timeout" in result.stderr
    assert "max_retries" in result.stderr


@pytest.mark.parametrize(
    "options",
    [
        ["--command", "/bin/true"],
        ["--every", "1h"],
        ["--every", "1h", "--cron", "* * * * *", "--command", "/bin/true"],
        ["--every", "1h", "--command", "/bin/true", "--topic", "a"],
        ["--every", "soon", "--command", "/bin/true"],
        ["--every", "1h", "--command", "/bin/true", "--set", "nothing"],
        ["--every", "1h", "--command", "/bin/true", "--qos", "1"],
    ],
)
def test_options_that_make_no_event_are_wrong_usage(house, options):
    assert house("events", "add", "new", *options).exit_code == 2


# -- editing and removing --------------------------------------------------------------------


def test_fields_are_edited_and_the_others_stay(house):
    add(house, "lamp", "--set", "action.cwd=/tmp")
    saved = house.answer(
        "events", "edit", "lamp", "--set", "timeout=7", "--set", "action.command=['/bin/false']"
    )["event"]
    assert saved["revision"] == 2
    assert saved["timeout"] == 7
    assert saved["action"]["cwd"] == "/tmp"
    assert saved["action"]["command"] == ["/bin/false"]


def test_a_field_goes_back_to_its_default(house):
    add(house, "lamp", "--timeout", "7s", "--set", "action.cwd=/tmp")
    saved = house.answer("events", "edit", "lamp", "--unset", "timeout", "--unset", "action.cwd")[
        "event"
    ]
    assert saved["timeout"] == 300
    assert "cwd" not in saved["action"]


def test_an_edit_of_another_revision_is_refused_and_says_so(house):
    add(house, "lamp")
    assert house("events", "edit", "lamp", "--set", "timeout=7").exit_code == 0
    late = house("events", "edit", "lamp", "--set", "timeout=8", "--revision", "1")
    assert late.exit_code == 1
    assert "changed by somebody else meanwhile" in late.stderr
    assert house.answer("events", "show", "lamp")["timeout"] == 7


def test_without_a_terminal_an_edit_must_say_what_it_changes(house):
    add(house, "lamp")
    assert house("events", "edit", "lamp").exit_code == 2


def test_an_event_of_the_file_is_edited_in_the_file(house):
    refused = house("events", "edit", "from-file", "--set", "timeout=7")
    assert refused.exit_code == 1
    assert "edit the file" in refused.stderr


def test_several_events_are_removed_at_once(house):
    for name in ("a-1", "a-2", "b-1"):
        add(house, name)
    answer = house.answer("events", "remove", "a-*", "--yes")
    assert [item["event_id"] for item in answer["done"]] == ["a-1", "a-2"]


def test_what_cannot_be_done_to_one_is_told_and_done_to_the_others(house):
    add(house, "lamp")
    result = house("events", "disable", "lamp", "nowhere")
    assert result.exit_code == 1
    assert "lamp: disabled" in result.stdout
    assert "nowhere" in result.stderr


# -- steering --------------------------------------------------------------------------------


def test_events_are_selected_by_tag(house):
    add(house, "one", "--tag", "red")
    add(house, "two", "--tag", "red")
    result = house("events", "pause", "--tag", "red", "--for", "1h")
    assert result.exit_code == 0
    assert result.stdout.count("paused until") == 2
    listed = {event["event_id"]: event for event in house.answer("events", "list", "--tag", "red")}
    assert listed.keys() == {"one", "two"}
    assert all(event["paused_until"] > time.time() for event in listed.values())
    assert house("events", "resume", "--tag", "red").exit_code == 0


def test_a_selection_of_nothing_is_wrong_usage(house):
    assert house("events", "pause").exit_code == 2


def test_a_skip_is_told_with_its_slot_and_taken_back(house):
    add(house, "lamp")
    assert "is skipped" in house("events", "skip", "lamp").stdout
    assert "runs" in house("events", "skip", "lamp", "--undo").stdout
    assert "is skipped" in house("events", "skip", "lamp").stdout
    assert "runs" in house("events", "unskip", "lamp").stdout


@pytest.mark.parametrize("verb", [["skip", "--undo"], ["unskip"], ["unskip", "--json"]])
def test_where_there_is_no_skip_to_take_back_the_answer_is_no(house, verb):
    add(house, "lamp")
    assert house("events", *verb, "lamp").exit_code == 1


@pytest.mark.parametrize(
    ("verb", "slot"),
    [(["preview", "daily", "-n", "1"], "06:30:00+14:00"), (["explain", "daily"], "06:30:00+14:00")],
)
def test_an_event_without_a_zone_is_foretold_in_that_of_its_host(house, verb, slot):
    assert (
        house("events", "add", "daily", "--daily", "06:30", "--command", "/bin/true").exit_code == 0
    )
    shown = house(*verb)
    assert shown.exit_code == 0
    assert slot in shown.stdout
    assert "does not run" not in shown.stdout


@pytest.mark.parametrize(
    "verb",
    [
        ["events", "show", b"\xff"],
        ["events", "trigger", b"\xff"],
        ["explain", b"\xff"],
        ["events", "add", "lamp", "--every", "1h", "--command", "/bin/true", "--name", b"a\xff"],
    ],
)
def test_what_was_typed_and_is_no_text_is_refused(house, verb):
    found = subprocess.run(
        [ALICIA, *verb, "--state-dir", str(house.state)], capture_output=True, check=False
    )
    assert found.returncode == 2
    assert b"is not UTF-8" in found.stderr
    assert b"Traceback" not in found.stderr


def test_more_slots_than_a_host_shows_at_once_are_foretold_all_the_same(house):
    add(house, "lamp")
    slots = [item["slot"] for item in house.answer("preview", "lamp", "-n", "2100")["slots"]]
    assert len(slots) == 2100
    assert {later - earlier for earlier, later in itertools.pairwise(slots)} == {3600.0}


def test_an_execution_that_runs_is_cancelled_by_its_event(house):
    assert house("events", "trigger", "long").exit_code == 0
    answer = house.answer("executions", "cancel", "--event", "long")
    (cancelled,) = answer["done"]
    deadline = time.monotonic() + 60
    while house.answer("executions", "show", cancelled["execution_id"])["status"] != "cancelled":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    again = house("executions", "retry", cancelled["execution_id"])
    assert again.exit_code == 0
    assert "again as" in again.stdout
    told = house("executions", "cancel", "--event", "long")
    assert told.exit_code == 0
    # It was told to stop; when it has, its record says so.
    assert told.stdout.endswith(": is being stopped\n")


def test_the_whole_schedule_is_paused_and_resumed(house):
    assert "is paused until" in house("pause", "--for", "1h").stdout
    assert "paused" in house("health").stdout
    assert house.answer("stats")["paused_until"] is not None
    assert "runs again" in house("resume").stdout
    assert house.answer("health")["paused_until"] is None


def test_a_reload_shows_what_it_would_change_and_then_changes_it(house):
    before = house.config.read_text()
    house.config.write_text(before.replace("[events.long]", "[events.other]"))
    try:
        plan = house("reload", "--dry-run")
        assert plan.exit_code == 0, plan.output
        assert "+ other: new" in plan.stdout
        assert "- long: removed" in plan.stdout
        assert "nothing is applied yet" in plan.stdout
        assert house.answer("events", "show", "long")["event_id"] == "long"
        assert "applied" in house("reload").stdout
        assert house("events", "show", "long").exit_code == 1
        house.config.write_text("[scheduler")
        assert house("reload").exit_code == 1
    finally:
        house.config.write_text(before)
        assert house("reload").exit_code == 0
    assert "nothing differs" in house("reload").stdout


def test_a_backup_is_a_new_file(house, tmp_path):
    target = tmp_path / "copy.db"
    answer = house.answer("backup", str(target))
    assert answer["path"] == str(target)
    assert target.stat().st_size == answer["size"]
    again = house("backup", str(target))
    assert again.exit_code == 1
    assert "exists already" in again.stderr


def test_a_crontab_is_added_to_the_host(house):
    text = "# Nightly backup\n30 2 * * * /usr/local/bin/backup\n@reboot /bin/true\n"
    result = house("import", "crontab", "-", "--add", stdin=text)
    assert result.exit_code == 1
    assert "nightly-backup: created" in result.stdout
    assert "line 3" in result.stderr
    event = house.answer("events", "show", "nightly-backup")
    assert event["name"] == "Nightly backup"
    assert event["tags"] == ["crontab"]


def test_what_the_host_refuses_of_a_crontab_is_told_by_its_line(house):
    text = "0 0 * * * /bin/true\n5 5 * * * cd /tmp && ls\n"
    result = house("import", "crontab", "-", "--add", "--json", stdin=text)
    assert result.exit_code == 1
    answer = json.loads(result.stdout)
    assert [event["line"] for event in answer["events"]] == [1]
    assert [problem["line"] for problem in answer["problems"]] == [2]
    assert "shell" in answer["problems"][0]["why"]


# -- by URL ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tokens(shared):
    """The secret of a token of each permission."""
    return {
        permission: create_token(shared.state, permission, permission)
        for permission in ("read", "operate", "admin")
    }


SEEN_THROUGH_BOTH = [
    ["events", "list"],
    ["events", "list", "from-*"],
    ["events", "list", "--tag", "quiet"],
    ["events", "show", "from-file"],
    ["executions", "list"],
    ["executions", "list", "--event", "l*", "--status", "cancelled", "--final"],
    ["preview", "from-file", "-n", "3"],
    ["preview", "from-file", "--from", "2030-01-01", "--to", "2033-01-01"],
    ["preview", "cron", "30 2 * * *", "--timezone", "Europe/Berlin", "--from", "2030-01-01"],
    ["explain", "from-file"],
    ["explain", "from-file", "2030-01-01"],
]


@pytest.mark.parametrize("arguments", SEEN_THROUGH_BOTH, ids=" ".join)
def test_a_host_behind_a_url_answers_as_its_state_directory_does(house, tokens, arguments):
    there = house.by_url(tokens["read"], *arguments, "--json")
    assert there.exit_code == 0, there.output
    here = house(*arguments, "--config", str(house.config), "--json")
    if "SPEC" not in arguments:
        assert _undated(json.loads(there.stdout)) == _undated(json.loads(here.stdout))


def _undated(value):
    """Without what only one of two ways to look at it can know."""
    if isinstance(value, dict):
        return {
            key: _undated(item)
            for key, item in value.items()
            if not (key == "event_id" and item in (None, "unsaved"))
        }
    return [_undated(item) for item in value] if isinstance(value, list) else value


def test_a_token_that_may_only_read_changes_nothing(house, tokens):
    refused = house.by_url(tokens["read"], "events", "trigger", "from-file")
    assert refused.exit_code == 1
    assert "operate" in refused.stderr


def test_events_are_made_and_removed_by_url(house, tokens):
    arguments = ("events", "add", "far", "--every", "1h", "--url", "http://127.0.0.1/x")
    assert house.by_url(tokens["admin"], *arguments).exit_code == 0
    assert house.by_url(tokens["operate"], "events", "trigger", "far").exit_code == 0
    assert house.by_url(tokens["admin"], "events", "remove", "far").exit_code == 0


def test_a_wrong_token_is_refused_with_what_to_do(house):
    refused = house.by_url("alicia_wrong", "health")
    assert refused.exit_code == 1
    assert "token" in refused.stderr


def test_a_token_is_read_from_a_file(house, tokens, tmp_path):
    file = tmp_path / "token"
    file.write_text(tokens["read"] + "\n")
    arguments = ["health", "--url", f"ws://127.0.0.1:{house.port}", "--token-file", str(file)]
    assert CliRunner().invoke(main, arguments).exit_code == 0


def test_nobody_behind_a_url_is_no_host():
    arguments = ["health", "--url", f"ws://127.0.0.1:{free_port()}", "--token", "x"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 3
    assert "no host answers" in result.stderr


def test_the_ids_of_events_complete(house):
    add(house, "lamp-kitchen")
    environment = {
        **os.environ,
        "_ALICIA_COMPLETE": "bash_complete",
        "COMP_WORDS": "alicia events show lamp-",
        "COMP_CWORD": "3",
        "ALICIA_STATE_DIR": str(house.state),
    }
    found = subprocess.run(
        [ALICIA], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert found.stdout.split() == ["plain,lamp-kitchen"]
