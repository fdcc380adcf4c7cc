"""Programs that cannot be started: each with its class and a sentence that says what to do."""

import errno
import os

import pytest

from alicia_action_script.diagnosis import start_failure
from alicia_scheduler.api import Permanent, Retryable


def program(tmp_path, text, mode=0o755, name="program"):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)
    return str(path)


async def failure_of(bench, *command, **fields):
    with pytest.raises((Permanent, Retryable)) as failure:
        await bench.run(*command, **fields)
    return type(failure.value), failure.value.error_class, str(failure.value)


async def test_a_name_that_is_nowhere_on_path(bench):
    kind, word, text = await failure_of(bench, "no-such-program")
    assert (kind, word) == (Permanent, "not_found")
    assert "'no-such-program'" in text
    assert "PATH" in text


async def test_a_path_where_there_is_nothing(bench):
    kind, word, text = await failure_of(bench, "/nowhere/program")
    assert (kind, word, text) == (Permanent, "not_found", "there is no file /nowhere/program")


async def test_a_link_to_nothing(bench, tmp_path):
    (tmp_path / "link").symlink_to("gone")
    kind, word, text = await failure_of(bench, str(tmp_path / "link"))
    assert (kind, word) == (Permanent, "not_found")
    assert "link to nothing" in text


async def test_a_file_without_the_permission(bench, tmp_path):
    path = program(tmp_path, "#!/bin/sh\n", mode=0o644)
    kind, word, text = await failure_of(bench, path)
    assert (kind, word) == (Permanent, "not_executable")
    assert f"chmod +x {path}" in text


async def test_a_file_on_path_without_the_permission_is_told_and_not_called_missing(
    bench, tmp_path
):
    path = program(tmp_path, "#!/bin/sh\n", mode=0o644)
    _, word, text = await failure_of(bench, "program", env={"PATH": str(tmp_path)})
    assert word == "not_executable"
    assert f"chmod +x {path}" in text


async def test_a_directory(bench, tmp_path):
    kind, word, text = await failure_of(bench, str(tmp_path))
    assert (kind, word, text) == (Permanent, "not_executable", f"{tmp_path} is a directory")


async def test_an_interpreter_that_is_missing(bench, tmp_path):
    path = program(tmp_path, "#!/usr/bin/no-python\nprint(1)\n")
    kind, word, text = await failure_of(bench, path)
    assert (kind, word) == (Permanent, "bad_interpreter")
    assert f"{path} needs the interpreter '/usr/bin/no-python'" in text


async def test_a_first_line_from_windows(bench, tmp_path):
    path = program(tmp_path, "#!/bin/sh\r\necho hello\r\n")
    _, word, text = await failure_of(bench, path)
    assert word == "bad_interpreter"
    assert "Windows" in text
    assert "sed -i" in text


async def test_an_interpreter_that_may_not_be_executed(bench, tmp_path):
    interpreter = program(tmp_path, "", mode=0o644, name="interpreter")
    path = program(tmp_path, f"#!{interpreter}\n")
    _, word, text = await failure_of(bench, path)
    assert word == "bad_interpreter"
    assert interpreter in text


async def test_a_script_without_a_first_line(bench, tmp_path):
    kind, word, text = await failure_of(bench, program(tmp_path, "echo hello\n"))
    assert (kind, word) == (Permanent, "bad_interpreter")
    assert "#!/bin/sh" in text


async def test_an_empty_file(bench, tmp_path):
    _, word, text = await failure_of(bench, program(tmp_path, ""))
    assert word == "bad_interpreter"
    assert "empty" in text


async def test_a_program_for_another_machine(bench, tmp_path):
    elf = b"\x7fELF\x02\x01\x01" + bytes(9) + (2).to_bytes(2, "little")
    alien = elf + (0xF00D).to_bytes(2, "little") + bytes(200)
    _, word, text = await failure_of(bench, program(tmp_path, alien))
    assert word == "bad_interpreter"
    assert "another kind of machine" in text


async def test_a_working_directory_that_is_missing_may_come_back(bench):
    kind, word, text = await failure_of(bench, "/bin/true", cwd="/mnt/not-mounted")
    assert (kind, word) == (Retryable, "cwd")
    assert "'/mnt/not-mounted'" in text
    assert "No such file" in text


async def test_arguments_that_are_too_long_together(bench):
    _, word, text = await failure_of(bench, "/bin/true", *["x" * 100_000] * 100)
    assert word == "too_long"
    assert "stdin" in text


async def test_a_program_that_is_being_written_may_work_later(bench, tmp_path):
    import shutil

    path = tmp_path / "busy"
    shutil.copy(os.path.realpath("/bin/true"), path)
    path.chmod(0o755)
    with path.open("r+b"):
        kind, word, _ = await failure_of(bench, str(path))
    assert (kind, word) == (Retryable, "start")


def test_another_user_without_being_root():
    failure = start_failure("user", errno.EPERM, None, program="ls", cwd="/", user="pi")
    assert isinstance(failure, Permanent)
    assert "must run as root" in str(failure)


def test_no_room_for_a_process_may_pass():
    failure = start_failure("fork", errno.EAGAIN, None, program="ls", cwd="/", user=None)
    assert isinstance(failure, Retryable)


def test_a_niceness_that_only_root_may_have():
    failure = start_failure("nice", errno.EPERM, None, program="ls", cwd="/", user=None)
    assert failure.error_class == "limits"
    assert "only root" in str(failure)
