"""How runs end: whatever a program started ends with it, cancelled or not."""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import trio
import trio.testing

from alicia_action_script import Limits, launcher
from alicia_action_script.leftovers import end_marked
from alicia_scheduler.api import Permanent, Retryable

IGNORE = "trap '' TERM; "

NASTY = {
    "sleeps": "touch $READY; sleep 600",
    "ignores SIGTERM": IGNORE + "touch $READY; while :; do sleep 600; done",
    "has grandchildren": "(sleep 600 & sleep 600 & touch $READY; wait) & wait",
    "has grandchildren that ignore SIGTERM": f"({IGNORE} sh -c 'touch $READY; sleep 600') & wait",
    "ends on SIGTERM and leaves its children": (
        f"trap 'exit 0' TERM; ({IGNORE} touch $READY; sleep 600) & while :; do sleep 0.1; done"
    ),
    "is stopped": "touch $READY; kill -STOP $$; sleep 600",
    "has a stopped child": "sleep 600 & kill -STOP $!; touch $READY; wait",
    "keeps forking": IGNORE + "touch $READY; while :; do sleep 0.01 & done",
    "escapes by setsid": "setsid sleep 600 & touch $READY; wait",
    "escapes and ignores SIGTERM": (
        f"setsid sh -c \"{IGNORE} setsid sh -c 'touch $READY; sleep 600' & wait\" & wait"
    ),
    "becomes a daemon": "(setsid sh -c 'sleep 600 & sleep 600' &) ; touch $READY; sleep 600",
    "fills its output": "touch $READY; yes",
    "closes its output": "exec >&- 2>&-; touch $READY; sleep 600",
}


@pytest.mark.parametrize("script", NASTY.values(), ids=NASTY.keys())
async def test_a_cancelled_run_leaves_nothing(bench, script, tmp_path):
    ready = tmp_path / "ready"
    await bench.sh_until(script, ready, grace=0.3, env={"READY": str(ready)})
    assert bench.left() == []


async def test_a_cancelled_program_may_clean_up_within_its_grace(bench, tmp_path):
    ready, cleaned = tmp_path / "ready", tmp_path / "cleaned"
    await bench.sh_until(
        "trap 'sleep 0.2; echo bye; touch $CLEANED; exit' TERM; touch $READY;"
        " while :; do sleep 0.05; done",
        ready,
        grace=30.0,
        env={"READY": str(ready), "CLEANED": str(cleaned)},
    )
    assert cleaned.exists()
    assert ("x-1", "bye") in bench.context.told


async def test_a_stopped_program_is_woken_to_clean_up(bench, tmp_path):
    ready, cleaned = tmp_path / "ready", tmp_path / "cleaned"
    await bench.sh_until(
        "trap 'touch $CLEANED; exit' TERM; touch $READY; kill -STOP $$",
        ready,
        grace=30.0,
        env={"READY": str(ready), "CLEANED": str(cleaned)},
    )
    assert cleaned.exists()


async def test_what_escaped_may_clean_up_too(bench, tmp_path):
    ready, cleaned = tmp_path / "ready", tmp_path / "cleaned"
    script = "trap 'touch $CLEANED; exit' TERM; touch $READY; while :; do sleep 0.05; done"
    await bench.sh_until(
        'setsid sh -c "$SCRIPT" & wait',
        ready,
        grace=30.0,
        env={"READY": str(ready), "CLEANED": str(cleaned), "SCRIPT": script},
    )
    assert cleaned.exists()


async def test_a_program_that_cleans_up_does_not_hang_on_its_output(bench, tmp_path):
    ready, cleaned = tmp_path / "ready", tmp_path / "cleaned"
    await bench.sh_until(
        "trap 'head -c 1000000 /dev/zero; touch $CLEANED; exit' TERM; touch $READY;"
        " while :; do sleep 0.05; done",
        ready,
        grace=30.0,
        live_output=False,
        env={"READY": str(ready), "CLEANED": str(cleaned)},
    )
    assert cleaned.exists()


async def test_the_cancellation_goes_on_when_it_is_done(bench):
    with trio.move_on_after(0.2) as scope:
        await bench.sh("sleep 600")
    assert scope.cancelled_caught
    assert bench.left() == []


async def test_a_program_is_told_to_end_even_while_it_starts(bench):
    for _ in range(20):
        with trio.move_on_after(60) as hang:  # or it would have its grace, and then SIGKILL
            async with trio.open_nursery() as nursery:
                nursery.start_soon(lambda: bench.run("/bin/sleep", "600", grace=90.0))
                await trio.testing.wait_all_tasks_blocked()  # its child may not even run yet
                nursery.cancel_scope.cancel()
        assert not hang.cancel_called
    assert bench.left() == []


async def test_a_cancellation_before_the_start_starts_nothing(bench, tmp_path):
    with trio.CancelScope() as scope:
        scope.cancel()
        await bench.sh(f"touch {tmp_path}/ran")
    assert scope.cancelled_caught
    await bench.sh("true")
    assert not (tmp_path / "ran").exists()
    assert bench.left() == []


