"""A host reads its configuration again: as a whole or not at all, and what runs is not touched."""

import json
import signal
import subprocess
import sys
import time
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from alicia_scheduler.api import ActionType, ConfigError, ScheduleType, ServiceType, SinkType
from alicia_scheduler.config.load import load
from alicia_scheduler.host.check import check_configuration
from alicia_scheduler.host.host import Host
from alicia_scheduler.host.loader import Contributions, PluginRecord
from alicia_scheduler.host.registry import Registry
from alicia_scheduler.host.reload import ReloadRefused
from alicia_scheduler.testing.kernel import At

ALICIA = str(Path(sys.executable).parent / "alicia")

FAR = 4_000_000_000
"""An instant that no test lives to see."""


class Times(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When an event runs."""

    instants: tuple[float, ...] = (FAR,)


class Words(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What parts are told."""

    word: str = ""


class Parts:
    """The parts of a plugin, which note what happens to them."""

    def __init__(self):
        self.noted = []
        self.ran = []
        self.hold = trio.Event()
        self.hold.set()

    def opener(self, what, part):
        @asynccontextmanager
        async def open_it(config, context):
            self.noted.append(f"{what} {config.word} opens")
            yield part
            self.noted.append(f"{what} {config.word} closes")

        return open_it

    @asynccontextmanager
    async def open_action(self, context):
        yield self

    async def run(self, config, execution):
        await self.hold.wait()
        self.ran.append(config.word)
        return {"word": config.word}

    async def write(self, notifications):
        pass

    def registry(self):
        def at(config, context):
            return At(tuple(datetime.fromtimestamp(each, UTC) for each in config.instants))

        record = PluginRecord("test", "test", "1")
        record.contributions = Contributions(
            schedule_types=[ScheduleType(name="test.at", config=Times, build=at)],
            action_types=[ActionType(name="test.say", config=Words, open=self.open_action)],
            sinks=[SinkType(name="test.sink", config=Words, open=self.opener("sink", self))],
            services=[
                ServiceType(
                    name="test.door",
                    config=Words,
                    open=self.opener("service", self),
                    provides=Parts,
                )
            ],
        )
        return Registry([record])


class Reloaded:
    """A running host and the file it came from."""

    def __init__(self, folder):
        self.folder = folder
        self.file = folder / "home.toml"
        self.parts = Parts()
        self.told = []
        self.host: Any = None

    def write(self, text):
        self.file.write_text('[scheduler]\ntimezone = "UTC"\n' + text)

    @asynccontextmanager
    async def running(self, text):
        self.write(text)
        loaded, registry = load(self.file), self.parts.registry()
        checked = check_configuration(loaded, registry, now=datetime.now(UTC))
        assert [str(issue) for issue in checked.issues] == []
        self.host = Host(
            loaded.settings,
            checked,
            registry,
            state_dir=self.folder / "state",
            configuration=loaded,
        )
        self.host.notifier.listen(self.told.append)
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.host.run)
                await self.host.started.wait()
                try:
                    yield self
                finally:
                    self.host.stop()

    async def reload(self, text, **how):
        self.write(text)
        return await self.host.reload(**how)

    async def state(self, event_id):
        records = await self.host.kernel.store.records([event_id])
        return records[event_id]

    async def heard(self, event_type):
        while True:
            for notification in self.told:
                if notification.event_type == event_type:
                    return notification
            await trio.sleep(0.01)

    async def ended(self, count):
        while True:
            runs = await self.host.kernel.store.list_executions()
            if sum(run.status.final for run in runs) >= count:
                return runs
            await trio.sleep(0.01)


@pytest.fixture
def reloaded(tmp_path):
    return Reloaded(tmp_path)


def event(name, word="", instants=(FAR,), more=""):
    return (
        f'[events.{name}]\nschedule_type = "test.at"\n{more}\n'
        f"schedule_config = {{ instants = {list(instants)} }}\n"
        f'action = {{ type = "test.say", word = "{word}" }}\n'
    )


