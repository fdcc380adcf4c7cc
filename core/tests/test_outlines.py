"""Plugins of which it is known what they offer, and that are imported when something needs it."""

import sys
from importlib import metadata

import pytest

from alicia_scheduler.host.discovery import Candidate
from alicia_scheduler.host.loader import PluginStatus, load_plugins
from alicia_scheduler.host.outlines import FILE, Outlines
from alicia_scheduler.host.registry import Registry
from alicia_scheduler.kernel.prepared import Unresolved

SOUND = """
from alicia_scheduler.api import ServiceType, ScheduleType, hookimpl
import msgspec

class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    pass

class Contract:
    pass

@hookimpl
def alicia_schedule_types(info):
    yield ScheduleType(name="lamp.dusk", config=Nothing, build=lambda config, context: None)

@hookimpl
def alicia_services(info):
    yield ServiceType(name="lamp.bus", config=Nothing, open=None, provides=Contract)
"""

SETTINGS = """
@hookimpl
def alicia_settings(info):
    yield Settings

class Settings(msgspec.Struct, forbid_unknown_fields=True):
    color: str{default}
"""


class Site:
    """A plugin ``lamp`` in a folder, a state directory, and starts of a host."""

    def __init__(self, folder):
        self.state = folder / "state"
        self.state.mkdir()
        self.code = folder / "lamp_of_outlines.py"
        self.environment = 1
        self.watched = []
        self.write(SOUND)

    def write(self, code):
        self.code.write_text(code)
        sys.modules.pop("lamp_of_outlines", None)

    def start(self):
        """The registry of a new start, as if nothing was imported by this process before."""
        sys.modules.pop("lamp_of_outlines", None)
        outlines = Outlines(self.state)
        point = metadata.EntryPoint("lamp", "lamp_of_outlines", "alicia_scheduler.plugins")
        candidate = Candidate("lamp", "a-lamp", "1.0", 1, point, environment=self.environment)
        records = load_plugins([candidate], watch=self.watched.append, outlines=outlines)
        self.save = outlines.save
        outlines.save()
        return Registry(records)


def imported():
    return "lamp_of_outlines" in sys.modules


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    yield Site(tmp_path)
    sys.modules.pop("lamp_of_outlines", None)


def test_what_is_not_known_is_imported_at_the_start(site):
    site.start()
    assert imported()


def test_what_is_known_is_imported_when_its_type_is_asked_for(site):
    site.start()
    registry = site.start()
    assert registry.plugins[0].status is PluginStatus.ACTIVE
    assert not imported()
    assert registry.schedule_types.get("lamp.dusk").type.name == "lamp.dusk"
    assert imported()
    assert site.watched[-2:] == ["lamp", None]


def test_it_is_imported_when_the_contract_of_its_service_is_asked_for(site):
    before = site.start().services.get("lamp.bus").type.provides
    registry = site.start()
    assert registry.provider(int) is None
    assert not imported()
    registry.provider(before)
    assert imported()


def test_its_names_are_told_without_importing_it(site):
    told = site.start().plugins[0].to_wire()["contributions"]
    waiting = site.start().plugins[0]
    assert waiting.to_wire()["contributions"] == told
    assert waiting.import_time is None
    assert not imported()


def test_a_near_miss_of_a_name_that_waits_is_suggested(site):
    site.start()
    registry = site.start()
    with pytest.raises(ValueError, match=r"there is no schedule type 'lamp_dusk'") as refused:
        registry.schedule_types.get("lamp_dusk")
    assert "'lamp.dusk'" in refused.value.hint


@pytest.mark.parametrize("change", ["code", "environment"])
def test_what_is_installed_differently_is_imported_once(site, change):
    site.start()
    if change == "code":
        site.write(SOUND + "\n")
    else:
        site.environment += 1
    site.start()
    assert imported()
    site.start()
    assert not imported()


def test_one_that_turns_out_to_be_broken_is_told_and_looked_at_by_the_next_start(site):
    site.start()
    registry = site.start()
    site.write("raise OSError('no lamp here')")
    with pytest.raises(Unresolved, match=r"the plugin lamp is broken: .* no lamp here"):
        registry.schedule_types.get("lamp.dusk")
    assert registry.schedule_types.find("lamp.dusk") is None
    site.save()
    assert site.start().plugins[0].status is PluginStatus.BROKEN


def test_one_that_is_broken_is_imported_at_every_start(site):
    site.write("raise OSError('no lamp here')")
    for _ in range(2):
        assert site.start().plugins[0].status is PluginStatus.BROKEN


def test_settings_that_may_be_left_out_are_there_after_the_import(site):
    site.write(SOUND + SETTINGS.format(default=" = 'red'"))
    site.start()
    registry = site.start()
    assert not imported()
    assert registry.schedule_types.get("lamp.dusk").plugin.settings.color == "red"


def test_one_that_insists_on_settings_is_imported_at_every_start(site):
    site.write(SOUND + SETTINGS.format(default=""))
    for _ in range(2):
        site.start()
        assert imported()


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b"[" * 100_000, b'{"lamp": 3}'])
def test_a_file_of_nonsense_counts_as_none(site, content):
    (site.state / FILE).write_bytes(content)
    site.start()
    assert imported()


def test_a_state_directory_that_cannot_be_written_costs_nothing_but_time(site):
    (site.state / f"{FILE}.new").mkdir()
    for _ in range(2):
        site.start()
        assert imported()
