"""Plugins while a host runs: quarantined, released, disabled, enabled, installed, upgraded."""

from __future__ import annotations

import msgspec
import pytest
import trio
from tests.zoo.animals import acting
from tests.zoo.cage import until

from alicia_scheduler.api import ScheduledEvent
from alicia_scheduler.host import plugins as host_plugins
from alicia_scheduler.host import quarantine, supervision
from alicia_scheduler.host.faults import FAULT_LIMIT
from alicia_scheduler.host.quarantine import Absence, longer
from alicia_scheduler.host.remembered import Quarantine, Remembered
from alicia_scheduler.kernel.definitions import save_event
from alicia_scheduler.testing.clock import START

LAMP = acting("lamp", "lit.append(execution.execution_id)").replace(
    "class Act", "lit = []\nclass Act"
)

CRASHES = acting("lamp", "if broken:\n    raise SystemExit\nlit.append(1)").replace(
    "class Act", "broken, lit = [1], []\nclass Act"
)

LIT = """
[events.lamp]
schedule_type = "canary.often"
schedule_config = {}
action = { type = "lamp.act" }
max_retries = 0
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Quarantines of a moment."""
    monkeypatch.setattr(quarantine, "FIRST", 0.5)
    monkeypatch.setattr(quarantine, "STEADY", 0.5)
    monkeypatch.setattr(host_plugins, "STEADY", 0.5)
    monkeypatch.setattr(supervision.Backoff, "next", lambda self: 0.01)


def module(cage):
    import sys

    return sys.modules["zoo_lamp"]


def problem(cage, event_id="lamp"):
    entry = cage.host.kernel.catalog.get(event_id)
    return None if entry is None else entry.problem


# -- quarantine ------------------------------------------------------------------------------


async def test_a_plugin_with_too_many_faults_is_quarantined_and_its_events_wait(cage, monkeypatch):
    monkeypatch.setattr(quarantine, "FIRST", 600.0)
    cage.install("lamp", CRASHES)
    async with cage.running(LIT):
        lamp = cage.records["lamp"]
        await until(lambda: lamp.status == "quarantined")
        await until(lambda: problem(cage) is not None)
        assert lamp.faults == FAULT_LIMIT
        assert "the plugin lamp is quarantined: too many faults" in problem(cage)
        assert "alicia plugins enable lamp" in lamp.reason
        (told,) = cage.errors("plugin_quarantined")
        assert told["plugin"] == "lamp"
        failed = lamp.errors
        await cage.singing()
        assert lamp.errors == failed


async def test_after_its_time_it_is_tried_again_and_what_it_missed_is_caught_up(cage):
    cage.install("lamp", CRASHES)
    async with cage.running(LIT):
        lamp = cage.records["lamp"]
        await until(lambda: lamp.status == "quarantined")
        module(cage).broken.clear()
        await until(lambda: module(cage).lit)
        assert lamp.status == "active"
        assert lamp.reason is None
        # Its probation ends too, and then nothing is remembered of it.
        await until(lambda: not cage.host.plugins.remembered.quarantined)


async def test_on_probation_one_fault_is_too_many_and_the_quarantine_is_longer(cage):
    cage.install("lamp", CRASHES)
    async with cage.running(LIT):
        lamp = cage.records["lamp"]

        def times():
            known = cage.host.plugins.remembered.quarantined.get("lamp")
            return known.times if known else 0

        await until(lambda: times() == 2)
        assert lamp.faults == FAULT_LIMIT + 1
        assert cage.host.plugins.remembered.quarantined["lamp"].seconds == 1.0


async def test_a_command_releases_it_at_once(cage, monkeypatch):
    monkeypatch.setattr(quarantine, "FIRST", 600.0)
    cage.install("lamp", CRASHES)
    async with cage.running(LIT) as host:
        lamp = cage.records["lamp"]
        await until(lambda: problem(cage) is not None)
        module(cage).broken.clear()
        changes = await host.plugins.enable("lamp")
        assert changes.revived == ["lamp"]
        assert lamp.status == "active"
        await until(lambda: module(cage).lit)