async def test_a_reload_creates_edits_and_removes_what_differs(reloaded):
    async with reloaded.running(event("stays") + event("edited") + event("goes")):
        plan = await reloaded.reload(event("stays") + event("edited", "new") + event("comes"))
        assert (plan.created, plan.removed, plan.unchanged) == (["comes"], ["goes"], 1)
        assert [(item.event_id, item.fields) for item in plan.updated] == [("edited", ["action"])]
        assert plan.applied
        listed = await reloaded.host.kernel.store.list_events()
        assert [record.event.event_id for record in listed] == ["comes", "edited", "stays"]


async def test_an_unchanged_event_keeps_its_revision_its_next_slot_and_its_counts(reloaded):
    async with reloaded.running(event("stays")):
        await reloaded.host.kernel.trigger("stays")
        await reloaded.ended(1)
        before = await reloaded.state("stays")
        await reloaded.reload(event("stays") + event("comes"))
        assert await reloaded.state("stays") == before
        assert before.state.run_count == 1


async def test_what_runs_goes_on_by_the_definition_it_started_with(reloaded):
    async with reloaded.running(event("busy", "old")):
        reloaded.parts.hold = trio.Event()
        await reloaded.host.kernel.trigger("busy")
        await reloaded.reload(event("busy", "new"))
        reloaded.parts.hold.set()
        (run,) = await reloaded.ended(1)
        assert run.result == {"word": "old"}
        assert run.revision == 1


async def test_what_runs_of_a_removed_event_ends_as_cancelled(reloaded):
    async with reloaded.running(event("goes")):
        reloaded.parts.hold = trio.Event()
        await reloaded.host.kernel.trigger("goes")
        await reloaded.reload("")
        (run,) = await reloaded.ended(1)
        assert (run.status, run.reason) == ("cancelled", "removed")


async def test_with_any_mistake_nothing_is_changed_and_each_is_named(reloaded):
    async with reloaded.running(event("stays", "old")):
        before = await reloaded.state("stays")
        with pytest.raises(ReloadRefused) as refused:
            await reloaded.reload(
                event("stays", "new") + event("bad", more="timeout = -1") + "[lumps]\n"
            )
        assert [issue.line for issue in refused.value.issues] == [10, 13]
        assert str(refused.value).startswith("2 mistakes, nothing was changed; ")
        assert await reloaded.state("stays") == before
        assert reloaded.host.kernel.catalog.get("bad") is None


@pytest.mark.parametrize("text", ["x = = 1", "\0"])
async def test_a_file_that_is_no_toml_is_refused(reloaded, text):
    async with reloaded.running(event("stays")):
        with pytest.raises(ReloadRefused, match="nothing was changed"):
            await reloaded.reload(text)
        reloaded.file.unlink()
        with pytest.raises(ReloadRefused, match="there is no such file"):
            await reloaded.host.reload()
        assert (await reloaded.state("stays")).event.enabled


async def test_a_dry_run_says_the_same_and_changes_nothing(reloaded):
    async with reloaded.running(event("edited") + "[limits.pump]\ncapacity = 1\n"):
        text = event("edited", "new") + event("comes") + "[limits.pump]\ncapacity = 2\n"
        before = await reloaded.state("edited")
        dry = await reloaded.reload(text, dry_run=True)
        assert not dry.applied
        assert await reloaded.state("edited") == before
        assert reloaded.host.kernel.settings.limits == {"pump": 1}
        real = await reloaded.reload(text)
        assert (await reloaded.heard("configuration_reloaded")).event_data["applied"]
        assert msgspec.structs.replace(dry, applied=True) == real


async def test_a_reload_is_told(reloaded):
    async with reloaded.running(event("goes")):
        await reloaded.reload(event("comes"))
        told = await reloaded.heard("configuration_reloaded")
        assert told.event_data["created"] == ["comes"]
        assert told.event_data["message"] == "events: 1 created, 1 removed"


