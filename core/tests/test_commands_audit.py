"""The audit log: who did what, and that it never stands in anybody's way."""

import json
import os
import stat
from contextlib import asynccontextmanager

import pytest
import trio
from click.testing import CliRunner

from alicia_scheduler.api import Caller, CommandError, Permission
from alicia_scheduler.cli.main import main
from alicia_scheduler.control.control import Control
from alicia_scheduler.host import audit
from alicia_scheduler.host.audit import AuditLog
from alicia_scheduler.testing.clock import VirtualClock
from alicia_scheduler.testing.configured import running_host

ADMIN = Caller(door="tcp", name="laptop", permission=Permission.ADMIN)
READER = Caller(door="tcp", name="wall display", permission=Permission.READ)

CONFIG = """
[scheduler]
timezone = "UTC"
[events.bell]
schedule_type = "test.every"
schedule_config = { seconds = 3600 }
action = { type = "test.note" }
"""

CANARY = "c4nary-9f31-in-a-coal-mine"


@asynccontextmanager
async def commanded(text=CONFIG, **options):
    control = None

    def before(host):
        nonlocal control
        control = Control(host)

    async with running_host(text, before=before, **options) as under_test:

        async def tell(command, /, *, caller=ADMIN, **arguments):
            return await control.execute(caller, command, arguments)

        yield under_test, tell


def lines(folder, name="audit.log"):
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


async def test_what_is_done_and_what_is_refused_is_noted_with_who_and_how(tmp_path):
    state = tmp_path / "state"
    async with commanded(state_dir=state) as (_, tell):
        await tell("events/trigger", event_id="bell")
        await tell("events/list")
        for caller, command, arguments in (
            (READER, "events/pause", {"event_id": "bell"}),
            (ADMIN, "events/pause", {"event_id": "none"}),
            (ADMIN, "events/pause", {"bogus": 1}),
            (READER, "events/get", {"event_id": "none"}),
        ):
            with pytest.raises(CommandError):
                await tell(command, caller=caller, **arguments)
    found = lines(state)
    assert [(x["caller"], x["command"], x["arguments"], x["outcome"]) for x in found] == [
        ("laptop", "events/trigger", {"event_id": "bell"}, "ok"),
        ("wall display", "events/pause", {"event_id": "bell"}, "not_allowed"),
        ("laptop", "events/pause", {"event_id": "none"}, "not_found"),
        ("laptop", "events/pause", {"bogus": 1}, "invalid_format"),
    ]
    assert {line["door"] for line in found} == {"tcp"}
    assert [line["time"] for line in found] == sorted(line["time"] for line in found)
    assert stat.S_IMODE((state / "audit.log").stat().st_mode) == 0o600


async def test_what_an_event_tells_the_host_is_noted_under_its_name(tmp_path):
    from alicia_scheduler.api import EventExecution

    state = tmp_path / "state"
    async with commanded(state_dir=state) as (under_test, tell):
        execution = EventExecution(
            execution_id="x-1", event_id="other", revision=1, scheduled_time=under_test.clock.now()
        )
        caller = Caller(
            door="event", name="other", permission=Permission.OPERATE, execution=execution
        )
        await tell("events/trigger", caller=caller, event_id="bell")
    (line,) = lines(state)
    assert (line["door"], line["caller"], line["execution_id"]) == ("event", "other", "x-1")


async def test_arguments_of_any_size_and_shape_are_noted_short(tmp_path):
    state = tmp_path / "state"
    deep = "x"
    for _ in range(200):
        deep = {"a": [deep]}
    async with commanded(state_dir=state) as (_, tell):
        for event in (
            {"name": "y" * 1_000_000},
            {f"key {number}": number for number in range(10_000)},
            {"a": [list(range(1000))] * 100},
            {"a" * 100_000: 1},
            {"a": [["z" * 1000] * 100] * 10},
            {"a": float("nan")},
            deep,
        ):
            with pytest.raises(CommandError):
                await tell("events/create", event=event)
        with pytest.raises(CommandError):
            await tell("events/pause", event_id=object())
    for line in (state / "audit.log").read_text().splitlines():
        assert len(line) < 10_000
        assert json.loads(line)["command"].startswith("events/")
    assert len(lines(state)) == 8


