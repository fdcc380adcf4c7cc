"""Commands about executions and about the host as a whole."""

import sqlite3
import stat
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import trio

from alicia_scheduler.api import Caller, CommandError, Permission, Status
from alicia_scheduler.control.control import Control
from alicia_scheduler.kernel import halting
from alicia_scheduler.kernel.definitions import save_event
from alicia_scheduler.testing.configured import running_host
from alicia_scheduler.testing.kernel import make_event, running_kernel

ADMIN = Caller(door="python", name="tester", permission=Permission.ADMIN)

CONFIG = """
[scheduler]
timezone = "UTC"
[events.note]
schedule_type = "test.every"
schedule_config = { seconds = 3600 }
action = { type = "test.note" }
mode = "parallel"
tags = ["short"]
[events.hold]
schedule_type = "test.every"
schedule_config = { seconds = 3600 }
action = { type = "test.hold" }
mode = "parallel"
tags = ["long"]
[events.fail]
schedule_type = "test.every"
schedule_config = { seconds = 3600 }
action = { type = "test.fail", message = "it" }
max_retries = 0
mode = "parallel"
tags = ["short"]
"""


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


async def refused(call, **known):
    with pytest.raises(CommandError) as refusal:
        await call
    for name, value in known.items():
        assert getattr(refusal.value, name) == value
    return refusal.value


async def triggered(tell, event_id):
    (done,) = (await tell("events/trigger", event_id=event_id))["done"]
    return done["executions"][0]["execution_id"]


async def until_ended(tell, count):
    while True:
        found = (await tell("executions/list", final=True))["executions"]
        if len(found) >= count:
            return found
        await trio.sleep(0.01)


# -- executions ------------------------------------------------------------------------------


async def test_a_listing_of_executions_goes_on_where_the_page_before_ended():
    async with commanded() as (_, tell):
        made = [await triggered(tell, "note") for _ in range(3)]
        made += [await triggered(tell, "fail") for _ in range(2)]
        held = await triggered(tell, "hold")
        await until_ended(tell, 5)
        seen, after = [], {}
        while after is not None:
            page = await tell("executions/list", limit=2, **after)
            assert len(page["executions"]) <= 2
            seen += [run["execution_id"] for run in page["executions"]]
            after = {"after": page["next"]} if page["next"] else None
        assert seen == [held, *reversed(made)]
        by = {
            "failed": {"status": "failed"},
            "either": {"status": ["failed", "completed"]},
            "open": {"final": False},
            "short": {"tag": "short"},
            "pattern": {"event_id": ["h*", "fail"]},
            "none": {"status": "running", "final": True},
        }
        found = {
            name: len((await tell("executions/list", **filters))["executions"])
            for name, filters in by.items()
        }
    assert found == {"failed": 2, "either": 5, "open": 1, "short": 5, "pattern": 3, "none": 0}


@pytest.mark.parametrize("after", ["", "x/1", "1e400/1", "nan/1"])
async def test_a_place_that_means_nothing_is_refused(after):
    async with commanded() as (_, tell):
        listing = tell("executions/list", after=after)
        await refused(listing, code="invalid_format", path=("after",))


async def test_an_execution_under_way_is_shown_as_it_stands():
    async with commanded() as (_, tell):
        held = await triggered(tell, "hold")
        assert (await tell("executions/get", execution_id=held))["execution"]["status"] == "running"
        assert (await tell("events/get", event_id="hold"))["under_way"] == [held]
        await refused(tell("executions/get", execution_id="none"), code="not_found")


async def test_executions_are_cancelled_by_id_or_with_their_events():
    async with commanded() as (_, tell):
        first, second, third, fourth = [await triggered(tell, "hold") for _ in range(4)]
        answer = await tell("executions/cancel", execution_id=first)
        told = {"execution_id": first, "event_id": "hold", "ended": False}
        assert answer == {"done": [told], "failed": []}
        answer = await tell("executions/cancel", execution_id=[second, "none", second])
        assert [each["execution_id"] for each in answer["done"]] == [second]
        assert [(each["execution_id"], each["code"]) for each in answer["failed"]] == [
            ("none", "not_found")
        ]
        await until_ended(tell, 2)
        answer = await tell("executions/cancel", tag="long")
        assert {each["execution_id"] for each in answer["done"]} >= {third, fourth}
        ended = await until_ended(tell, 4)
        assert {run["status"] for run in ended} == {"cancelled"}
        assert (await tell("executions/cancel", event_id="note"))["done"] == []
        await refused(tell("executions/cancel", event_id="none"), code="not_found")
        await refused(tell("executions/cancel", execution_id="none"), code="not_found")
        await refused(tell("executions/cancel"), code="invalid_format")
        both = tell("executions/cancel", event_id="hold", execution_id=first)
        await refused(both, code="invalid_format")