async def test_a_restart_remembers_a_quarantine_and_does_not_import(cage, tmp_path, monkeypatch):
    monkeypatch.setattr(quarantine, "FIRST", 600.0)
    state = tmp_path / "state"
    cage.install("lamp", CRASHES)
    async with cage.running(LIT, state_dir=state):
        await until(lambda: cage.records["lamp"].status == "quarantined")
        await until(lambda: problem(cage) is not None)
    cage.forget()
    cage.install("canary", cage.canary, module="zoo_canary")
    async with cage.running(LIT, state_dir=state):
        lamp = cage.records["lamp"]
        assert lamp.status == "quarantined"
        assert lamp.import_time is None
        assert "SystemExit" in lamp.reason
        await cage.singing()


def test_each_quarantine_is_twice_as_long_up_to_a_day(monkeypatch):
    monkeypatch.setattr(quarantine, "FIRST", 300.0)
    lengths, before = [], None
    for _ in range(12):
        before = longer(before, "it crashed", START)
        lengths.append(before.seconds)
    assert lengths[:3] == [300, 600, 1200]
    assert lengths[-1] == 86_400


def test_a_plugin_that_behaved_long_enough_begins_with_the_first_one():
    at = START.timestamp()
    before = Quarantine(at - 5000, 2400, 4, "it crashed", released=at - 2500)
    assert longer(before, "it crashed", START).times == 1


def test_a_clock_that_is_behind_makes_no_quarantine_longer_than_it_is():
    given = Quarantine(START.timestamp(), 300, 1, "it crashed")
    assert given.left(START.timestamp() - 1e9) == 300
    assert given.left(START.timestamp() + 100) == 200
    assert given.left(START.timestamp() + 301) == 0


# -- enabled and disabled --------------------------------------------------------------------


async def test_a_disabled_plugin_is_left_alone_and_its_events_wait_until_it_is_enabled(
    cage, tmp_path
):
    cage.install("lamp", LAMP)
    async with cage.running(LIT, state_dir=tmp_path / "state") as host:
        await until(lambda: module(cage).lit)
        changes = await host.plugins.disable("lamp")
        assert changes.unresolved == ["lamp"]
        assert "alicia plugins enable lamp" in problem(cage)
        assert Remembered(tmp_path / "state").disabled == {"lamp"}
        await cage.singing()
        lit = len(module(cage).lit)
        changes = await host.plugins.enable("lamp")
        assert changes.revived == ["lamp"]
        await until(lambda: len(module(cage).lit) > lit)
        assert not Remembered(tmp_path / "state").disabled


async def test_one_that_was_disabled_at_the_start_is_imported_when_it_is_enabled(cage, tmp_path):
    Remembered(tmp_path / "state").disable("lamp")
    cage.install("lamp", LAMP)
    async with cage.running(LIT, state_dir=tmp_path / "state") as host:
        assert cage.records["lamp"].status == "disabled"
        assert cage.records["lamp"].import_time is None
        changes = await host.plugins.enable("lamp")
        assert changes.revived == ["lamp"]
        assert cage.records["lamp"].status == "active"
        await until(lambda: module(cage).lit)


async def test_what_the_configuration_disables_no_command_enables(cage):
    cage.install("lamp", LAMP)
    async with cage.running('[plugins]\ndisabled = ["lamp"]\n' + LIT) as host:
        assert cage.records["lamp"].reason == "it is disabled in the configuration"
        with pytest.raises(ValueError, match="configuration"):
            await host.plugins.enable("lamp")


async def test_a_broken_plugin_cannot_be_enabled_and_an_unknown_one_is_not_there(cage):
    cage.install("lamp", "raise OSError('no lamp')")
    async with cage.running() as host:
        with pytest.raises(ValueError, match="no lamp"):
            await host.plugins.enable("lamp")
        with pytest.raises(KeyError):
            await host.plugins.disable("tide")


