"""What a program is given, and what comes back, seen by real programs."""

import os
import pwd

import pytest
import trio
from msgspec.structs import replace

from alicia_action_script import Limits, ScriptConfig, ScriptSettings
from alicia_scheduler.api import Permanent, Retryable, Trigger
from alicia_scheduler.config.convert import convert

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become another user")


async def test_the_result_tells_how_it_ended_and_what_it_said(bench):
    result = await bench.sh("echo out; echo err >&2")
    cpu = result.pop("cpu_seconds")
    assert cpu >= 0
    assert result == {
        "action_type": "script_execution",
        "status": "success",
        "exit_code": 0,
        "signal": None,
        "stdout": "out\n",
        "stderr": "err\n",
        "stdout_bytes": 4,
        "stderr_bytes": 4,
        "left_out": 0,
    }


async def test_the_environment_is_an_allow_list(bench, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_HOST", "canary")
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("LANG", "C.UTF-8")
    monkeypatch.setenv("TZ", "Europe/Berlin")
    monkeypatch.setenv("HOME", "/home/me")
    result = await bench.run(
        "/usr/bin/env", "-0", env={"MINE": "1"}, pass_env=("DISPLAY", "NOT_THERE")
    )
    env = dict(item.split("=", 1) for item in result["stdout"].split("\0") if item)
    assert len(env.pop("ALICIA_RUN")) == 32
    assert env == {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "TZ": "Europe/Berlin",
        "HOME": "/home/me",
        "DISPLAY": ":0",
        "MINE": "1",
        "TEST_MARK": bench.mark,
        "ALICIA_EVENT_ID": "backup",
        "ALICIA_EXECUTION_ID": "x-1",
        "ALICIA_SLOT": "2026-03-01T06:30:00Z",
        "ALICIA_SLOT_EPOCH": "1772346600.000000",
        "ALICIA_ATTEMPT": "1",
        "ALICIA_TRIGGER": "schedule",
        "ALICIA_IDEMPOTENCY_KEY": "backup/1772346600.000000/1",
    }


async def test_a_retry_is_told_from_the_first_attempt(bench):
    retry = replace(bench.execution, retry_count=1, trigger=Trigger.RETRY)
    result = await bench.sh(
        "echo $ALICIA_ATTEMPT $ALICIA_TRIGGER $ALICIA_IDEMPOTENCY_KEY", execution=retry
    )
    assert result["stdout"] == "2 retry backup/1772346600.000000/2\n"


@pytest.mark.parametrize("argument", ["a b", "; $(reboot) `x` \n \" '", "-rf", "", "*", "ü\u2028"])
async def test_an_argument_arrives_byte_for_byte(bench, argument):
    result = await bench.run("/usr/bin/printf", "%s|", argument, "end")
    assert result["stdout"] == f"{argument}|end|"


async def test_no_descriptor_is_inherited(bench, tmp_path):
    with (tmp_path / "open").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        result = await bench.run("/bin/ls", "/proc/self/fd")
    assert result["stdout"].split() == ["0", "1", "2", "3"]  # 3 is the listing itself


async def test_without_stdin_it_reads_nothing(bench):
    result = await bench.sh("readlink /proc/self/fd/0; cat")
    assert result["stdout"] == "/dev/null\n"


@pytest.mark.parametrize(
    ("stdin", "read"),
    [("grün\n", "grün\n"), ({"a": [1, None]}, '{"a":[1,null]}'), (False, "false"), ("", "")],
)
async def test_stdin_is_text_or_json(bench, stdin, read):
    assert (await bench.run("/bin/cat", stdin=stdin))["stdout"] == read


async def test_a_stdin_larger_than_a_pipe_arrives_whole(bench):
    result = await bench.run("/usr/bin/wc", "-c", stdin="x" * 3_000_000)
    assert result["stdout"].split() == ["3000000"]


async def test_a_program_that_does_not_read_its_stdin_is_no_failure(bench):
    assert (await bench.run("/bin/true", stdin="x" * 3_000_000))["exit_code"] == 0


async def test_signals_are_as_a_program_expects_them(bench):
    result = await bench.run("/bin/cat", "/proc/self/status")
    status = dict(line.split(":\t", 1) for line in result["stdout"].splitlines())
    of_the_c_library = 1 << 31 | 1 << 32  # 32 and 33: glibc's posix_spawn leaves them ignored
    shown = [int(status[key], 16) & ~of_the_c_library for key in ("SigBlk", "SigIgn", "SigCgt")]
    assert shown == [0, 0, 0]


async def test_it_leads_a_session_of_its_own(bench):
    result = await bench.sh("cut -d' ' -f1,5,6 /proc/$$/stat; echo $$")
    stat, pid = result["stdout"].splitlines()
    assert stat.split() == [pid, pid, pid]


@pytest.mark.parametrize(("no_new_privs", "shown"), [(True, "1"), (False, "0")])
async def test_privileges_can_not_be_gained_unless_allowed(bench, no_new_privs, shown):
    result = await bench.run(
        "/bin/grep", "NoNewPrivs", "/proc/self/status", no_new_privs=no_new_privs
    )
    assert result["stdout"].split() == ["NoNewPrivs:", shown]


async def test_it_runs_in_its_working_directory(bench, tmp_path):
    assert (await bench.run("/bin/pwd"))["stdout"] == "/\n"
    assert (await bench.run("/bin/pwd", cwd=str(tmp_path)))["stdout"] == f"{tmp_path}\n"


async def test_a_program_is_found_on_the_path_it_is_given(bench, tmp_path):
    program = tmp_path / "hello"
    program.write_text("#!/bin/sh\necho hello\n")
    program.chmod(0o755)
    result = await bench.run("hello", env={"PATH": f"/nowhere:{tmp_path}"})
    assert result["stdout"] == "hello\n"


async def test_a_program_relative_to_cwd_is_found(bench, tmp_path):
    program = tmp_path / "hello"
    program.write_text("#!/bin/sh\necho hello\n")
    program.chmod(0o755)
    assert (await bench.run("./hello", cwd=str(tmp_path)))["stdout"] == "hello\n"


async def test_a_string_runs_in_a_shell_where_the_host_allows_it(bench):
    bench.context.settings = ScriptSettings(shell=True)
    config = ScriptConfig(command="echo a | tr a b", shell=True)
    assert (await bench.action.run(config, bench.execution))["stdout"] == "b\n"


async def test_a_string_does_not_run_where_the_host_does_not_allow_it(bench):
    config = ScriptConfig(command="echo a", shell=True)
    with pytest.raises(Permanent, match="runs no shell") as failure:
        await bench.action.run(config, bench.execution)
    assert failure.value.error_class == "not_allowed"


async def test_an_exit_code_is_a_failure_with_the_last_words(bench):
    with pytest.raises(Retryable, match="exit code 3; stderr: no disk") as failure:
        await bench.sh("echo fine; echo no disk >&2; exit 3")
    assert failure.value.error_class == "exit_3"


async def test_an_exit_code_can_mean_success(bench):
    result = await bench.sh("exit 3", success_codes=(0, 3))
    assert (result["exit_code"], result["status"]) == (3, "success")


async def test_zero_is_a_failure_where_it_means_none(bench):
    with pytest.raises(Retryable, match="exit code 0"):
        await bench.run("/bin/true", success_codes=(1,))


async def test_a_signal_is_a_failure_of_its_own_class(bench):
    with pytest.raises(Retryable, match=r"signal 9 \(SIGKILL\)") as failure:
        await bench.sh("kill -9 $$")
    assert failure.value.error_class == "signal_9"


async def test_the_last_words_of_a_failure_are_bounded(bench):
    with pytest.raises(Retryable) as failure:
        await bench.sh("yes grumble | head -c 1000000 >&2; echo last >&2; exit 1")
    assert str(failure.value).endswith("last")
    assert len(str(failure.value)) < 2000


@as_root
async def test_another_user_is_become_with_its_groups_and_home(bench):
    nobody = pwd.getpwnam("nobody")
    result = await bench.sh("id -u; id -g; id -G; echo $HOME $USER $LOGNAME", user="nobody")
    groups = os.getgrouplist("nobody", nobody.pw_gid)
    assert result["stdout"].splitlines() == [
        str(nobody.pw_uid),
        str(nobody.pw_gid),
        " ".join(map(str, groups)),
        f"{nobody.pw_dir} nobody nobody",
    ]


async def test_a_home_that_the_event_sets_stays(bench):
    me = pwd.getpwuid(os.geteuid()).pw_name
    result = await bench.sh("echo $HOME", user=me, env={"HOME": "/mine"})
    assert result["stdout"] == "/mine\n"


async def test_a_user_that_does_not_exist_is_told(bench):
    with pytest.raises(Permanent, match="no user 'nobody-here'") as failure:
        await bench.run("/bin/true", user="nobody-here")
    assert failure.value.error_class == "user"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may become anybody")
async def test_another_user_needs_root(bench):
    with pytest.raises(Permanent, match="must run as root") as failure:
        await bench.run("/bin/true", user="root")
    assert failure.value.error_class == "user"


async def test_limits_are_those_of_the_event(bench):
    limits = {
        "cpu_seconds": 7,
        "memory": 512 * 1024 * 1024,
        "file_size": 4096,
        "processes": 123,
        "open_files": 45,
    }
    config = {"command": ["/bin/cat", "/proc/self/limits"], "limits": limits}
    result = await bench.action.run(convert(config, ScriptConfig), bench.execution)
    shown = {line[:25].strip(): line[25:].split()[:2] for line in result["stdout"].splitlines()}
    assert shown["Max cpu time"] == ["7", "8"]
    assert shown["Max address space"] == ["536870912", "536870912"]
    assert shown["Max file size"] == ["4096", "4096"]
    assert shown["Max processes"] == ["123", "123"]
    assert shown["Max open files"] == ["45", "45"]


async def test_niceness_is_added(bench):
    result = await bench.run("/usr/bin/nice", limits=Limits(nice=7))
    assert int(result["stdout"]) == min(19, os.nice(0) + 7)


async def test_too_much_memory_fails_the_program_alone(bench):
    with pytest.raises(Retryable, match="memory exhausted"):
        await bench.run(
            "/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=1G", "count=1",
            limits=Limits(memory=64 * 1024 * 1024), env={"LANG": "C"},
        )  # fmt: skip


async def test_too_large_a_file_ends_the_program(bench, tmp_path):
    with pytest.raises(Retryable) as failure:
        await bench.run(
            "/bin/dd", "if=/dev/zero", f"of={tmp_path}/big", "bs=1M", "count=8",
            limits=Limits(file_size=1024 * 1024),
        )  # fmt: skip
    assert failure.value.error_class == "signal_25"
    assert (tmp_path / "big").stat().st_size == 1024 * 1024


async def test_too_much_cpu_time_ends_the_program(bench):
    with pytest.raises(Retryable) as failure:
        await bench.sh("while :; do :; done", limits=Limits(cpu_seconds=1))
    assert failure.value.error_class == "signal_24"


async def test_runs_beside_each_other_do_not_mix(bench):
    said = {}

    async def one(number):
        said[number] = (await bench.sh(f"sleep 0.05; echo {number}"))["stdout"]

    async with trio.open_nursery() as nursery:
        for number in range(30):
            nursery.start_soon(one, number)
    assert said == {number: f"{number}\n" for number in range(30)}


async def test_json_on_the_standard_output_becomes_the_output(bench):
    result = await bench.run("/bin/echo", '{"a": [1, 2.5]}', parse_json=True)
    assert result["output"] == {"a": [1, 2.5]}
    assert (result["stdout"], result["stdout_bytes"]) == ("", 16)


@pytest.mark.parametrize("text", ["no json", "", "{} {}", "[NaN]", "[" * 10_000])
async def test_what_is_no_json_is_a_failure_for_good(bench, text):
    with pytest.raises(Permanent, match="no JSON") as failure:
        await bench.run("/bin/cat", stdin=text, parse_json=True)
    assert failure.value.error_class == "bad_json"


async def test_json_that_is_too_long_says_which_option_to_raise(bench):
    with pytest.raises(Permanent, match="output_limit = 1024"):
        await bench.run("/bin/cat", stdin=["x" * 5000], parse_json=True, output_limit=1024)