async def test_executions_are_run_again():
    async with commanded() as (_, tell):
        failed = await triggered(tell, "fail")
        await until_ended(tell, 1)
        (done,) = (await tell("executions/retry", execution_id=failed))["done"]
        assert done["executions"][0]["retry_of"] == failed
        held = await triggered(tell, "hold")
        answer = await tell("executions/retry", execution_id=[failed, held, "none"])
        assert [each["execution_id"] for each in answer["done"]] == [failed]
        assert [each["code"] for each in answer["failed"]] == ["not_supported", "not_found"]
        await refused(tell("executions/retry", execution_id=held), code="not_supported")


# -- foresight -------------------------------------------------------------------------------


async def test_a_preview_of_an_event_and_of_a_schedule_that_is_none():
    async with commanded() as (_under_test, tell):
        following = (await tell("events/get", event_id="note"))["event"]["next_run"]
        answer = await tell("preview", event_id="note", count=2)
        assert [slot["slot"] for slot in answer["slots"]] == [following, following + 3600]
        assert (answer["event_id"], answer["timezone"], answer["more"]) == ("note", "UTC", True)
        spec = {"schedule_type": "test.at", "schedule_config": {"epochs": [1e9, 2e9]}}
        answer = await tell("preview", **spec, timezone="Asia/Tokyo")
        assert [slot["local"] for slot in answer["slots"]] == ["2033-05-18T12:33:20+09:00"]
        assert (answer["event_id"], answer["more"]) == (None, False)
        answer = await tell("preview", **spec, **{"from": 0, "to": 1.5e9})
        assert [slot["slot"] for slot in answer["slots"]] == [1e9]
        await refused(tell("preview"), code="invalid_format")
        await refused(tell("preview", event_id="note", **spec), code="invalid_format")
        await refused(tell("preview", event_id="none"), code="not_found")
        spec["schedule_config"] = {"epoch": []}
        refusal = await refused(tell("preview", **spec), code="invalid_format")
        assert refusal.path == ("schedule_config", "epoch")
        spec["schedule_type"] = "cron"
        await refused(tell("preview", **spec), code="not_supported")


async def test_an_explanation_knows_that_everything_is_paused():
    async with commanded() as (_, tell):
        (slot,) = (await tell("explain", event_id="note"))["slots"]
        assert slot["outcome"].startswith("will run")
        await tell("scheduler/pause")
        (slot,) = (await tell("explain", event_id="note", at=slot["slot"]))["slots"]
        assert "the whole schedule is paused" in slot["outcome"]


# -- stats, health ---------------------------------------------------------------------------


async def test_figures_follow_what_happens():
    async with commanded() as (under_test, tell):
        await triggered(tell, "note")
        await triggered(tell, "fail")
        await triggered(tell, "hold")
        await until_ended(tell, 2)
        await tell("events/pause", event_id="note")
        stats = await tell("stats")
        assert stats["executions"]["running"] == 1
        assert stats["executions"]["ended"] == {"completed": 1, "failed": 1}
        assert stats["events"].pop("age") < 1
        assert stats["events"] == {
            "total": 3,
            "enabled": 3,
            "paused": 1,
            "failing": 1,
            "complete": True,
        }
        assert stats["plugins"] == {"active": 1}
        assert stats["notifications"] == under_test.kernel.notifier.last
        health = await tell("health")
        assert (health["status"], health["problems"]) == ("healthy", [])