async def test_a_service_of_a_disabled_plugin_stops_and_starts_again_with_it(cage):
    source = acting("lamp", "pass").replace(
        "async def opened(context)", "async def unused(context)"
    )
    cage.install(
        "lamp",
        source
        + """

running = []

@asynccontextmanager
async def opened(context):
    yield Act()

@asynccontextmanager
async def part(config, context):
    running.append(1)
    yield
    running.clear()

@hookimpl
def alicia_services():
    yield ServiceType(name="lamp.part", config=Config, open=part)
""",
    )
    async with cage.running('[services."lamp.part"]\n') as host:
        assert module(cage).running == [1]
        await host.plugins.disable("lamp")
        assert module(cage).running == []
        await host.plugins.enable("lamp")
        await until(lambda: module(cage).running == [1])


# -- installed, upgraded, uninstalled --------------------------------------------------------


async def test_a_freshly_installed_plugin_comes_alive_with_its_events(cage):
    async with cage.running(LIT) as host:
        assert "not installed" in problem(cage)
        cage.install("lamp", LAMP)
        changes = await host.plugins.rescan()
        assert (changes.added, changes.revived) == (["lamp"], ["lamp"])
        await until(lambda: module(cage).lit)
        assert (await host.plugins.rescan()).summary() == "nothing has changed"


async def test_an_event_that_only_the_store_has_comes_alive_too(cage, tmp_path):
    state = tmp_path / "state"
    cage.install("lamp", LAMP)
    # With a catalog of one, the event is not in hand any more when its plugin comes.
    async with cage.running(LIT, state_dir=state) as host:
        cage.uninstall("zoo-lamp")
        host.kernel.catalog.remove("lamp")
        await cage.singing()
    cage.forget()
    cage.install("canary", cage.canary, module="zoo_canary")
    cage.uninstall("zoo-lamp")
    async with cage.running(LIT, state_dir=state) as host:
        host.kernel.catalog.remove("lamp")
        cage.install("lamp", LAMP)
        await host.plugins.rescan()
        await until(lambda: module(cage).lit)


async def test_an_event_of_the_api_comes_alive_when_its_plugin_is_there_at_a_start(cage, tmp_path):
    state = tmp_path / "state"
    async with cage.running(state_dir=state) as host:
        event = ScheduledEvent(
            event_id="by-api",
            name="by-api",
            schedule_type="canary.often",
            schedule_config={},
            action={"type": "lamp.act"},
            created_at=START,
            updated_at=START,
            origin="api",
        )
        await save_event(host.kernel, event)
        assert "not installed" in problem(cage, "by-api")
    cage.forget()
    cage.install("canary", cage.canary, module="zoo_canary")
    cage.install("lamp", LAMP)
    async with cage.running(state_dir=state):
        await until(lambda: module(cage).lit)


async def test_a_service_and_a_sink_that_wait_in_the_configuration_start(cage):
    more = '[sinks."lamp.sink"]\n[services."lamp.part"]\n'
    source = (
        acting("lamp", "pass")
        + """

written, running = [], []

class Sink:
    async def write(self, notifications):
        written.extend(notifications)

@asynccontextmanager
async def open_sink(config, context):
    yield Sink()

@asynccontextmanager
async def open_part(config, context):
    running.append(1)
    yield
    running.clear()

@hookimpl
def alicia_sinks():
    yield SinkType(name="lamp.sink", config=Config, open=open_sink)

@hookimpl
def alicia_services():
    yield ServiceType(name="lamp.part", config=Config, open=open_part)
"""
    )
    async with cage.running(more) as host:
        cage.install("lamp", source)
        assert (await host.plugins.rescan()).issues == []
        assert module(cage).running == [1]
        await until(lambda: module(cage).written)


async def test_an_upgraded_plugin_goes_on_and_asks_for_a_restart(cage):
    cage.install("lamp", LAMP)
    async with cage.running(LIT) as host:
        cage.install("lamp", LAMP, version="2.0")
        changes = await host.plugins.rescan()
        lamp = cage.records["lamp"]
        assert changes.restart_needed == ["lamp"]
        assert lamp.status == "restart-needed"
        assert lamp.reason == "2.0 is installed, 1.2 is loaded: restart the host"
        lit = len(module(cage).lit)
        await until(lambda: len(module(cage).lit) > lit)