async def test_events_that_came_through_the_api_stay(reloaded):
    async with reloaded.running(event("filed")):
        from alicia_scheduler.kernel.definitions import save_event

        made = (await reloaded.state("filed")).event
        made = msgspec.structs.replace(made, event_id="made", origin="api")
        await save_event(reloaded.host.kernel, made)
        plan = await reloaded.reload("")
        assert plan.removed == ["filed"]
        assert (await reloaded.state("made")).event.origin == "api"


async def test_a_raised_limit_lets_in_who_waits_for_it(reloaded):
    two = event("one", "1", more='limit = "pump"') + event("two", "2", more='limit = "pump"')
    async with reloaded.running(two + "[limits.pump]\ncapacity = 1\n"):
        reloaded.parts.hold = trio.Event()
        await reloaded.host.kernel.trigger("one")
        await reloaded.host.kernel.trigger("two")
        assert reloaded.host.kernel.runner.running == 1
        await reloaded.reload(two + "[limits.pump]\ncapacity = 2\n")
        assert reloaded.host.kernel.runner.running == 2
        reloaded.parts.hold.set()
        await reloaded.ended(2)


async def test_a_lowered_limit_holds_for_the_next_ones_only(reloaded):
    three = "".join(event(name, name, more='limit = "pump"') for name in ("a", "b", "c"))
    async with reloaded.running(three + "[limits.pump]\ncapacity = 2\n"):
        reloaded.parts.hold = trio.Event()
        for name in ("a", "b"):
            await reloaded.host.kernel.trigger(name)
        await reloaded.reload(three + "[limits.pump]\ncapacity = 1\n")
        await reloaded.host.kernel.trigger("c")
        assert reloaded.host.kernel.runner.running == 2
        reloaded.parts.hold.set()
        runs = await reloaded.ended(3)
        first_ends = sorted(run.end_time for run in runs if run.event_id != "c")
        (third,) = [run for run in runs if run.event_id == "c"]
        assert third.start_time >= first_ends[-1]


async def test_a_limit_that_is_gone_holds_nobody_up_and_a_new_one_counts_who_runs(reloaded):
    free = event("a", "a") + event("b", "b")
    bound = free.replace("\n\nschedule_config", '\nlimit = "pump"\nschedule_config')
    async with reloaded.running(bound + "[limits.pump]\ncapacity = 1\n"):
        reloaded.parts.hold = trio.Event()
        await reloaded.host.kernel.trigger("a")
        await reloaded.host.kernel.trigger("b")
        await reloaded.reload(free)
        assert reloaded.host.kernel.runner.running == 2
        await reloaded.reload(bound + "[limits.pump]\ncapacity = 2\n")
        assert not reloaded.host.kernel.runner._places.has_room("pump")
        reloaded.parts.hold.set()
        await reloaded.ended(2)
        # What has ended is in the history a moment before its place is given back.
        while not reloaded.host.kernel.runner._places.has_room("pump"):
            await trio.sleep(0.01)


async def test_settings_of_the_scheduler_take_effect(reloaded):
    async with reloaded.running(event("stays")):
        reloaded.file.write_text(
            '[scheduler]\ntimezone = "UTC"\nmax_concurrent = 7\nmin_interval = 5\n'
            "drain_timeout = 3\n[history]\nper_event = 5\n" + event("stays")
        )
        plan = await reloaded.host.reload()
        assert plan.settings == [
            "scheduler.max_concurrent: 100 → 7",
            "scheduler.min_interval: 0.1 → 5.0",
            "scheduler.drain_timeout: 10.0 → 3.0",
            "history.per_event: 1000 → 5",
        ]
        assert reloaded.host.kernel.settings.max_concurrent == 7
        assert reloaded.host.kernel.settings.min_interval == 5.0
        assert reloaded.host.drain_timeout == 3.0