async def test_cancelling_one_run_leaves_the_others_alone(bench, tmp_path):
    ready = tmp_path / "ready"
    said = []

    async def other():
        said.append((await bench.sh("sleep 1; echo whole"))["stdout"])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        await bench.sh_until(f"touch {ready}; sleep 600", ready)
    assert said == ["whole\n"]


LEFT_BEHIND = {
    "holds the pipe": "sleep 600 & echo done",
    "holds the pipe and ignores SIGTERM": f"({IGNORE} sleep 600) & sleep 0.1; echo done",
    "has closed the pipe": "sleep 600 >&- 2>&- & echo done",
    "has a session of its own": "setsid sleep 600 & echo done",
    "is a daemon": "(setsid sh -c 'sleep 600 & sleep 600' &); echo done",
}


@pytest.mark.parametrize("script", LEFT_BEHIND.values(), ids=LEFT_BEHIND.keys())
async def test_a_finished_program_whose_child_lives_on_is_complete_and_leaves_nothing(
    bench, script
):
    result = await bench.sh(script)  # a child would hold it for ten minutes
    assert (result["stdout"], result["exit_code"]) == ("done\n", 0)
    assert bench.left() == []


async def test_an_escaped_process_without_the_mark_ends_with_the_action_at_the_latest(tmp_path):
    pid_file = tmp_path / "pid"
    program = (
        "import subprocess; p = subprocess.Popen(['/bin/sleep', '600'], env={}, "
        f"start_new_session=True); open({str(pid_file)!r}, 'w').write(str(p.pid))"
    )
    code = _host(f"await action.run(ScriptConfig(command=({sys.executable!r}, '-c', PROGRAM)), X)")
    subprocess.run([sys.executable, "-c", f"PROGRAM = {program!r}\n{code}"], check=True)
    assert not Path(f"/proc/{pid_file.read_text()}").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a user of its own: only root has one")
async def test_a_fork_bomb_is_held_and_ended(bench):
    bomb = "b() { b | b & b; }; b"
    with trio.move_on_after(1), suppress(Retryable):  # when its first shell cannot fork, it fails
        await bench.sh(bomb, user="nobody", grace=0.2, limits=Limits(processes=60))
    assert bench.left() == []