async def test_the_same_version_installed_anew_asks_for_a_restart_too(cage):
    cage.install("lamp", LAMP)
    async with cage.running() as host:
        cage.install("lamp", LAMP + "\n# better")
        await host.plugins.rescan()
        assert "installed anew" in cage.records["lamp"].reason


async def test_an_uninstalled_plugin_goes_on_and_asks_for_a_restart(cage):
    cage.install("lamp", LAMP)
    async with cage.running() as host:
        cage.uninstall("zoo-lamp")
        changes = await host.plugins.rescan()
        assert changes.restart_needed == ["lamp"]
        assert "was uninstalled" in cage.records["lamp"].reason


async def test_a_broken_plugin_that_was_mended_comes_alive_without_a_restart(cage):
    cage.install("lamp", "raise OSError('no lamp')")
    async with cage.running(LIT) as host:
        assert "the plugin lamp is broken" in problem(cage)
        cage.install("lamp", LAMP, version="2.0")
        changes = await host.plugins.rescan()
        assert (changes.added, changes.revived) == (["lamp"], ["lamp"])


async def test_a_broken_plugin_that_was_uninstalled_is_gone(cage):
    cage.install("lamp", "raise OSError('no lamp')")
    async with cage.running() as host:
        cage.uninstall("zoo-lamp")
        assert (await host.plugins.rescan()).removed == ["lamp"]
        assert "lamp" not in cage.records


async def test_a_newcomer_with_the_name_of_a_loaded_plugin_is_refused(cage):
    cage.install("lamp", LAMP)
    async with cage.running(LIT) as host:
        cage.install("lamp", "raise AssertionError", distribution="zoo-other")
        await host.plugins.rescan()
        loaded, other = sorted(
            (each for each in host.plugins.registry.plugins if each.name == "lamp"),
            key=lambda each: not each.loaded,
        )
        assert (loaded.status, other.status) == ("active", "conflict")
        assert other.reason == "zoo-lamp has the name 'lamp' already: uninstall one"


async def test_a_new_plugin_that_is_broken_is_told_and_changes_nothing_else(cage):
    async with cage.running(LIT) as host:
        cage.install("lamp", "raise OSError('no lamp')")
        changes = await host.plugins.rescan()
        assert (changes.added, changes.revived) == (["lamp"], [])
        assert cage.records["lamp"].status == "broken"
        await cage.singing()


async def test_changes_are_notified(cage):
    async with cage.running(LIT) as host:
        cage.install("lamp", LAMP)
        await host.plugins.rescan()
        await until(lambda: any(each.event_type == "plugins_changed" for each in cage.told))
        (told,) = [each.event_data for each in cage.told if each.event_type == "plugins_changed"]
        assert told["revived"] == ["lamp"]


# -- what is remembered ----------------------------------------------------------------------


def test_a_damaged_file_is_put_aside_and_told(tmp_path):
    tmp_path.joinpath("plugins.json").write_text("{")
    remembered = Remembered(tmp_path)
    assert "damaged" in remembered.problem
    assert tmp_path.joinpath("plugins.json.damaged").read_text() == "{"
    remembered.disable("lamp")
    assert Remembered(tmp_path).disabled == {"lamp"}


def test_what_cannot_be_written_is_remembered_as_long_as_the_host_runs(tmp_path):
    tmp_path.joinpath("file").write_text("")
    remembered = Remembered(tmp_path / "file" / "state")
    remembered.disable("lamp")
    assert remembered.disabled == {"lamp"}
    assert "cannot be written" in remembered.problem


def test_unknown_keys_of_a_newer_host_are_no_damage(tmp_path):
    tmp_path.joinpath("plugins.json").write_bytes(
        msgspec.json.encode({"disabled": ["lamp"], "colours": 3})
    )
    assert Remembered(tmp_path).disabled == {"lamp"}