async def test_a_store_that_cannot_be_written_is_unhealthy_and_commands_go_on(monkeypatch):
    from alicia_scheduler.api import StoreError

    async with commanded() as (under_test, tell):

        async def full(changes):
            raise StoreError("disk full", transient=True)

        monkeypatch.setattr(under_test.kernel.store, "commit", full)
        await tell(
            "events/create",
            event={
                "event_id": "new",
                "schedule_type": "test.every",
                "schedule_config": {"seconds": 9},
                "action": {"type": "test.note"},
            },
        )
        health = await tell("health")
        assert health["status"] == "unhealthy"
        assert health["problems"][0]["message"] == "disk full"
        # What only the kernel has is listed, selected and found; what was removed is not.
        assert [each["event_id"] for each in (await tell("events/list"))["events"]] == [
            "fail",
            "hold",
            "new",
            "note",
        ]
        assert len((await tell("events/pause", event_id="n*"))["done"]) == 2
        await tell("events/delete", event_id="new")
        await refused(tell("events/get", event_id="new"), code="not_found")
        assert len((await tell("events/list"))["events"]) == 3


# -- pausing the whole schedule --------------------------------------------------------------


async def test_while_everything_is_paused_slots_are_skipped_and_triggers_run(autojump_clock):
    async with running_kernel() as under_test:
        kernel = under_test.kernel
        await save_event(kernel, make_event("bell", on_success=("after",)))
        await save_event(
            kernel, make_event("after", enabled=True, schedule_config={"seconds": 1e6})
        )
        await halting.halt(kernel)
        await trio.sleep(25)
        await kernel.trigger("bell")
        await trio.sleep(1)
        await halting.proceed(kernel)
        await trio.sleep(10)
        history = await under_test.history("bell")
        after = await under_test.history("after")
    assert [(run.status, run.reason) for run in history] == [
        (Status.SKIPPED, "paused"),
        (Status.SKIPPED, "paused"),
        (Status.COMPLETED, None),
        (Status.COMPLETED, None),
    ]
    # What follows an execution is held as well, as that of a paused event.
    assert [(run.status, run.reason) for run in after] == [
        (Status.SKIPPED, "paused"),
        (Status.COMPLETED, None),
    ]
    assert len(under_test.told("scheduler_paused")) == 1
    assert len(under_test.told("scheduler_resumed")) == 1


async def test_a_pause_of_everything_ends_by_itself(autojump_clock):
    async with running_kernel() as under_test:
        kernel = under_test.kernel
        await save_event(kernel, make_event("bell"))
        await halting.halt(kernel, kernel.clock.now() + timedelta(seconds=15))
        await trio.sleep(25)
        history = await under_test.history("bell")
    assert [run.reason for run in history] == ["paused", None]


async def test_a_pause_of_everything_outlives_a_restart(tmp_path):
    async with commanded(state_dir=tmp_path / "state") as (under_test, tell):
        (paused,) = (await tell("scheduler/pause", duration=86_400)).values()
    async with commanded(state_dir=tmp_path / "state") as (under_test, tell):
        assert (await tell("health"))["paused_until"] == paused
        assert under_test.kernel.paused_until.timestamp() == paused
        assert await tell("scheduler/resume") == {"paused_until": None}
    async with commanded(state_dir=tmp_path / "state") as (_, tell):
        assert (await tell("health"))["paused_until"] is None


async def test_a_pause_of_everything_takes_one_end():
    async with commanded() as (_, tell):
        both = tell("scheduler/pause", until="2030-01-01T00:00:00Z", duration=1)
        await refused(both, code="invalid_format", path=("duration",))


# -- backup ----------------------------------------------------------------------------------


async def test_a_backup_is_a_whole_store_of_its_owner_alone(tmp_path):
    state = tmp_path / "state"
    async with commanded(state_dir=state) as (_, tell):
        answer = await tell("backup")
        inside = await tell("backup", path="copy.db")
        outside = await tell("backup", path=str(tmp_path / "elsewhere.db"))
    for found in (answer, inside, outside):
        file = Path(found["path"]).stat()
        assert (file.st_size, stat.S_IMODE(file.st_mode)) == (found["size"], 0o600)
        with sqlite3.connect(found["path"]) as copy:
            assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        copy.close()
    assert Path(answer["path"]).parent == state / "backups"
    assert inside["path"] == str(state / "copy.db")


