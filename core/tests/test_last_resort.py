"""A stop that hangs ends all the same."""

import subprocess
import sys

PROGRAM = """
import sys, time
from alicia_scheduler.host.lastresort import LastResort
after = 60 if sys.argv[1] == "hurries" else 0.05
resort = LastResort(after, lambda: ["execution 1 of 'lamp' (action type deaf)"])
resort.start()
if sys.argv[1] == "ends":
    resort.cancel()
    sys.exit(0)
if sys.argv[1] == "hurries":
    resort.hurry(0.05)
time.sleep(30)
"""


def run(how):
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, how],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


def test_it_ends_the_process_and_names_what_was_open():
    ended = run("hangs")
    assert ended.returncode == 1
    assert "execution 1 of 'lamp'" in ended.stderr


def test_it_does_nothing_when_the_stop_comes_to_its_end():
    ended = run("ends")
    assert (ended.returncode, ended.stderr) == (0, "")


def test_it_waits_no_longer_once_it_is_told_to_hurry():
    ended = run("hurries")
    assert ended.returncode == 1
    assert "0.05 s" in ended.stderr