def _host(body):
    """A program that is a host with one action, which does ``body``."""
    return f"""
import sys, trio
from datetime import UTC, datetime
from alicia_action_script import ScriptConfig
from alicia_action_script.run import open_script
from alicia_scheduler.api import EventExecution
from alicia_scheduler.testing.context import TestContext

X = EventExecution(execution_id="x", event_id="e", revision=1, scheduled_time=datetime.now(UTC))

async def main():
    async with open_script(TestContext("action-script")) as action:
        {body}

trio.run(main)
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("script", ["sleep 600", NASTY["has grandchildren"], "setsid sleep 600"])
async def test_programs_die_with_the_scheduler(bench, script, end, tmp_path):
    ready = tmp_path / "ready"
    env = {"TEST_MARK": bench.mark, "READY": str(ready)}
    command = ("/bin/sh", "-c", f"touch $READY; {script} & wait")
    code = _host(f"await action.run(ScriptConfig(command={command!r}, env={env!r}), X)")
    with subprocess.Popen([sys.executable, "-c", code]) as host:
        with trio.fail_after(60):
            while not ready.exists():
                await trio.sleep(0.02)
        assert bench.left()
        host.send_signal(end)
        host.wait()
    await bench.until_gone()


async def test_a_lost_launcher_takes_its_programs_along_and_is_replaced(bench, tmp_path):
    ready = tmp_path / "ready"

    async def run():
        with pytest.raises(Retryable, match="launcher") as failure:
            await bench.run("/bin/sh", "-c", f"touch {ready}; exec sleep 600")
        assert failure.value.error_class == "launcher_lost"

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        with trio.fail_after(60):
            while not ready.exists():
                await trio.sleep(0.01)
        lost = bench.launcher
        os.kill(lost, signal.SIGKILL)
    await bench.until_gone()
    assert (await bench.sh("echo again"))["stdout"] == "again\n"
    assert bench.launcher != lost


@pytest.mark.parametrize("how", ["", "setsid"])
async def test_a_script_that_kills_the_launcher_leaves_nothing(bench, how):
    with pytest.raises(Retryable) as failure:
        await bench.sh(f"{how} sleep 600 & kill -KILL $PPID; sleep 600")
    assert failure.value.error_class == "launcher_lost"
    assert bench.left() == []


async def test_a_launcher_that_a_script_has_stopped_goes_on_when_the_run_is_ended(bench, tmp_path):
    ready = tmp_path / "ready"
    script = f"sleep 600 & kill -STOP $PPID; touch {ready}; sleep 600"
    await bench.sh_until(script, ready, grace=0.0)
    assert bench.left() == []
    assert (await bench.sh("echo again"))["stdout"] == "again\n"


@contextmanager
def _running(*command, **options):
    with subprocess.Popen(command, stdout=subprocess.PIPE, **options) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_process_that_replaces_itself_all_the_time_is_never_overlooked(tmp_path):
    again = tmp_path / "again"
    again.write_text(f'#!/bin/sh\nexec "{again}"\n')
    again.chmod(0o755)
    with _running(str(again), env={"MARK": "mine"}) as process:
        looks = [launcher.bearers(b"MARK=mine", lambda: [process.pid]) for _ in range(3000)]
    assert ([], True) not in looks
    assert ([process.pid], False) in looks


def test_a_process_whose_first_thread_has_ended_is_not_overlooked():
    program = (
        "import ctypes, threading, time; "
        "threading.Thread(target=lambda: (print(flush=True), time.sleep(600))).start(); "
        "ctypes.CDLL(None).pthread_exit(None)"
    )
    with _running(sys.executable, "-c", program, env={"MARK": "mine"}) as process:
        process.stdout.readline()
        stat = Path(f"/proc/{process.pid}/stat")
        while stat.read_text().rpartition(")")[2].split()[0] != "Z":
            time.sleep(0.01)
        assert launcher.bearers(b"MARK=mine", lambda: [process.pid]) == ([process.pid], False)


def test_a_process_that_comes_to_light_during_the_look_is_not_overlooked():
    with (
        _running("/bin/cat", stdin=subprocess.PIPE, env={}) as other,
        _running("/bin/cat", stdin=subprocess.PIPE, env={"MARK": "mine"}) as process,
    ):
        lists = iter([[other.pid], [other.pid, process.pid]])
        assert launcher.bearers(b"MARK=mine", lambda: next(lists)) == ([process.pid], False)


def test_processes_without_an_environment_do_not_hold_the_end_up():
    with _running("/bin/cat", stdin=subprocess.PIPE, env={}) as other:
        ended = os.fork()
        if ended == 0:
            os._exit(0)
        os.waitid(os.P_PID, ended, os.WEXITED | os.WNOWAIT)  # a zombie
        try:
            assert launcher.bearers(b"MARK=mine", lambda: [other.pid, ended]) == ([], True)
        finally:
            os.waitpid(ended, 0)
    assert end_marked("MARK=nobody's", within=60.0)


def test_an_answer_that_nobody_read_does_not_hurt_the_launcher():
    ours, theirs = socket.socketpair()
    theirs.sendall(b"unread")
    ours.close()
    with theirs:
        assert launcher._closed(theirs)


async def test_another_users_program_dies_with_a_lost_launcher_too(bench, tmp_path):
    if os.geteuid() != 0:
        pytest.skip("only root may become another user")

    async def run():
        with pytest.raises(Retryable):
            await bench.run("/bin/sleep", "600", user="nobody")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run)
        with trio.fail_after(60):
            while not any(_program(pid) == "sleep" for pid in bench.left()):
                await trio.sleep(0.01)
        os.kill(bench.launcher, signal.SIGKILL)
    await bench.until_gone()


def _program(pid):
    return Path(f"/proc/{pid}/comm").read_text().strip()


async def test_a_signal_to_the_terminal_does_not_reach_the_programs(bench):
    await bench.sh("true")
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(bench.launcher, signum)
    assert (await bench.sh("echo on"))["stdout"] == "on\n"
    assert os.getsid(bench.launcher) == bench.launcher


async def _many(bench, count, beside):
    """Runs of every kind: that succeed, fail, cannot start, are cancelled, leave something."""
    limiter = trio.CapacityLimiter(beside)

    async def one(number):
        async with limiter:
            try:
                match number % 20:
                    case 0:
                        await bench.run("/nowhere/program")
                    case 1:
                        await bench.sh("exit 3", stdin="x" * 1000)
                    case 2:
                        await bench.sh("sleep 600 & exit 0")
                    case 3:
                        with trio.move_on_after(0.02):
                            await bench.run("/bin/sleep", "600")
                    case 4:
                        with trio.move_on_after(0):
                            await bench.run("/bin/sleep", "600")
                    case _:
                        await bench.run("/bin/true")
            except (Permanent, Retryable) as error:
                kinds.add(error.error_class)

    kinds = set()
    async with trio.open_nursery() as nursery:
        for number in range(count):
            await trio.lowlevel.checkpoint()
            nursery.start_soon(one, number)
    return kinds


async def _runs_without_a_trace(bench, count):
    await _many(bench, 40, 8)  # worker threads and what else is made once
    before = bench.held()
    assert await _many(bench, count, 8) == {"not_found", "exit_3"}
    await bench.until_gone()
    after = bench.held()
    with trio.move_on_after(60):  # for the kernel to let go
        while after["children of the launcher"] or any(
            after[key] > before[key] + 3 for key in before
        ):
            await trio.sleep(0.05)
            after = bench.held()
    assert after["children of the launcher"] == 0
    assert all(after[key] <= before[key] + 3 for key in before), (before, after)


async def test_200_runs_leave_no_process_no_zombie_and_no_descriptor(bench):
    await _runs_without_a_trace(bench, 200)


@pytest.mark.slow
async def test_10_000_runs_leave_no_process_no_zombie_and_no_descriptor(bench):
    await _runs_without_a_trace(bench, 10_000)