async def test_a_calendar_that_changes_moves_the_slots_that_it_is_about(reloaded):
    days = "exclude = ['off']\n"
    first, second = FAR, FAR + 86_400
    day = datetime.fromtimestamp(first, UTC).date()
    text = event("lamp", instants=(first, second), more=days)
    calendar = '[calendars.off]\ndates = ["2026-01-01"]\n'
    async with reloaded.running(text + calendar):
        assert (await reloaded.state("lamp")).state.next_run.timestamp() == first
        await reloaded.reload(text + calendar.replace("2026-01-01", str(day)))
        assert (await reloaded.state("lamp")).state.next_run.timestamp() == second
        await reloaded.reload(text + calendar)
        assert (await reloaded.state("lamp")).state.next_run.timestamp() == first


async def test_only_services_and_sinks_that_differ_are_opened_anew(reloaded):
    def text(door, sink):
        return f'[services."test.door"]\nword = "{door}"\n[sinks."test.sink"]\nword = "{sink}"\n'

    async with reloaded.running(text("a", "b")):
        await reloaded.reload(text("a", "b") + event("comes"))
        assert reloaded.parts.noted == ["service a opens", "sink b opens"]
        plan = await reloaded.reload(text("a", "c"))
        assert plan.settings == ["sinks.test.sink: changed"]
        await reloaded.reload(text("d", "c"))
        await reloaded.reload("")
    assert reloaded.parts.noted[2:4] == ["sink b closes", "sink c opens"]
    assert reloaded.parts.noted[4:6] == ["service a closes", "service d opens"]
    assert sorted(reloaded.parts.noted[6:]) == ["service d closes", "sink c closes"]


async def test_a_sink_that_is_new_hears_what_comes_from_then_on(reloaded):
    async with reloaded.running(""):
        heard = []

        async def write(notifications):
            heard.extend(notification.event_type for notification in notifications)

        reloaded.parts.write = write
        await reloaded.reload('[sinks."test.sink"]\n' + event("comes"))
        while "configuration_reloaded" not in heard:
            await trio.sleep(0.01)
        assert "event_created" in heard


async def test_what_waits_for_the_next_start_is_said_each_time_until_then(reloaded):
    async with reloaded.running(""):
        reloaded.file.write_text('[scheduler]\ntimezone = "UTC"\ninstance = "other"\n')
        for _ in range(2):
            plan = await reloaded.host.reload()
            assert plan.at_next_start == ["scheduler.instance"]
        assert (await reloaded.reload("")).at_next_start == []


async def test_whether_a_sink_is_durable_waits_for_the_next_start(reloaded):
    plain, durable = '[sinks."test.sink"]\n', '[sinks."test.sink"]\ndurable = true\n'
    async with reloaded.running(plain):
        assert (await reloaded.reload(durable)).at_next_start == ["sinks.test.sink: changed"]
        assert (await reloaded.reload(plain)).at_next_start == []
        assert reloaded.parts.noted == ["sink  opens"]


async def test_secrets_are_looked_for_where_the_new_file_says(reloaded, monkeypatch):
    monkeypatch.setenv("FIRST", "first-value")
    monkeypatch.setenv("OTHER", "other-value")
    text = event("says").replace('word = ""', 'word = { secret = "key" }')
    async with reloaded.running(text + '[secrets]\nkey = { env = "FIRST" }\n'):
        await reloaded.host.kernel.trigger("says")
        await reloaded.ended(1)
        await reloaded.reload(text + '[secrets]\nkey = { env = "OTHER" }\n')
        await reloaded.host.kernel.trigger("says")
        await reloaded.ended(2)
        assert reloaded.parts.ran == ["first-value", "other-value"]
        told = msgspec.json.encode(reloaded.told)
        assert b"first-value" not in told
        assert b"other-value" not in told


async def test_a_store_that_is_begun_anew_gets_the_events_of_the_file_in_force(reloaded):
    async with reloaded.running(event("goes")):
        await reloaded.reload(event("comes"))
        await reloaded.host._bring_back()
        listed = await reloaded.host.kernel.store.list_events()
        assert [record.event.event_id for record in listed] == ["comes"]


async def test_a_host_that_came_from_no_file_says_so():
    parts = Parts()
    checked = check_configuration(
        load_text(""), parts.registry(), now=datetime(2026, 1, 1, tzinfo=UTC)
    )
    host = Host(load_text("").settings, checked, parts.registry(), state_dir=None)
    with pytest.raises(ValueError, match="no configuration file"):
        await host.reload()