async def test_a_backup_replaces_nothing_and_goes_nowhere_unsaid(tmp_path):
    state = tmp_path / "state"
    async with commanded(state_dir=state) as (_, tell):
        (state / "there.db").write_text("mine")
        (state / "link.db").symlink_to(tmp_path / "nowhere.db")
        await refused(tell("backup", path="there.db"), code="conflict", path=("path",))
        assert (state / "there.db").read_text() == "mine"
        await refused(tell("backup", path="../out.db"), code="invalid_format", path=("path",))
        await refused(tell("backup", path="link.db"), code="invalid_format", path=("path",))
        await refused(tell("backup", path="no/where.db"), code="invalid_format", path=("path",))
        await refused(tell("backup", path="a\0b"), code="invalid_format", path=("path",))
        assert not (tmp_path / "out.db").exists()


async def test_a_host_in_memory_has_nothing_to_back_up():
    async with commanded() as (_, tell):
        await refused(tell("backup"), code="not_supported")


# -- reload ----------------------------------------------------------------------------------


MORE = """
[limits.disk]
capacity = 1
[events.more]
schedule_type = "test.every"
schedule_config = { seconds = 60 }
action = { type = "test.note" }
limit = "disk"
"""


async def test_a_reload_says_what_it_would_do_and_then_does_it(tmp_path):
    limited = {
        "event_id": "made",
        "schedule_type": "test.every",
        "schedule_config": {"seconds": 60},
        "action": {"type": "test.note"},
        "limit": "disk",
    }
    async with commanded(state_dir=tmp_path / "state") as (_, tell):
        await refused(tell("events/create", event=limited), code="invalid_format")
        (tmp_path / "home.toml").write_text(CONFIG + MORE)
        plan = await tell("scheduler/reload", dry_run=True)
        assert (plan["applied"], plan["created"], plan["unchanged"]) == (False, ["more"], 3)
        await refused(tell("events/get", event_id="more"), code="not_found")
        assert (await tell("scheduler/reload"))["applied"] is True
        assert (await tell("events/get", event_id="more"))["event"]["origin"] == "file"
        # What is created from now on is held against the new file.
        await tell("events/create", event=limited)


async def test_a_reload_of_a_wrong_file_is_refused_with_every_mistake(tmp_path):
    async with commanded(state_dir=tmp_path / "state") as (_, tell):
        (tmp_path / "home.toml").write_text(CONFIG + MORE.replace("60", '"x"') + "jitter = -1\n")
        refusal = await refused(tell("scheduler/reload"), code="invalid_format")
        assert len(refusal.details["issues"]) == 2
        assert all(issue["line"] for issue in refusal.details["issues"])
        await refused(tell("events/get", event_id="more"), code="not_found")


async def test_a_host_without_a_file_cannot_be_reloaded():
    async with commanded() as (_, tell):
        await refused(tell("scheduler/reload"), code="not_supported")


# -- what other parts of the host bring ------------------------------------------------------


async def test_a_plugin_is_disabled_and_enabled_with_the_events_that_need_it():
    async with commanded() as (_, tell):
        answer = await tell("plugins/disable", name="test")
        (plugin,) = answer["plugins"]
        assert (plugin["name"], plugin["status"]) == ("test", "disabled")
        assert "alicia plugins enable test" in plugin["advice"]
        answer = await tell("plugins/enable", name="test")
        (plugin,) = answer["plugins"]
        assert (plugin["status"], plugin["reason"]) == ("active", None)
        await refused(tell("plugins/enable", name="none"), code="not_found")


async def test_a_rescan_says_what_is_new_here():
    async with commanded() as (_, tell):
        answer = await tell("plugins/rescan")
        assert "schedule-interval" in answer["added"]
        assert "schedule-interval" in {plugin["name"] for plugin in answer["plugins"]}


async def test_a_retry_by_event_runs_what_failed_last_and_nothing_else():
    async with commanded() as (_, tell):
        await triggered(tell, "note")
        failed = await triggered(tell, "fail")
        await until_ended(tell, 2)
        answer = await tell("executions/retry", event_id="*")
        assert [each["execution_id"] for each in answer["done"]] == [failed]
        await refused(tell("executions/retry", event_id="note"), code="not_supported")
        await refused(tell("executions/retry", tag="nobody"), code="not_found")
        await refused(tell("executions/retry"), code="invalid_format", path=("event_id",))
        await refused(
            tell("executions/retry", event_id="fail", execution_id=failed), code="invalid_format"
        )
