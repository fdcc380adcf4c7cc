"""`alicia tail` and `alicia top` in a real terminal, against a real host."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.terminal import ENTERS, HIDES, LEAVES, SHOWS, Terminal

ALICIA = str(Path(sys.executable).parent / "alicia")

CONFIG = """
[scheduler]
timezone = "UTC"
drain_timeout = 0.2

[plugins.action-script]
shell = true

[events.tick]
tags = ["quick"]
schedule_type = "interval"
schedule_config = { type = "seconds", value = 1 }
action = { type = "script_execution", command = ["/bin/true"] }

[events.long]
schedule_type = "interval"
schedule_config = { type = "seconds", value = 2 }
action = { type = "script_execution", command = ["/bin/sleep", "600"] }

[events.broken]
schedule_type = "interval"
schedule_config = { type = "seconds", value = 2 }
action = { type = "script_execution", shell = true, command = "printf '\\\\033[31mway' >&2; false" }
max_retries = 0

[events.yearly]
schedule_type = "cron"
schedule_config = { expression = "@yearly" }
action = { type = "script_execution", command = ["/bin/true"] }
"""


class Host:
    """A host process that can be stopped and started again."""

    def __init__(self, folder):
        self.folder = folder
        self.state = folder / "state"
        (folder / "home.toml").write_text(CONFIG)
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            [ALICIA, "run", str(self.folder / "home.toml")], stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 60
        while not (self.state / "alicia.sock").exists():
            assert time.monotonic() < deadline, "the host does not start"
            assert self.process.poll() is None
            time.sleep(0.02)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(timeout=60)


@pytest.fixture(scope="module")
def shared_host(tmp_path_factory):
    """A host that runs for all tests which leave it alone."""
    host = Host(tmp_path_factory.mktemp("host"))
    host.start()
    yield host
    host.stop()


@pytest.fixture
def own_host(tmp_path):
    host = Host(tmp_path)
    host.start()
    yield host
    host.stop()


def terminal(host, *arguments, **options):
    return Terminal([ALICIA, *arguments, "--state-dir", str(host.state)], **options)


def sequences(text):
    """The numbers of the notifications that `tail --json` printed."""
    whole = text[: text.rfind("\n") + 1].splitlines()
    return [json.loads(line)["sequence"] for line in whole if not line.startswith("alicia: ")]


# -- tail ------------------------------------------------------------------------------------


def test_tail_shows_what_happens_while_it_happens(shared_host):
    with terminal(shared_host, "tail", "--event", "tick") as screen:
        screen.until("started        tick")
        screen.until("completed      tick")
        assert "long" not in screen.text
        assert "\x1b[32mcompleted" in screen.recorded
        screen.interrupt()
        assert screen.end() == 0
        assert screen.settings == screen.before
        assert "Traceback" not in screen.text
        assert "Aborted" not in screen.text


def test_tail_ends_well_at_sigterm(shared_host):
    with terminal(shared_host, "tail") as screen:
        screen.until("started")
        screen.terminate()
        assert screen.end() == 0


def test_no_color_leaves_every_escape_out(shared_host):
    with terminal(shared_host, "tail", env={"NO_COLOR": "1"}) as screen:
        screen.until("completed      tick")
        assert "\x1b" not in screen.recorded


def test_what_a_program_printed_does_not_drive_the_terminal(shared_host):
    with terminal(shared_host, "tail", "--event", "broken", env={"NO_COLOR": "1"}) as screen:
        screen.until("way")
        assert "\x1b" not in screen.recorded


def missing(text):
    """The numbers between the first and the last that were printed which were not, and those of
    them that tail said are lost."""
    numbers = sequences(text)
    assert numbers == sorted(set(numbers))
    said = [
        number
        for first, last in re.findall(r"lost: notifications (\d+) to (\d+)", text)
        for number in range(int(first), int(last) + 1)
    ]
    return set(range(numbers[0], numbers[-1] + 1)) - set(numbers), set(said)


def test_tail_waits_for_a_host_that_went_away_and_says_what_it_missed(own_host):
    # Ctrl-C comes in the middle of a line as well.
    unbuffered = {"PYTHONUNBUFFERED": "1"}
    with terminal(own_host, "tail", "--json", mute=True, env=unbuffered) as screen:
        screen.until(lambda it: len(sequences(it.text)) >= 2, "two notifications")
        own_host.stop()
        screen.until("waiting for it to come back")
        own_host.start()
        screen.until("the host is back")
        seen = len(sequences(screen.text))
        screen.until(lambda it: len(sequences(it.text)) >= seen + 2, "two more notifications")
        screen.interrupt()
        assert screen.end() == 0
    gone, said = missing(screen.text)
    assert gone <= said


def test_tail_says_which_notifications_are_kept_no_more(own_host):
    with terminal(own_host, "tail", "--json", mute=True) as screen:
        screen.until(lambda it: len(sequences(it.text)) >= 4, "some notifications")
    # They are kept in the host's memory.
    own_host.stop()
    own_host.start()
    with terminal(own_host, "tail", "--after", "2") as screen:
        screen.until("lost: notifications 3 to ")
        screen.until("started")
        screen.interrupt()
        assert screen.end() == 0


def test_tail_ends_quietly_when_nobody_reads_any_more(shared_host):
    command = f"{ALICIA} tail --json --state-dir {shared_host.state} | head -n 1"
    found = subprocess.run(
        ["/bin/bash", "-o", "pipefail", "-c", command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert len(sequences(found.stdout)) == 1
    assert found.stderr == ""
    assert found.returncode == 0


# -- top -------------------------------------------------------------------------------------


def test_top_shows_what_runs_what_is_next_and_what_fails(shared_host):
    with terminal(shared_host, "top", "--interval", "0.3") as screen:
        screen.until("UNDER WAY")
        running = re.compile(r"long +running +[1-9]")
        screen.until(lambda it: running.search(it.picture), "the long execution with its time")
        screen.until("FAILING")
        screen.until(lambda it: "broken" in it.text, "the failing event")
        screen.until(lambda it: "yearly" in it.text, "the next slot of the year")
        screen.interrupt()
        assert screen.end() == 0


@pytest.mark.parametrize("how", ["interrupt", "terminate"])
def test_top_leaves_the_terminal_as_it_was(shared_host, how):
    with terminal(shared_host, "top", "--interval", "0.3") as screen:
        screen.until("UNDER WAY")
        assert ENTERS in screen.recorded
        assert HIDES in screen.recorded
        getattr(screen, how)()
        assert screen.end() == 0
        after = screen.recorded
        assert after.rindex(LEAVES) > after.rindex("UNDER WAY")
        assert after.rindex(SHOWS) > after.rindex(HIDES)
        assert screen.settings == screen.before
        assert "Traceback" not in screen.text


def test_q_ends_top_and_leaves_the_terminal_as_it_was(shared_host):
    with terminal(shared_host, "top", "--interval", "0.3") as screen:
        screen.until("UNDER WAY")
        screen.type("x")
        screen.type("q")
        assert screen.end() == 0
        assert screen.recorded.rindex(LEAVES) > screen.recorded.rindex("UNDER WAY")
        assert screen.settings == screen.before


def test_ctrl_z_gives_the_shell_its_terminal_and_fg_goes_on_with_the_picture(shared_host):
    shell = ["/bin/bash", "--norc", "--noprofile", "--noediting", "-i"]
    with Terminal(shell, env={"PS1": "the shell> "}) as screen:
        screen.until("the shell> ")
        screen.type(f"{ALICIA} top --interval 0.3 --state-dir {shared_host.state}\n")
        screen.until("UNDER WAY")
        screen.type("\x1a")
        screen.until("Stopped")
        assert screen.recorded.count(ENTERS) == screen.recorded.count(LEAVES) == 1
        assert screen.recorded.rindex(SHOWS) > screen.recorded.rindex(HIDES)
        screen.type("fg\n")
        screen.until(lambda it: it.recorded.count(ENTERS) == 2, "the second buffer again")
        screen.until(lambda it: "UNDER WAY" in it.recorded.split(ENTERS)[-1], "the picture")
        screen.type("q")
        screen.until(lambda it: it.recorded.count(LEAVES) == 2, "the end")
        screen.type("echo ended with $?\n")
        screen.until("ended with 0")
        screen.type("exit\n")
        assert screen.end() == 0


def test_top_follows_the_size_of_the_window(shared_host):
    with terminal(shared_host, "top", "--interval", "0.3", columns=120) as screen:
        screen.until("UNDER WAY")
        before = len(screen.recorded)
        screen.resize(40, 20)
        screen.until(lambda it: it.recorded[before:].count("\x1b[H") >= 5, "further pictures")
        # One picture may have been on its way while the window shrank.
        pictures = screen.recorded[before:].split("\x1b[H")[3:-1]
        assert pictures
        for picture in pictures:
            lines = Terminal.plain(picture).splitlines()
            assert len(lines) == 20
            assert max(map(len, lines)) <= 40
        screen.interrupt()
        assert screen.end() == 0
        assert screen.settings == screen.before


def test_top_says_that_the_host_is_away_and_goes_on_when_it_is_back(own_host):
    with terminal(own_host, "top", "--interval", "0.3") as screen:
        screen.until("UNDER WAY")
        own_host.stop()
        screen.until(lambda it: "waiting for it" in it.picture, "that it is away")
        own_host.start()
        screen.until(lambda it: "waiting for it" not in it.picture, "the picture as before")
        assert "UNDER WAY" in screen.picture
        screen.interrupt()
        assert screen.end() == 0


def test_top_into_a_pipe_prints_one_snapshot(shared_host):
    found = subprocess.run(
        [ALICIA, "top", "--state-dir", str(shared_host.state)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert found.stdout.count("UNDER WAY") == 1
    assert "\x1b" not in found.stdout


def test_top_without_a_host_says_so_and_draws_nothing(tmp_path):
    with Terminal([ALICIA, "top", "--state-dir", str(tmp_path)]) as screen:
        assert screen.end() == 3
        assert "alicia run CONFIG" in screen.text
        assert ENTERS not in screen.recorded


# -- what asks on a terminal -----------------------------------------------------------------


def test_removing_asks_on_a_terminal_and_takes_no_for_an_answer(shared_host):
    with terminal(shared_host, "events", "remove", "tick") as screen:
        screen.until("Remove event: tick?")
        screen.type("n\n")
        assert screen.end() == 1
        assert "nothing is removed" in screen.text


def test_init_asks_for_what_no_option_says(tmp_path):
    file = tmp_path / "new.toml"
    with Terminal([ALICIA, "init", str(file), "--event", "lamp"]) as screen:
        screen.until("Time zone")
        screen.type("Mars/Olympus\n")
        screen.until("unknown time zone")
        screen.type("Europe/Berlin\n")
        screen.until("MQTT broker")
        screen.type("broker.lan\n")
        screen.until("State directory")
        screen.type("\n")
        screen.until("How often")
        screen.type("5m\n")
        screen.until("Topic")
        screen.type("\n")
        assert screen.end() == 0
    written = file.read_text()
    assert 'timezone = "Europe/Berlin"' in written
    assert 'host = "broker.lan"' in written
    assert "[events.lamp]" in written
    assert "value = 300" in written
    assert subprocess.run([ALICIA, "check", str(file)], check=False).returncode == 0


def test_a_table_is_as_wide_as_the_terminal(shared_host):
    with terminal(shared_host, "executions", "list", "--limit", "3", columns=60) as screen:
        assert screen.end() == 0
        assert max(map(len, screen.text.splitlines())) <= 60


def test_an_edit_in_the_editor_is_an_edit_of_what_was_left_there(own_host):
    added = [ALICIA, "events", "add", "lamp", "--every", "1h", "--command", "/bin/true"]
    subprocess.run([*added, "--state-dir", str(own_host.state)], check=True, capture_output=True)
    editor = own_host.folder / "editor"
    editor.write_text("#!/bin/sh\nsed -i 's/^timeout = .*/timeout = 7/' \"$1\"\n")
    editor.chmod(0o755)
    with terminal(own_host, "events", "edit", "lamp", env={"EDITOR": str(editor)}) as screen:
        assert screen.end() == 0
        assert "revision 2" in screen.text
    shown = subprocess.run(
        [ALICIA, "events", "show", "lamp", "--json", "--state-dir", str(own_host.state)],
        check=True,
        capture_output=True,
        text=True,
    )
    assert '"timeout": 7.0' in shown.stdout
    with terminal(own_host, "events", "edit", "lamp", env={"EDITOR": os.devnull}) as screen:
        assert screen.end() != 0