def load_text(text):
    from alicia_scheduler.config.document import Document
    from alicia_scheduler.config.load import configuration

    return configuration(Document.parse(text))


def test_a_mistake_in_the_file_is_a_configuration_error():
    assert issubclass(ReloadRefused, Exception)
    refused = ReloadRefused([ConfigError("no", file="a.toml", line=3)])
    assert str(refused) == "1 mistake, nothing was changed; a.toml:3: no"


# -- the process --------------------------------------------------------------------------------

PROCESS = """
include = ["events.d/*.toml"]
[scheduler]
timezone = "UTC"
"""

HOURLY = """
[events.{name}]
schedule_type = "interval"
schedule_config = {{ type = "hours", value = 1 }}
action = {{ type = "script_execution", command = ["true"] }}
"""


def listed(folder):
    done = subprocess.run(
        [ALICIA, "events", "list", "--json", "--state-dir", str(folder / "state")],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return {item["event_id"]: item for item in json.loads(done.stdout)}


def until(condition, what):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def test_sighup_reloads_and_a_mistake_leaves_all_as_it_is(tmp_path):
    (tmp_path / "events.d").mkdir()
    file, log = tmp_path / "home.toml", tmp_path / "log"
    file.write_text(PROCESS)
    (tmp_path / "events.d/a.toml").write_text(HOURLY.format(name="first"))
    with log.open("w") as stderr:
        host = subprocess.Popen([ALICIA, "run", str(file)], stderr=stderr)
    try:
        until((tmp_path / "state/alicia.sock").exists, "the host does not start")
        before = listed(tmp_path)
        (tmp_path / "events.d/b.toml").write_text(HOURLY.format(name="second"))
        host.send_signal(signal.SIGHUP)
        until(lambda: set(listed(tmp_path)) == {"first", "second"}, "SIGHUP does nothing")
        assert listed(tmp_path)["first"] == before["first"]
        (tmp_path / "events.d/b.toml").write_text(HOURLY.format(name="first"))
        host.send_signal(signal.SIGHUP)
        until(lambda: "defined already" in log.read_text(), "the mistake is not told")
        assert set(listed(tmp_path)) == {"first", "second"}
        assert host.poll() is None
    finally:
        host.terminate()
        assert host.wait(60) == 0


async def test_what_waits_for_the_next_start_is_told_and_not_shown_as_if_it_held(reloaded):
    async with reloaded.running(event("stays")):
        host, started = reloaded.host, reloaded.host.settings.instance
        reloaded.file.write_text(
            '[scheduler]\ntimezone = "UTC"\ninstance = "other"\n'
            '[control]\nlisten = 9999\n[plugins]\ndisabled = ["lamp"]\n' + event("stays")
        )
        for _ in range(2):
            plan = await host.reload()
            assert plan.at_next_start == [
                "scheduler.instance",
                "control.addresses",
                "plugins.disabled",
            ]
            assert plan.settings == []
            assert host.settings.instance == started


async def test_a_reload_of_many_events_lets_what_is_due_have_its_turn(reloaded, monkeypatch):
    monkeypatch.setattr("alicia_scheduler.kernel.definitions.TOGETHER", 3)
    many = "".join(event(f"e{number}") for number in range(10))
    async with reloaded.running(many):
        kernel, ran = reloaded.host.kernel, []

        async def trigger_on():
            for number in range(10):
                ran.extend(await kernel.trigger(f"e{number}"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trigger_on)
            edited = "".join(event(f"e{number}", "new") for number in range(10))
            plan = await reloaded.reload(edited)
        assert len(plan.updated) == 10
        await reloaded.ended(10)
        for number in range(10):
            record = await reloaded.state(f"e{number}")
            assert (record.event.revision, record.state.run_count) == (2, 1)
        assert len((await reloaded.reload("")).removed) == 10
        assert await kernel.store.list_events() == []