async def test_a_secret_is_neither_in_the_log_nor_in_an_answer(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("CANARY", CANARY)
    text = (
        CONFIG.replace(
            'type = "test.note"', 'type = "test.note", message = "m", password = { secret = "s" }'
        )
        + '[secrets]\ns = { env = "CANARY" }\n'
    )
    state, answers = tmp_path / "state", []
    async with commanded(text, state_dir=state) as (under_test, tell):
        answers.append(await tell("events/test", event_id="bell", live=True))
        assert under_test.ran[0][0].password == CANARY
        made = {
            "event_id": "copy",
            "name": CANARY,
            "schedule_type": "test.every",
            "schedule_config": {"seconds": 60},
            "action": {"type": "test.note", "message": f"{'x' * 190}{CANARY}", CANARY: 1},
        }
        with pytest.raises(CommandError) as refusal:
            await tell("events/create", event=made)
        answers += [refusal.value.to_json(), str(refusal.value)]
        del made["action"][CANARY]
        answers.append(await tell("events/create", event=made))
        for command, arguments in (
            ("events/get", {"event_id": "copy"}),
            ("events/list", {}),
            ("events/trigger", {"event_id": "copy"}),
            ("executions/list", {}),
            ("explain", {"event_id": "copy"}),
            ("stats", {}),
            ("health", {}),
            ("plugins/show", {"name": "test"}),
            ("plugins/list", {}),
            ("preview", {"event_id": "copy"}),
            ("backup", {"path": str(tmp_path / f"{CANARY}.db")}),
            ("commands/list", {}),
        ):
            answers.append(await tell(command, **arguments))
        with pytest.raises(CommandError) as refusal:
            await tell("events/pause", event_id=f"none-{CANARY}")
        answers.append(refusal.value.to_json())
        for command, arguments in (
            ("events/get", {"event_id": CANARY}),
            ("events/update", {"event_id": "copy", "revision": 99, "changes": {CANARY: 1}}),
            ("preview", {"schedule_type": CANARY, "schedule_config": {}}),
            ("explain", {"event_id": "copy", "at": CANARY}),
            ("executions/list", {"after": CANARY}),
            ("executions/cancel", {"execution_id": CANARY}),
            ("plugins/show", {"name": CANARY}),
            ("backup", {"path": str(tmp_path / f"{CANARY}.db")}),
            ("backup", {"path": f"/{CANARY}/x.db"}),
        ):
            with pytest.raises(CommandError) as refusal:
                await tell(command, **arguments)
            answers += [refusal.value.to_json(), str(refusal.value)]
        with pytest.raises(CommandError) as refusal:
            await tell(f"events/{CANARY}")
        answers.append(refusal.value.to_json())
    told = json.dumps([*answers, lines(state)]) + caplog.text
    assert "***" in told
    assert CANARY not in told
    assert CANARY[:12] not in told


async def test_a_full_file_is_put_aside_and_only_some_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(audit, "FILE_BYTES", 2000)
    state = tmp_path / "state"
    async with commanded(state_dir=state) as (_, tell):
        for number in range(150):
            await tell("events/pause", event_id="bell", duration=number + 1)
            await trio.testing.wait_all_tasks_blocked(0.001)
    files = sorted(path.name for path in state.glob("audit.log*"))
    assert files == ["audit.log", *(f"audit.log.{number}" for number in range(1, audit.FILES))]
    assert all((state / name).stat().st_size < 4000 for name in files)
    kept = [line for name in reversed(files[1:]) for line in lines(state, name)] + lines(state)
    durations = [line["arguments"]["duration"] for line in kept]
    assert durations == list(range(151 - len(kept), 151))


async def test_a_log_that_cannot_be_written_stops_no_command_and_is_told(tmp_path, caplog):
    state = tmp_path / "state"
    (state / "audit.log").mkdir(parents=True)
    async with commanded(state_dir=state) as (under_test, tell):
        for _ in range(3):
            await tell("events/pause", event_id="bell")
        while under_test.host.audit.lost < 3:
            await trio.sleep(0.01)
        health = await tell("health")
        assert (health["status"], health["problems"][0]["kind"]) == ("degraded", "audit")
        assert (await tell("stats"))["audit"] == {"written": 0, "lost": 3}
        (state / "audit.log").rmdir()
        await tell("events/resume", event_id="bell")
        while not under_test.host.audit.written:
            await trio.sleep(0.01)
        assert (await tell("health"))["status"] == "healthy"
    gap, line = lines(state)
    assert gap["lost"] == 3
    assert line["command"] == "events/resume"
    assert caplog.text.count("audit log cannot be written") == 1


async def test_a_line_that_was_cut_off_spoils_no_other(tmp_path):
    (tmp_path / "audit.log").write_text('{"time":1}\n{"ti')
    log = AuditLog(tmp_path, VirtualClock(), lambda data: data)
    log.note(ADMIN, "events/pause", {}, "ok")
    async with log.running():
        pass
    first, cut, whole = (tmp_path / "audit.log").read_text().splitlines()
    assert (first, cut) == ('{"time":1}', '{"ti')
    assert json.loads(whole)["command"] == "events/pause"


async def test_more_than_can_be_written_is_lost_counted_and_said(tmp_path):
    log = AuditLog(tmp_path, VirtualClock(), lambda data: data)
    for number in range(audit.WAITING + 7):
        log.note(ADMIN, "events/pause", {"n": number}, "ok")
    assert log.lost == 7
    async with log.running():
        pass
    first, *others = lines(tmp_path)
    assert first["lost"] == 7
    assert [line["arguments"]["n"] for line in others] == list(range(audit.WAITING))


async def test_a_command_that_is_cut_off_is_noted_as_cancelled(tmp_path, monkeypatch):
    state = tmp_path / "state"
    async with commanded(state_dir=state) as (under_test, tell):

        async def for_ever(changes):
            await trio.sleep_forever()

        monkeypatch.setattr(under_test.kernel.store, "records", for_ever)
        with trio.move_on_after(0.05):
            await tell("events/delete", event_id="bell")
        monkeypatch.undo()
    (line,) = lines(state)
    assert line["outcome"] == "cancelled"


def test_what_the_command_line_does_without_a_host_is_noted_and_no_secret_with_it(tmp_path):
    def alicia(*arguments):
        return CliRunner().invoke(main, [*arguments, "--state-dir", str(tmp_path)])

    made = alicia("tokens", "create", "laptop", "--permission", "admin")
    alicia("tokens", "create", "laptop")
    alicia("tokens", "list")
    alicia("tokens", "revoke", "laptop", "none")
    alicia("plugins", "disable", "sink-log")
    found = lines(tmp_path)
    assert {(line["door"], line["caller"]) for line in found} == {("cli", f"uid {os.getuid()}")}
    assert [(line["command"], line["arguments"]["name"], line["outcome"]) for line in found] == [
        ("tokens/create", "laptop", "ok"),
        ("tokens/create", "laptop", "refused"),
        ("tokens/revoke", "laptop", "ok"),
        ("tokens/revoke", "none", "refused"),
        ("plugins/disable", "sink-log", "ok"),
    ]
    assert stat.S_IMODE((tmp_path / "audit.log").stat().st_mode) == 0o600
    assert made.stdout.split()[0] not in (tmp_path / "audit.log").read_text()


def test_a_log_that_cannot_be_written_stops_nothing_that_the_command_line_does(tmp_path):
    (tmp_path / "audit.log").mkdir()
    made = CliRunner().invoke(main, ["tokens", "create", "laptop", "--state-dir", str(tmp_path)])
    assert made.exit_code == 0
    assert made.stdout.startswith("alicia_")
    assert "the audit log cannot be written" in made.stderr