def failed_starts(tmp_path, *importing):
    for name in importing:
        remembered = Remembered(tmp_path)
        remembered.begin_start()
        remembered.importing(name)
    return Remembered(tmp_path).begin_start()


def statuses(absence):
    given = {name: absence(name, f"zoo-{name}") for name in ("lamp", "tide")}
    given["mqtt"] = absence("mqtt", "alicia-mqtt")
    return {name: None if out is None else out.status.value for name, out in given.items()}


def test_two_failed_starts_are_bad_luck(tmp_path):
    before = failed_starts(tmp_path, "", "")
    assert Absence(starts=before, now=START).safe_mode is None


def test_after_three_failed_starts_all_but_alicias_own_are_left_out(tmp_path):
    absence = Absence(starts=failed_starts(tmp_path, "lamp", "", "tide"), now=START)
    assert "the last 3 starts" in absence.safe_mode
    assert statuses(absence) == {"lamp": "disabled", "tide": "disabled", "mqtt": None}


def test_starts_that_ended_with_the_machine_say_nothing_about_plugins(tmp_path, monkeypatch):
    boot = tmp_path / "boot"
    monkeypatch.setattr("alicia_scheduler.host.remembered.BOOT_ID", boot)
    for number in range(5):
        boot.write_text(f"boot {number}")
        Remembered(tmp_path).begin_start()
    assert Absence(starts=Remembered(tmp_path).begin_start(), now=START).safe_mode is None
    failed_starts(tmp_path, "", "", "")
    assert Absence(starts=Remembered(tmp_path).begin_start(), now=START).safe_mode is not None


def test_if_all_ended_with_the_import_of_one_plugin_that_one_alone_is_left_out(tmp_path):
    absence = Absence(starts=failed_starts(tmp_path, "lamp", "lamp", "lamp"), now=START)
    assert "the plugin lamp" in absence.safe_mode
    assert statuses(absence) == {"lamp": "disabled", "tide": None, "mqtt": None}


def test_a_good_start_ends_the_row(tmp_path):
    failed_starts(tmp_path, "", "")
    remembered = Remembered(tmp_path)
    remembered.begin_start()
    remembered.start_is_good()
    assert Remembered(tmp_path).starts.count == 0


def test_a_start_that_was_withdrawn_does_not_count(tmp_path):
    failed_starts(tmp_path, "", "")
    remembered = Remembered(tmp_path)
    remembered.begin_start()
    remembered.withdraw_start()
    assert Remembered(tmp_path).starts.count == 3  # failed_starts began one more itself


def test_a_withdrawn_first_start_leaves_nothing_behind(tmp_path):
    remembered = Remembered(tmp_path / "state")
    remembered.begin_start()
    remembered.importing("lamp")
    remembered.withdraw_start()
    assert not (tmp_path / "state").exists()


async def test_a_schedule_that_has_run_for_a_while_makes_the_start_a_good_one(cage, tmp_path):
    state = tmp_path / "state"
    remembered = Remembered(state)
    remembered.begin_start()
    async with cage.running(state_dir=state, remembered=remembered):
        await until(lambda: Remembered(state).starts.count == 0)


@pytest.mark.parametrize(
    ("without", "left_out"),
    [
        (["*"], {"lamp": "disabled", "tide": "disabled", "mqtt": None}),
        (["lamp", "mqtt"], {"lamp": "disabled", "tide": None, "mqtt": "disabled"}),
    ],
)
def test_no_plugins_leaves_out_all_strangers_or_those_that_are_named(without, left_out):
    assert statuses(Absence(without=without, now=START)) == left_out


async def test_two_commands_about_plugins_do_not_get_in_each_others_way(cage):
    cage.install("lamp", LAMP)
    async with cage.running(LIT) as host, trio.open_nursery() as nursery:
        nursery.start_soon(host.plugins.disable, "lamp")
        nursery.start_soon(host.plugins.rescan)
        nursery.start_soon(host.plugins.enable, "lamp")
    assert cage.records["lamp"].status in ("active", "disabled")
